// TCP headers (RFC 9293 section 3.1) and the options that matter to who tracks or ends a
// connection: MSS, window scale and timestamps (RFC 7323), SACK-permitted and SACK (RFC 2018).
//
// parse_tcp reads the fixed part; options are parsed on their own, because only SYNs need it on the
// packet path. Unknown options are skipped; a length of 0 or past the end ends the parse as
// malformed.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "dataplane/drop.h"
#include "dataplane/wire/address.h"
#include "dataplane/wire/seq_num.h"

namespace holdfast {

namespace tcp_flag {
inline constexpr uint8_t fin = 0x01, syn = 0x02, rst = 0x04, psh = 0x08, ack = 0x10, urg = 0x20,
                         ece = 0x40, cwr = 0x80;
}

struct TcpSegment {
    uint16_t source_port = 0;
    uint16_t destination_port = 0;
    SeqNum seq;
    SeqNum ack;
    uint8_t flags = 0;
    uint8_t header_size = 20;
    uint16_t window = 0;  // as on the wire, not scaled
    uint16_t urgent = 0;
    uint32_t payload_size = 0;

    bool has(uint8_t flag) const { return (flags & flag) != 0; }
    // The sequence space it takes (SEG.LEN): SYN and FIN count.
    uint32_t length() const { return payload_size + has(tcp_flag::syn) + has(tcp_flag::fin); }
    SeqNum end() const { return seq + length(); }
};

// Bytes received beyond the acknowledged ones: [start, end).
struct SackBlock {
    SeqNum start, end;
    friend constexpr bool operator==(const SackBlock&, const SackBlock&) = default;
};

struct TcpOptions {
    std::optional<uint16_t> mss;
    std::optional<uint8_t> window_scale;  // at most 14 (RFC 7323 section 2.3)
    bool sack_permitted = false;
    struct Timestamps {
        uint32_t value = 0, echo = 0;
        friend constexpr bool operator==(Timestamps, Timestamps) = default;
    };
    std::optional<Timestamps> timestamps;
    static constexpr size_t kMaxSackBlocks = 4;  // what fits; 3 beside timestamps
    std::array<SackBlock, kMaxSackBlocks> sack{};
    uint8_t sack_count = 0;
    std::span<const SackBlock> sack_blocks() const { return std::span(sack).first(sack_count); }
    friend constexpr bool operator==(const TcpOptions&, const TcpOptions&) = default;
};

// `bytes` is the IP payload.
std::expected<TcpSegment, DropReason> parse_tcp(Bytes bytes);
// `bytes` is the option area: from byte 20 to the end of the header.
std::expected<TcpOptions, DropReason> parse_tcp_options(Bytes bytes);

// none, tcp_checksum, or checksum_partial_suspected when only the pseudo header was summed.
DropReason verify_tcp_checksum(const IpAddress& source, const IpAddress& destination, Bytes bytes);

// Writes options, numbers aligned and the whole padded to a multiple of four; returns their size.
size_t emit_tcp_options(const TcpOptions& options, ByteWriter& to);
// Writes header, options and payload, with the checksum; returns bytes written, 0 if no room.
struct TcpEmit {
    IpAddress source, destination;
    TcpSegment segment;  // header_size and payload_size are not looked at
    TcpOptions options;
    Bytes payload;
};
size_t tcp_size(const TcpEmit& what);
size_t emit_tcp(const TcpEmit& what, ByteWriter& to);

inline constexpr size_t kTcpChecksumOffset = 16;

}  // namespace holdfast
