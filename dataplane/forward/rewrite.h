// Rewriting a frame in place for its next hop: addresses, ports, TTL and every checksum over them,
// by difference.
#pragma once

#include "dataplane/flow/session.h"
#include "dataplane/frame.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ip.h"
#include "dataplane/wire/tcp_segment.h"

namespace holdfast {

// The link part of a frame to be sent: addresses that somebody else keeps.
struct LinkHop {
    const MacAddress* destination = nullptr;  // nullptr: not known
    const MacAddress* source = nullptr;
    uint16_t vlan = 0;
    explicit operator bool() const { return destination != nullptr; }
};

// Replaces an Ethernet header of `old_size` bytes by one that may have another size: the IP header
// stays where it is. There is always room, as a received frame has kFrameHeadroom before it.
inline void rewrite_link(Frame& frame, size_t old_size, uint16_t type, const LinkHop& hop) {
    const size_t size = ethernet_size(hop.vlan);
    std::byte* p = frame.data + old_size - size;
    frame.data = p;
    frame.length = static_cast<uint32_t>(frame.length - old_size + size);
    std::memcpy(p, hop.destination->bytes.data(), 6);
    std::memcpy(p + 6, hop.source->bytes.data(), 6);
    if (hop.vlan != 0) {
        store_be(p + 12, kEtherTypeVlan);
        store_be(p + 14, hop.vlan);
    }
    store_be(p + size - 2, type);
}

// A segment's addresses, ports and TTL, in headers where they are. IPv4 to IPv4 or IPv6 to IPv6.
template <bool v4>
inline void rewrite_segment(std::byte* ip, std::byte* tcp, const Endpoint& source,
                            const Endpoint& destination) {
    constexpr size_t n = address_size(v4);
    std::byte* const addresses = ip + (v4 ? kIpv4SourceOffset : kIpv6SourceOffset);
    ChecksumDelta delta;
    delta.replace(addresses, address_bytes(source.address, v4), n);
    delta.replace(addresses + n, address_bytes(destination.address, v4), n);
    std::memcpy(addresses, address_bytes(source.address, v4), n);
    std::memcpy(addresses + n, address_bytes(destination.address, v4), n);
    if constexpr (v4) {
        ChecksumDelta header = delta;
        const auto ttl_and_protocol = load_be<uint16_t>(ip + kIpv4Ttl);
        const uint16_t was = big(ttl_and_protocol);
        const uint16_t is = big(static_cast<uint16_t>(ttl_and_protocol - 0x100));
        header.replace(&was, &is, 2);
        std::memcpy(ip + kIpv4Ttl, &is, 2);
        header.apply(ip + kIpv4Checksum);
    } else {
        ip[kIpv6HopLimit] = static_cast<std::byte>(static_cast<uint8_t>(ip[kIpv6HopLimit]) - 1);
    }
    const uint32_t ports = big(uint32_t{source.port} << 16 | destination.port);
    delta.replace(tcp, &ports, 4);
    std::memcpy(tcp, &ports, 4);
    delta.apply(tcp + kTcpChecksumOffset);
}

// The addresses and the TTL only; the transport is somebody else's.
void rewrite_ip(std::byte* ip_packet, const IpHeader& ip, const IpAddress& source,
                const IpAddress& destination);

// A quoted packet's addresses and ports, and its checksums as far as they were quoted.
void rewrite_quote(MutableBytes quote, const IpHeader& ip, const FlowKey& was, const FlowKey& now);

}  // namespace holdfast
