// IPv4 (RFC 791) and IPv6 (RFC 8200) headers, as one value.
//
// Parsing refuses what must not be passed on by a NAT that does not reassemble: fragments, and IPv6
// extension headers other than a few hop-by-hop and destination options, which are skipped. Where
// things lie is kept in offsets from the start of the IP header; the caller rewrites in place.
#pragma once

#include <cstdint>
#include <expected>

#include "base/bytes.h"
#include "dataplane/drop.h"
#include "dataplane/wire/address.h"

namespace holdfast {

inline constexpr uint8_t kProtocolIcmp = 1;
inline constexpr uint8_t kProtocolTcp = 6;
inline constexpr uint8_t kProtocolUdp = 17;
inline constexpr uint8_t kProtocolIcmpv6 = 58;

struct IpHeader {
    IpAddress source;
    IpAddress destination;
    uint32_t payload_size = 0;  // what follows header_size, without link padding
    uint16_t header_size = 0;   // with IPv4 options or the IPv6 extension headers skipped
    uint8_t protocol = 0;
    uint8_t ttl = 64;  // or hop limit
    uint8_t traffic_class = 0;
    bool v4 = true;
};

// Of a packet of ours to be emitted: the family is the source's.
inline IpHeader ip_header(const IpAddress& source, const IpAddress& destination, uint8_t protocol,
                          size_t payload) {
    IpHeader h;
    h.v4 = source.is_v4();
    h.source = source;
    h.destination = destination;
    h.protocol = protocol;
    h.payload_size = static_cast<uint32_t>(payload);
    return h;
}

// What a frame carries. Checks lengths, fragmentation, source address and (v4) header checksum.
std::expected<IpHeader, DropReason> parse_ipv4(Bytes packet);
std::expected<IpHeader, DropReason> parse_ipv6(Bytes packet);

// The head of a packet as an ICMP error quotes it: it may be cut short and its checksum may be
// stale, so only what is needed to find the session is checked. payload_size is what is there.
std::expected<IpHeader, DropReason> parse_quoted(Bytes quote, bool v4);

// Writes a header without options: 20 or 40 bytes, checksum included. header_size is not looked at.
void emit_ip(const IpHeader& header, ByteWriter& to);

// Addresses within a header, in wire form.
inline constexpr size_t kIpv4SourceOffset = 12, kIpv4DestinationOffset = 16;
inline constexpr size_t kIpv6SourceOffset = 8, kIpv6DestinationOffset = 24;
inline constexpr size_t kIpv4Ttl = 8, kIpv4Checksum = 10, kIpv6HopLimit = 7;

constexpr size_t address_size(bool v4) { return v4 ? 4 : 16; }
inline const uint8_t* address_bytes(const IpAddress& a, bool v4) {
    return a.bytes.data() + (v4 ? 12 : 0);
}
inline IpAddress load_address(const std::byte* p, bool v4) {
    if (v4) return IpAddress::v4(load_be<uint32_t>(p));
    IpAddress a;
    std::memcpy(a.bytes.data(), p, 16);
    return a;
}

constexpr bool is_multicast(const IpAddress& a) {
    return a.is_v4() ? (a.bytes[12] & 0xf0) == 0xe0 : a.bytes[0] == 0xff;
}

}  // namespace holdfast
