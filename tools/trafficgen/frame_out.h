// Where frames go, and TCP frames put together in place.
//
// compose() gives room in a frame that will leave through a port at the end of the poll, or none:
// then it has counted why. Everything is written at once, both checksums in full.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.h"
#include "dataplane/wire/address.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ip.h"
#include "dataplane/wire/tcp_segment.h"

namespace holdfast::gen {

class FrameOut {
public:
    virtual ~FrameOut() = default;
    virtual MutableBytes compose(unsigned port, size_t size) = 0;
};

// The way to a neighbour.
struct Hop {
    unsigned port = 0;
    MacAddress from, to;
};

struct SegmentOut {
    uint8_t flags = tcp_flag::ack;
    SeqNum seq{}, ack{};
    uint16_t window = 65535;
    uint16_t mss = 0;      // an option, if not 0
    uint32_t payload = 0;  // octets
};

inline constexpr size_t kSmallestFrame = 60;  // without FCS

// Writes one segment; fill(MutableBytes) writes its payload. False: no room.
template <typename Fill>
bool send_segment(FrameOut& out, const Hop& hop, const Endpoint& from, const Endpoint& to,
                  const SegmentOut& s, Fill&& fill) {
    const bool v4 = from.address.is_v4();
    const size_t ip_size = v4 ? 20 : 40, tcp_size = s.mss != 0 ? 24 : 20;
    const size_t used = 14 + ip_size + tcp_size + s.payload;
    const size_t size = std::max(used, kSmallestFrame);
    MutableBytes frame = out.compose(hop.port, size);
    if (frame.empty()) return false;
    std::byte* p = frame.data();
    std::memset(p + used, 0, size - used);
    ByteWriter w(frame);
    emit_ethernet({hop.to, hop.from, 0, v4 ? kEtherTypeIpv4 : kEtherTypeIpv6}, w);
    emit_ip(ip_header(from.address, to.address, kProtocolTcp, tcp_size + s.payload), w);
    std::byte* tcp = p + 14 + ip_size;
    store_be(tcp, from.port);
    store_be(tcp + 2, to.port);
    store_be(tcp + 4, s.seq.value);
    store_be(tcp + 8, s.ack.value);
    tcp[12] = static_cast<std::byte>(tcp_size << 2);
    tcp[13] = std::byte{s.flags};
    store_be(tcp + 14, s.window);
    store_be(tcp + 16, uint32_t{0});
    if (s.mss != 0) store_be(tcp + 20, 0x02040000u | s.mss);
    if (s.payload > 0) fill(MutableBytes(tcp + tcp_size, s.payload));
    const auto length = static_cast<uint32_t>(tcp_size + s.payload);
    const uint64_t sum = pseudo_header_sum(from.address, to.address, kProtocolTcp, length);
    store_checksum(tcp + kTcpChecksumOffset, checksum_of(add_to_sum(sum, {tcp, length})));
    return true;
}

inline bool send_segment(FrameOut& out, const Hop& hop, const Endpoint& from, const Endpoint& to,
                         const SegmentOut& s) {
    return send_segment(out, hop, from, to, s, [](MutableBytes) {});
}

}  // namespace holdfast::gen
