#include "dataplane/forward/rewrite.h"

#include "dataplane/wire/checksum.h"
#include "dataplane/wire/tcp_segment.h"

namespace holdfast {
namespace {

// Addresses and ports in the order in which they lie on the wire.
struct WireTuple {
    std::byte bytes[36];
    size_t addresses;  // bytes of the two addresses; the ports follow

    WireTuple(const FlowKey& key, bool v4) : addresses(2 * address_size(v4)) {
        const size_t n = address_size(v4);
        std::memcpy(bytes, address_bytes(key.source.address, v4), n);
        std::memcpy(bytes + n, address_bytes(key.destination.address, v4), n);
        store_be(bytes + addresses, key.source.port);
        store_be(bytes + addresses + 2, key.destination.port);
    }
};

// TTL and protocol share a 16-bit word of the IPv4 header.
void decrement_ttl(std::byte* ip, bool v4, ChecksumDelta& delta) {
    if (!v4) {
        ip[7] = static_cast<std::byte>(static_cast<uint8_t>(ip[7]) - 1);
        return;
    }
    std::byte old[2] = {ip[8], ip[9]};
    ip[8] = static_cast<std::byte>(static_cast<uint8_t>(ip[8]) - 1);
    delta.replace(old, ip + 8, 2);
}

}  // namespace

void rewrite_link(Frame& frame, const EthernetHeader& old, const LinkHop& hop) {
    std::byte header[18];
    ByteWriter w(header);
    emit_ethernet({hop.destination, hop.source, hop.vlan, old.type}, w);
    frame.data += old.size;
    frame.data -= w.used();
    frame.length = static_cast<uint32_t>(frame.length - old.size + w.used());
    std::memcpy(frame.data, header, w.used());
}

void rewrite_tcp(std::byte* ip_packet, const IpHeader& ip, const FlowKey& was, const FlowKey& now) {
    const WireTuple before(was, ip.v4), after(now, ip.v4);
    const size_t n = after.addresses;
    ChecksumDelta delta;
    delta.replace(before.bytes, after.bytes, n);
    if (ip.v4) {
        ChecksumDelta of_ip = delta;
        decrement_ttl(ip_packet, true, of_ip);
        of_ip.apply(ip_packet + 10);
    } else {
        decrement_ttl(ip_packet, false, delta);
    }
    delta.replace(before.bytes + n, after.bytes + n, 4);
    std::memcpy(ip_packet + (ip.v4 ? kIpv4SourceOffset : kIpv6SourceOffset), after.bytes, n);
    std::byte* tcp = ip_packet + ip.header_size;
    std::memcpy(tcp, after.bytes + n, 4);
    delta.apply(tcp + kTcpChecksumOffset);
}

void rewrite_ip(std::byte* ip_packet, const IpHeader& ip, const IpAddress& source,
                const IpAddress& destination) {
    const WireTuple before({{ip.source, 0}, {ip.destination, 0}}, ip.v4);
    const WireTuple after({{source, 0}, {destination, 0}}, ip.v4);
    ChecksumDelta delta;
    delta.replace(before.bytes, after.bytes, after.addresses);
    decrement_ttl(ip_packet, ip.v4, delta);
    if (ip.v4) delta.apply(ip_packet + 10);
    std::memcpy(ip_packet + (ip.v4 ? kIpv4SourceOffset : kIpv6SourceOffset), after.bytes,
                after.addresses);
}

void rewrite_quote(MutableBytes quote, const IpHeader& ip, const FlowKey& was, const FlowKey& now) {
    const WireTuple before(was, ip.v4), after(now, ip.v4);
    const size_t n = after.addresses;
    std::byte* p = quote.data();
    ChecksumDelta delta;
    delta.replace(before.bytes, after.bytes, n);
    if (ip.v4) delta.apply(p + 10);
    std::memcpy(p + (ip.v4 ? kIpv4SourceOffset : kIpv6SourceOffset), after.bytes, n);
    std::byte* tcp = p + ip.header_size;
    std::memcpy(tcp, after.bytes + n, 4);
    delta.replace(before.bytes + n, after.bytes + n, 4);
    if (ip.payload_size >= kTcpChecksumOffset + 2) delta.apply(tcp + kTcpChecksumOffset);
}

}  // namespace holdfast
