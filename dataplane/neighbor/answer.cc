#include "dataplane/neighbor/answer.h"

#include "dataplane/wire/checksum.h"
#include "dataplane/wire/icmp.h"

namespace holdfast {

void answer_arp(const EthernetHeader& ethernet, const ArpPacket& arp, const MacAddress& mac,
                Side side, Outlet& out) {
    std::byte buffer[64];
    ByteWriter w(buffer);
    emit_ethernet({ethernet.source, mac, ethernet.vlan, kEtherTypeArp}, w);
    emit_arp({ArpPacket::kReply, mac, arp.target, arp.sender_mac, arp.sender}, w);
    out.transmit(side, w.written());
}

void answer_solicitation(const EthernetHeader& ethernet, const IpHeader& ip,
                         const NdMessage& message, const MacAddress& mac, Side side, Outlet& out) {
    const bool nameless = ip.source == IpAddress{};
    NdMessage m;
    m.flags = NdMessage::kOverride | (nameless ? 0 : NdMessage::kSolicited);
    m.target = message.target;
    m.link_layer = mac;
    const IpAddress to = nameless ? kAllNodes : ip.source;
    const MacAddress to_mac = nameless ? multicast_mac(kAllNodes) : ethernet.source;
    std::byte buffer[96];
    ByteWriter w(buffer);
    emit_ethernet({to_mac, mac, ethernet.vlan, kEtherTypeIpv6}, w);
    emit_nd(m, message.target, to, w);
    out.transmit(side, w.written());
}

void announce_address(const IpAddress& address, const MacAddress& mac, uint16_t vlan, Side side,
                      Outlet& out) {
    std::byte buffer[96];
    if (address.is_v4()) {
        for (uint16_t operation : {ArpPacket::kRequest, ArpPacket::kReply}) {
            ByteWriter w(buffer);
            emit_ethernet({kBroadcastMac, mac, vlan, kEtherTypeArp}, w);
            const bool reply = operation == ArpPacket::kReply;
            emit_arp({operation, mac, address, reply ? kBroadcastMac : MacAddress{}, address}, w);
            out.transmit(side, w.written());
        }
        return;
    }
    NdMessage m;
    m.flags = NdMessage::kOverride;
    m.target = address;
    m.link_layer = mac;
    ByteWriter w(buffer);
    emit_ethernet({multicast_mac(kAllNodes), mac, vlan, kEtherTypeIpv6}, w);
    emit_nd(m, address, kAllNodes, w);
    out.transmit(side, w.written());
}

void make_echo_reply(const IpHeader& ip, MutableBytes packet) {
    std::byte* p = packet.data();
    const size_t n = address_size(ip.v4);
    const size_t source = ip.v4 ? kIpv4SourceOffset : kIpv6SourceOffset;
    std::memcpy(p + source, address_bytes(ip.destination, ip.v4), n);
    std::memcpy(p + source + n, address_bytes(ip.source, ip.v4), n);
    p[ip.v4 ? 8 : 7] = std::byte{64};
    if (ip.v4) {
        store_checksum(p + 10, 0);
        store_checksum(p + 10, checksum_of(add_to_sum(0, packet.first(ip.header_size))));
    }
    MutableBytes icmp = packet.subspan(ip.header_size, ip.payload_size);
    icmp[0] = std::byte{ip.v4 ? icmp_type::echo_reply : icmpv6_type::echo_reply};
    finish_icmp(ip.destination, ip.source, icmp);
}

}  // namespace holdfast
