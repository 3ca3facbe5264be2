#include "dataplane/wire/ip.h"

#include "dataplane/wire/checksum.h"

namespace holdfast {
namespace {

constexpr uint8_t kHopByHop = 0, kRouting = 43, kFragment = 44, kDestinationOptions = 60;
// Guess: nobody honest sends more than one of each to a web server.
constexpr int kMaxExtensions = 4;

// RFC 1122 section 3.2.1.3 and RFC 4291 section 2.7: what can never be a source.
bool source_acceptable(const IpAddress& a) {
    if (is_multicast(a)) return false;
    if (a.is_v4()) return a.bytes[12] != 0 && a.bytes[12] != 127 && a.as_v4() != 0xffffffff;
    constexpr IpAddress kLoopback{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
    return a != kLoopback;
}

IpHeader read_ipv4(const std::byte* p) {
    IpHeader h;
    h.v4 = true;
    h.header_size = static_cast<uint16_t>((static_cast<uint8_t>(p[0]) & 0x0f) * 4);
    h.traffic_class = static_cast<uint8_t>(p[1]);
    h.ttl = static_cast<uint8_t>(p[8]);
    h.protocol = static_cast<uint8_t>(p[9]);
    h.source = load_address(p + kIpv4SourceOffset, true);
    h.destination = load_address(p + kIpv4DestinationOffset, true);
    return h;
}

IpHeader read_ipv6(const std::byte* p) {
    IpHeader h;
    h.v4 = false;
    h.header_size = 40;
    h.traffic_class = static_cast<uint8_t>(load_be<uint16_t>(p) >> 4 & 0xff);
    h.protocol = static_cast<uint8_t>(p[6]);
    h.ttl = static_cast<uint8_t>(p[7]);
    h.source = load_address(p + kIpv6SourceOffset, false);
    h.destination = load_address(p + kIpv6DestinationOffset, false);
    return h;
}

// Steps over hop-by-hop and destination options; `available` counts from the IPv6 header.
DropReason skip_extensions(const std::byte* p, size_t available, IpHeader& h) {
    for (int i = 0;; ++i) {
        switch (h.protocol) {
            case kFragment:
                return DropReason::fragment;
            case kRouting:
                return DropReason::ipv6_extension;
            case kHopByHop:
            case kDestinationOptions:
                break;
            default:
                return DropReason::none;
        }
        if (i == kMaxExtensions) return DropReason::ipv6_extension;
        if (available < h.header_size + 8u) return DropReason::ip_malformed;
        const std::byte* ext = p + h.header_size;
        size_t size = (static_cast<size_t>(ext[1]) + 1) * 8;
        if (available < h.header_size + size) return DropReason::ip_malformed;
        h.protocol = static_cast<uint8_t>(ext[0]);
        h.header_size = static_cast<uint16_t>(h.header_size + size);
    }
}

bool ipv4_fragment(const std::byte* p) { return (load_be<uint16_t>(p + 6) & 0x3fff) != 0; }

}  // namespace

std::expected<IpHeader, DropReason> parse_ipv4(Bytes packet) {
    if (packet.size() < 20) return std::unexpected(DropReason::frame_too_short);
    const std::byte* p = packet.data();
    if (static_cast<uint8_t>(p[0]) >> 4 != 4) return std::unexpected(DropReason::ip_malformed);
    IpHeader h = read_ipv4(p);
    const size_t total = load_be<uint16_t>(p + 2);
    if (h.header_size < 20 || total < h.header_size || total > packet.size())
        return std::unexpected(DropReason::ip_malformed);
    if (fold_sum(add_to_sum(0, packet.first(h.header_size))) != 0xffff)
        return std::unexpected(DropReason::ip_checksum);
    if (ipv4_fragment(p)) return std::unexpected(DropReason::fragment);
    if (!source_acceptable(h.source)) return std::unexpected(DropReason::ip_bad_source);
    h.payload_size = static_cast<uint32_t>(total - h.header_size);
    return h;
}

std::expected<IpHeader, DropReason> parse_ipv6(Bytes packet) {
    if (packet.size() < 40) return std::unexpected(DropReason::frame_too_short);
    const std::byte* p = packet.data();
    if (static_cast<uint8_t>(p[0]) >> 4 != 6) return std::unexpected(DropReason::ip_malformed);
    IpHeader h = read_ipv6(p);
    const size_t total = 40u + load_be<uint16_t>(p + 4);
    if (total > packet.size()) return std::unexpected(DropReason::ip_malformed);
    // A v4-mapped address on the wire would be taken for IPv4 everywhere else (RFC 4942 2.2).
    if (!source_acceptable(h.source) || h.source.is_v4())
        return std::unexpected(DropReason::ip_bad_source);
    if (h.destination.is_v4()) return std::unexpected(DropReason::ip_malformed);
    if (DropReason r = skip_extensions(p, total, h); r != DropReason::none)
        return std::unexpected(r);
    h.payload_size = static_cast<uint32_t>(total - h.header_size);
    return h;
}

std::expected<IpHeader, DropReason> parse_quoted(Bytes quote, bool v4) {
    if (quote.size() < (v4 ? 20u : 40u)) return std::unexpected(DropReason::icmp_malformed);
    const std::byte* p = quote.data();
    if (static_cast<uint8_t>(p[0]) >> 4 != (v4 ? 4 : 6))
        return std::unexpected(DropReason::icmp_malformed);
    IpHeader h = v4 ? read_ipv4(p) : read_ipv6(p);
    if (v4) {
        if (h.header_size < 20 || h.header_size > quote.size())
            return std::unexpected(DropReason::icmp_malformed);
        if ((load_be<uint16_t>(p + 6) & 0x1fff) != 0) return std::unexpected(DropReason::fragment);
    } else if (DropReason r = skip_extensions(p, quote.size(), h); r != DropReason::none) {
        return std::unexpected(r);
    }
    h.payload_size = static_cast<uint32_t>(quote.size() - h.header_size);
    return h;
}

void emit_ip(const IpHeader& h, ByteWriter& to) {
    std::byte* p = to.reserve(h.v4 ? 20 : 40);
    if (p == nullptr) return;
    const size_t n = address_size(h.v4);
    if (h.v4) {
        std::memset(p, 0, 20);
        p[0] = std::byte{0x45};
        p[1] = std::byte{h.traffic_class};
        store_be(p + 2, static_cast<uint16_t>(20 + h.payload_size));
        store_be(p + 6, uint16_t{0x4000});  // don't fragment
        p[8] = std::byte{h.ttl};
        p[9] = std::byte{h.protocol};
        std::memcpy(p + kIpv4SourceOffset, address_bytes(h.source, true), n);
        std::memcpy(p + kIpv4DestinationOffset, address_bytes(h.destination, true), n);
        store_checksum(p + 10, checksum_of(add_to_sum(0, {p, 20})));
        return;
    }
    store_be(p, 6u << 28 | uint32_t{h.traffic_class} << 20);
    store_be(p + 4, static_cast<uint16_t>(h.payload_size));
    p[6] = std::byte{h.protocol};
    p[7] = std::byte{h.ttl};
    std::memcpy(p + kIpv6SourceOffset, address_bytes(h.source, false), n);
    std::memcpy(p + kIpv6DestinationOffset, address_bytes(h.destination, false), n);
}

}  // namespace holdfast
