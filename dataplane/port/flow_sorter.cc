#include "dataplane/port/flow_sorter.h"

#include <rte_thash.h>

#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ip.h"

namespace holdfast {
namespace {

uint8_t byte_at(Bytes b, size_t i) { return static_cast<uint8_t>(b[i]); }

// ICMP errors quote the packet they are about: RFC 792, RFC 4443 section 2.1.
bool is_error(uint8_t type) { return type == 3 || type == 4 || type == 11 || type == 12; }

struct Opened {
    uint16_t type = 0;
    Bytes rest;
};
Opened open(Bytes frame) {
    if (frame.size() < 18) return {};
    uint16_t type = load_be<uint16_t>(frame.data() + 12);
    if (type != kEtherTypeVlan) return {type, frame.subspan(14)};
    return {load_be<uint16_t>(frame.data() + 16), frame.subspan(18)};
}

bool is_fragment_v4(Bytes ip) { return load_be<uint16_t>(ip.data() + 6) & 0x3fff; }
bool is_tcp_v4(Bytes ip) {
    return ip.size() >= 28 && byte_at(ip, 9) == kProtocolTcp && !is_fragment_v4(ip);
}

}  // namespace

FlowSorter::FlowSorter(unsigned workers, const RssKey& key, uint16_t first_ring_port)
    : workers_(workers), first_ring_port_(first_ring_port) {
    RssKey copy = key;
    rte_convert_rss_key(reinterpret_cast<const uint32_t*>(copy.data()),
                        reinterpret_cast<uint32_t*>(key_.data()), static_cast<int>(key_.size()));
}

uint32_t FlowSorter::hash(Bytes source, Bytes destination, uint16_t source_port,
                          uint16_t destination_port) const {
    uint32_t words[9];
    uint32_t n = 0;
    for (size_t i = 0; i < source.size(); i += 4) words[n++] = load_be<uint32_t>(source.data() + i);
    for (size_t i = 0; i < destination.size(); i += 4)
        words[n++] = load_be<uint32_t>(destination.data() + i);
    words[n++] = uint32_t{source_port} << 16 | destination_port;
    return rte_softrss_be(words, n, key_.data());
}

unsigned FlowSorter::owner_of(Bytes frame) const {
    auto [type, rest] = open(frame);
    if (type == kEtherTypeIpv4) return of_ipv4(rest);
    if (type == kEtherTypeIpv6) return of_ipv6(rest);
    if (type == kEtherTypeArp) return of_arp(rest);
    return kAny;
}

bool FlowSorter::carries_tcp(Bytes frame) {
    auto [type, rest] = open(frame);
    if (type == kEtherTypeIpv4) return is_tcp_v4(rest);
    return type == kEtherTypeIpv6 && rest.size() >= 48 && byte_at(rest, 6) == kProtocolTcp;
}

unsigned FlowSorter::of_arp(Bytes arp) const {
    if (arp.size() < 28) return kAny;
    bool request = load_be<uint16_t>(arp.data() + 6) == 1;
    bool gratuitous = std::memcmp(arp.data() + 14, arp.data() + 24, 4) == 0;
    return request && !gratuitous ? 0 : kAll;
}

unsigned FlowSorter::of_ipv4(Bytes ip) const {
    if (ip.size() < 20) return kAny;
    size_t header = (byte_at(ip, 0) & 15u) * 4;
    if (is_fragment_v4(ip) || header < 20 || ip.size() < header + 8) return kAny;
    Bytes payload = ip.subspan(header);
    switch (byte_at(ip, 9)) {
        case kProtocolTcp:
            return of_tcp(ip.subspan(12, 4), ip.subspan(16, 4), payload);
        case kProtocolUdp:
            return of_udp(payload);
        case kProtocolIcmp:
            return of_icmp(payload);
    }
    return kAny;
}

// Extension headers are left to whoever has the frame: no device hashes past them either.
unsigned FlowSorter::of_ipv6(Bytes ip) const {
    if (ip.size() < 48) return kAny;
    Bytes payload = ip.subspan(40);
    switch (byte_at(ip, 6)) {
        case kProtocolTcp:
            return of_tcp(ip.subspan(8, 16), ip.subspan(24, 16), payload);
        case kProtocolUdp:
            return of_udp(payload);
        case kProtocolIcmpv6:
            return of_icmpv6(payload);
    }
    return kAny;
}

unsigned FlowSorter::of_tcp(Bytes source, Bytes destination, Bytes tcp) const {
    return owner_of_hash(hash(source, destination, load_be<uint16_t>(tcp.data()),
                              load_be<uint16_t>(tcp.data() + 2)));
}

unsigned FlowSorter::of_udp(Bytes udp) const {
    unsigned port = load_be<uint16_t>(udp.data() + 2);
    bool ring =
        first_ring_port_ != 0 && port >= first_ring_port_ && port < first_ring_port_ + workers_;
    return ring ? port - first_ring_port_ : kAny;
}

unsigned FlowSorter::of_icmp(Bytes icmp) const {
    return is_error(byte_at(icmp, 0)) ? of_quote(icmp.subspan(8), true) : 0;
}

unsigned FlowSorter::of_icmpv6(Bytes icmp) const {
    constexpr uint8_t kAdvertisement = 136;
    uint8_t type = byte_at(icmp, 0);
    if (type == kAdvertisement) return kAll;
    return type < 128 ? of_quote(icmp.subspan(8), false) : 0;
}

// The quoted packet is one that we sent: its answers come with the addresses exchanged.
unsigned FlowSorter::of_quote(Bytes ip, bool v4) const {
    size_t header = 40, source = 8, size = 16, protocol = 6;
    if (v4) {
        if (ip.empty()) return kAny;
        header = (byte_at(ip, 0) & 15u) * 4;
        source = 12, size = 4, protocol = 9;
        if (header < 20) return kAny;
    }
    if (ip.size() < header + 4 || byte_at(ip, protocol) != kProtocolTcp) return kAny;
    const std::byte* ports = ip.data() + header;
    return owner_of_hash(hash(ip.subspan(source + size, size), ip.subspan(source, size),
                              load_be<uint16_t>(ports + 2), load_be<uint16_t>(ports)));
}

}  // namespace holdfast
