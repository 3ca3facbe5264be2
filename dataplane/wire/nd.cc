#include "dataplane/wire/nd.h"

#include "dataplane/wire/icmp.h"

namespace holdfast {
namespace {
constexpr uint8_t kSourceLinkLayer = 1, kTargetLinkLayer = 2;
constexpr size_t kFixedSize = 24;
}  // namespace

std::expected<NdMessage, DropReason> parse_nd(const IpHeader& ip, Bytes bytes) {
    constexpr auto malformed = DropReason::nd_malformed;
    if (bytes.size() < kFixedSize || ip.ttl != 255 || bytes[1] != std::byte{0})
        return std::unexpected(malformed);
    NdMessage m;
    m.solicitation = static_cast<uint8_t>(bytes[0]) == icmpv6_type::neighbor_solicitation;
    if (!m.solicitation) m.flags = load_be<uint32_t>(bytes.data() + 4) & 0xe0000000;
    m.target = load_address(bytes.data() + 8, false);
    if (is_multicast(m.target) || m.target.is_v4()) return std::unexpected(malformed);
    const uint8_t wanted = m.solicitation ? kSourceLinkLayer : kTargetLinkLayer;
    for (Bytes rest = bytes.subspan(kFixedSize); !rest.empty();) {
        if (rest.size() < 8 || rest[1] == std::byte{0}) return std::unexpected(malformed);
        const size_t length = static_cast<size_t>(rest[1]) * 8;
        if (length > rest.size()) return std::unexpected(malformed);
        if (static_cast<uint8_t>(rest[0]) == wanted && length == 8) {
            MacAddress mac;
            std::memcpy(mac.bytes.data(), rest.data() + 2, 6);
            if (mac.is_group()) return std::unexpected(malformed);
            m.link_layer = mac;
        }
        rest = rest.subspan(length);
    }
    return m;
}

void emit_nd(const NdMessage& m, const IpAddress& source, const IpAddress& destination,
             ByteWriter& to) {
    const size_t size = kFixedSize + (m.link_layer ? 8 : 0);
    IpHeader ip = ip_header(source, destination, kProtocolIcmpv6, size);
    ip.ttl = 255;
    emit_ip(ip, to);
    std::byte* p = to.reserve(size);
    if (p == nullptr) return;
    std::memset(p, 0, size);
    p[0] = std::byte{m.solicitation ? icmpv6_type::neighbor_solicitation
                                    : icmpv6_type::neighbor_advertisement};
    store_be(p + 4, m.flags);
    std::memcpy(p + 8, m.target.bytes.data(), 16);
    if (m.link_layer) {
        p[24] = std::byte{m.solicitation ? kSourceLinkLayer : kTargetLinkLayer};
        p[25] = std::byte{1};
        std::memcpy(p + 26, m.link_layer->bytes.data(), 6);
    }
    finish_icmp(source, destination, {p, size});
}

IpAddress solicited_node_multicast(const IpAddress& target) {
    IpAddress a{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff}};
    std::memcpy(a.bytes.data() + 13, target.bytes.data() + 13, 3);
    return a;
}

MacAddress multicast_mac(const IpAddress& group) {
    return {{0x33, 0x33, group.bytes[12], group.bytes[13], group.bytes[14], group.bytes[15]}};
}

IpAddress link_local(const MacAddress& mac) {
    const auto& m = mac.bytes;
    return {{0xfe, 0x80, 0, 0, 0, 0, 0, 0, static_cast<uint8_t>(m[0] ^ 2), m[1], m[2], 0xff, 0xfe,
             m[3], m[4], m[5]}};
}

}  // namespace holdfast
