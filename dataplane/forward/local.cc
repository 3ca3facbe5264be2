// What is for this node itself: ARP and neighbour discovery, echo, answers to health checks.
#include "dataplane/forward/forwarder_impl.h"
#include "dataplane/neighbor/answer.h"

namespace holdfast {

// Which MAC address we give out for an address on a side, if it is ours to answer for: VIPs in
// front and pool addresses at the back while we hold their group, our own addresses always.
std::optional<MacAddress> Forwarder::Impl::answers_for(const IpAddress& address, Side side) const {
    const PortOptions& port = side == Side::front ? options.front : options.back;
    if (port.own_v4 == address || port.own_v6 == address) return port.mac;
    if (!address.is_v4() && address == link_local(port.mac)) return port.mac;
    const AddressBook::Owner* owner = book.owner(address);
    if (owner == nullptr || !answers(owner->group)) return std::nullopt;
    if (owner->pool != (side == Side::back)) return std::nullopt;
    return groups[owner->group.value].mac;
}

bool Forwarder::Impl::is_own_back(const IpAddress& address) const {
    return options.back.own_v4 == address || options.back.own_v6 == address;
}

Step Forwarder::Impl::on_arp(const EthernetHeader& ethernet, Bytes body, Side in, Instant now,
                             Outlet& out) {
    const auto arp = parse_arp(body);
    if (!arp) return dropped(arp.error());
    // Requests teach as well as replies do (RFC 826), gratuitous ones included.
    if (arp->sender != IpAddress::v4(0) && neighbors(in).learn(arp->sender, arp->sender_mac, now))
        events.on_neighbor(in, arp->sender, arp->sender_mac, now);
    if (arp->operation == ArpPacket::kRequest && arp->sender != arp->target)
        if (const auto mac = answers_for(arp->target, in))
            answer_arp(ethernet, *arp, *mac, in, out);
    return consumed();
}

Step Forwarder::Impl::on_neighbor_message(const Packet& packet, Side in, Instant now, Outlet& out) {
    const auto m = parse_nd(packet.ip, packet.payload());
    if (!m) return dropped(m.error());
    if (m->solicitation) {
        if (const auto mac = answers_for(m->target, in))
            answer_solicitation(packet.ethernet, packet.ip, *m, *mac, in, out);
    }
    const IpAddress& about = m->solicitation ? packet.ip.source : m->target;
    // An answer to a unicast question may leave its link-layer address out (RFC 4861 section 4.4).
    const MacAddress mac = m->link_layer.value_or(packet.ethernet.source);
    if (neighbors(in).learn(about, mac, now)) events.on_neighbor(in, about, mac, now);
    return consumed();
}

Step Forwarder::Impl::on_icmp(Frame& frame, const Packet& packet, Instant now, Outlet& out) {
    const auto icmp = parse_icmp(packet.ip, packet.payload());
    if (!icmp) return dropped(icmp.error());
    if (!packet.ip.v4 && (icmp->type == icmpv6_type::neighbor_solicitation ||
                          icmp->type == icmpv6_type::neighbor_advertisement))
        return on_neighbor_message(packet, frame.in, now, out);
    if (icmp->error) return on_icmp_error(frame, packet);
    if (!icmp->echo_request) return dropped(DropReason::icmp_unsupported);

    const AddressBook::Owner* owner = book.owner(packet.ip.destination);
    if (owner != nullptr && !answers(owner->group)) return dropped(DropReason::not_holder);
    const auto mac = answers_for(packet.ip.destination, frame.in);
    if (!mac || packet.ip.source == IpAddress{}) return dropped(DropReason::not_for_us);
    make_echo_reply(packet.ip, packet.bytes);
    rewrite_link(frame, packet.ethernet.size, packet.ethernet.type,
                 {&packet.ethernet.source, &*mac, packet.ethernet.vlan});
    out.transmit(frame.in, {frame.data, frame.length});
    ++counters.echo_answered;
    return consumed();
}

Step Forwarder::Impl::on_own_tcp(const Packet& packet, const TcpSegment& tcp, Instant now,
                                 Outlet&) {
    if (!is_own_back(packet.ip.destination)) return dropped(DropReason::not_for_us);
    health.on_segment(
        {{packet.ip.source, tcp.source_port}, {packet.ip.destination, tcp.destination_port}}, tcp,
        now, *this);
    return consumed();
}

void Forwarder::Impl::send_probe(const Endpoint& from, const Endpoint& to,
                                 const TcpSegment& segment) {
    const MacAddress* mac = back.mac_of(next_hop(options.back, to.address));
    if (mac == nullptr || outlet == nullptr) return;  // then the probe times out
    const bool v4 = to.address.is_v4();
    std::byte buffer[128];
    ByteWriter w(buffer);
    emit_ethernet({*mac, options.back.mac, options.back.vlan, v4 ? kEtherTypeIpv4 : kEtherTypeIpv6},
                  w);
    TcpEmit tcp{from.address, to.address, segment, {}, {}};
    emit_ip(ip_header(from.address, to.address, kProtocolTcp, tcp_size(tcp)), w);
    emit_tcp(tcp, w);
    outlet->transmit(Side::back, w.written());
}

}  // namespace holdfast
