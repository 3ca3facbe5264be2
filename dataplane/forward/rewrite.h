// Rewriting a frame in place for its next hop: addresses, ports, TTL and every checksum over them,
// by difference.
#pragma once

#include "dataplane/flow/session.h"
#include "dataplane/frame.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ip.h"

namespace holdfast {

// The link part of a frame to be sent: addresses that somebody else keeps.
struct LinkHop {
    const MacAddress* destination = nullptr;  // nullptr: not known
    const MacAddress* source = nullptr;
    uint16_t vlan = 0;
    explicit operator bool() const { return destination != nullptr; }
};

// Replaces the Ethernet header, which may change its size: the IP header stays where it is. There
// is always room, as a received frame has kFrameHeadroom before it.
void rewrite_link(Frame& frame, const EthernetHeader& old, const LinkHop& hop);

// IP and TCP headers at `ip_packet`. IPv4 to IPv4 or IPv6 to IPv6.
void rewrite_tcp(std::byte* ip_packet, const IpHeader& ip, const FlowKey& was, const FlowKey& now);

// The addresses and the TTL only; the transport is somebody else's.
void rewrite_ip(std::byte* ip_packet, const IpHeader& ip, const IpAddress& source,
                const IpAddress& destination);

// A quoted packet's addresses and ports, and its checksums as far as they were quoted.
void rewrite_quote(MutableBytes quote, const IpHeader& ip, const FlowKey& was, const FlowKey& now);

}  // namespace holdfast
