#include "dataplane/forward/rewrite.h"

#include "dataplane/wire/checksum.h"
#include "dataplane/wire/tcp_segment.h"

namespace holdfast {
namespace {

// Addresses and ports in the order in which they lie on the wire. A template, so that all sizes are
// known.
template <bool v4>
struct WireTuple {
    static constexpr size_t kAddress = address_size(v4);
    static constexpr size_t kAddresses = 2 * kAddress;
    std::byte bytes[kAddresses + 4];

    explicit WireTuple(const FlowKey& key) {
        std::memcpy(bytes, address_bytes(key.source.address, v4), kAddress);
        std::memcpy(bytes + kAddress, address_bytes(key.destination.address, v4), kAddress);
        store_be(bytes + kAddresses, uint32_t{key.source.port} << 16 | key.destination.port);
    }
};

std::byte minus_one(std::byte b) { return static_cast<std::byte>(static_cast<uint8_t>(b) - 1); }

// Writes addresses, decrements TTL or hop limit; `addresses` is what the transport's checksum must
// hear of.
template <bool v4>
void rewrite_header(std::byte* ip, const WireTuple<v4>& was, const WireTuple<v4>& now,
                    bool decrement, ChecksumDelta& addresses) {
    constexpr size_t n = WireTuple<v4>::kAddresses;
    addresses.replace(was.bytes, now.bytes, n);
    if constexpr (v4) {
        ChecksumDelta header = addresses;
        if (decrement) {  // TTL and protocol share a word
            const std::byte old[2] = {ip[kIpv4Ttl], ip[kIpv4Ttl + 1]};
            const std::byte word[2] = {minus_one(old[0]), old[1]};
            ip[kIpv4Ttl] = word[0];
            header.replace(old, word, 2);
        }
        header.apply(ip + kIpv4Checksum);
    } else if (decrement) {
        ip[kIpv6HopLimit] = minus_one(ip[kIpv6HopLimit]);
    }
    std::memcpy(ip + (v4 ? kIpv4SourceOffset : kIpv6SourceOffset), now.bytes, n);
}

template <bool v4>
void rewrite_ports(std::byte* tcp, const WireTuple<v4>& was, const WireTuple<v4>& now,
                   ChecksumDelta& delta) {
    constexpr size_t n = WireTuple<v4>::kAddresses;
    delta.replace(was.bytes + n, now.bytes + n, 4);
    std::memcpy(tcp, now.bytes + n, 4);
}

template <bool v4>
void rewrite_quoted(std::byte* quote, const IpHeader& ip, const FlowKey& was, const FlowKey& now) {
    const WireTuple<v4> before(was), after(now);
    ChecksumDelta delta;
    rewrite_header<v4>(quote, before, after, false, delta);
    std::byte* tcp = quote + ip.header_size;
    rewrite_ports<v4>(tcp, before, after, delta);
    if (ip.payload_size >= kTcpChecksumOffset + 2) delta.apply(tcp + kTcpChecksumOffset);
}

template <bool v4>
void rewrite_addresses(std::byte* ip, const FlowKey& was, const FlowKey& now) {
    ChecksumDelta unused;
    rewrite_header<v4>(ip, WireTuple<v4>(was), WireTuple<v4>(now), true, unused);
}

}  // namespace

void rewrite_ip(std::byte* ip_packet, const IpHeader& ip, const IpAddress& source,
                const IpAddress& destination) {
    const FlowKey was{{ip.source, 0}, {ip.destination, 0}}, now{{source, 0}, {destination, 0}};
    if (ip.v4)
        rewrite_addresses<true>(ip_packet, was, now);
    else
        rewrite_addresses<false>(ip_packet, was, now);
}

void rewrite_quote(MutableBytes quote, const IpHeader& ip, const FlowKey& was, const FlowKey& now) {
    if (ip.v4)
        rewrite_quoted<true>(quote.data(), ip, was, now);
    else
        rewrite_quoted<false>(quote.data(), ip, was, now);
}

}  // namespace holdfast
