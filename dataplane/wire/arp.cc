#include "dataplane/wire/arp.h"

#include "dataplane/wire/ip.h"

namespace holdfast {
namespace {
constexpr uint64_t kEthernetIpv4 = 0x0001'0800'06'04;  // hardware, protocol, their lengths
}

std::expected<ArpPacket, DropReason> parse_arp(Bytes bytes) {
    ByteReader r(bytes);
    const uint64_t kind = uint64_t{r.be<uint32_t>()} << 16 | r.be<uint16_t>();
    ArpPacket a;
    a.operation = r.be<uint16_t>();
    r.copy(std::as_writable_bytes(std::span(a.sender_mac.bytes)));
    a.sender = IpAddress::v4(r.be<uint32_t>());
    r.copy(std::as_writable_bytes(std::span(a.target_mac.bytes)));
    a.target = IpAddress::v4(r.be<uint32_t>());
    if (!r.ok() || kind != kEthernetIpv4) return std::unexpected(DropReason::arp_malformed);
    if (a.operation != ArpPacket::kRequest && a.operation != ArpPacket::kReply)
        return std::unexpected(DropReason::arp_malformed);
    if (a.sender_mac.is_group()) return std::unexpected(DropReason::arp_malformed);
    return a;
}

void emit_arp(const ArpPacket& a, ByteWriter& to) {
    to.be<uint32_t>(static_cast<uint32_t>(kEthernetIpv4 >> 16));
    to.be<uint16_t>(static_cast<uint16_t>(kEthernetIpv4));
    to.be<uint16_t>(a.operation);
    to.put(std::as_bytes(std::span(a.sender_mac.bytes)));
    to.be<uint32_t>(a.sender.as_v4());
    to.put(std::as_bytes(std::span(a.target_mac.bytes)));
    to.be<uint32_t>(a.target.as_v4());
}

}  // namespace holdfast
