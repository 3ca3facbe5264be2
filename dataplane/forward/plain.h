// What a frame must look like to go the short way (plain.cc), taken apart into words.
#pragma once

#include "dataplane/flow/session.h"
#include "dataplane/frame.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ip.h"

namespace holdfast {

// A TCP segment in an IPv4 header without options or an IPv6 header without extensions, at most one
// VLAN tag; all lengths fit. Nothing else has been looked at.
struct PlainFrame {
    std::byte* ip;
    std::byte* tcp;
    uint32_t segment_size;  // TCP header and payload
    uint16_t vlan;
    bool v4;
    FlowWords flow;
};

// False: the frame is something else, and `f` nothing.
inline bool parse_plain(const Frame& frame, PlainFrame& f) {
    constexpr size_t kTcp = 20;  // its fixed part
    if (frame.length < 14 + 20 + kTcp) return false;
    std::byte* const p = frame.data;
    f.vlan = 0;
    f.ip = p + 14;
    uint16_t type = load_be<uint16_t>(p + 12);
    if (type == kEtherTypeVlan) {
        f.vlan = load_be<uint16_t>(p + 14) & 0x0fff;
        type = load_be<uint16_t>(p + 16);
        f.ip = p + 18;
    }
    const size_t room = frame.length - static_cast<size_t>(f.ip - p);
    const size_t header = type == kEtherTypeIpv4 ? 20 : 40;
    if (room < header + kTcp) return false;
    f.tcp = f.ip + header;
    f.v4 = type == kEtherTypeIpv4;
    size_t total;
    uint8_t protocol;
    if (f.v4) {
        if (f.ip[0] != std::byte{0x45}) return false;
        if ((load_be<uint16_t>(f.ip + 6) & 0x3fff) != 0) return false;  // a fragment
        total = load_be<uint16_t>(f.ip + 2);
        protocol = static_cast<uint8_t>(f.ip[9]);
        f.flow.source = IpAddress::v4(load_be<uint32_t>(f.ip + kIpv4SourceOffset)).words();
        f.flow.destination =
            IpAddress::v4(load_be<uint32_t>(f.ip + kIpv4DestinationOffset)).words();
    } else {
        if (type != kEtherTypeIpv6 || static_cast<uint8_t>(f.ip[0]) >> 4 != 6) return false;
        total = header + load_be<uint16_t>(f.ip + 4);
        protocol = static_cast<uint8_t>(f.ip[6]);
        const IpAddress source = load_address(f.ip + kIpv6SourceOffset, false);
        const IpAddress destination = load_address(f.ip + kIpv6DestinationOffset, false);
        // On the wire these are nobody's; in a table they would be IPv4 (RFC 4942 2.2).
        if (source.is_v4() || destination.is_v4()) return false;
        f.flow.source = source.words();
        f.flow.destination = destination.words();
    }
    if (protocol != kProtocolTcp || total > room || total < header + kTcp) return false;
    f.segment_size = static_cast<uint32_t>(total - header);
    f.flow.source_port = load_be<uint16_t>(f.tcp);
    f.flow.destination_port = load_be<uint16_t>(f.tcp + 2);
    return true;
}

}  // namespace holdfast
