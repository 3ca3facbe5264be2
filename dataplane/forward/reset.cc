// RST segments made here, as RFC 9293 section 3.10.7.1 has a closed endpoint make them.
#include "dataplane/forward/forwarder_impl.h"

namespace holdfast {
namespace {

struct Reset {
    EthernetHeader ethernet;
    FlowKey key;  // from, to
    TcpSegment segment;
};

size_t emit(Reset& r, MutableBytes to) {
    const IpAddress& source = r.key.source.address;
    const IpAddress& destination = r.key.destination.address;
    r.ethernet.type = source.is_v4() ? kEtherTypeIpv4 : kEtherTypeIpv6;
    r.segment.source_port = r.key.source.port;
    r.segment.destination_port = r.key.destination.port;
    ByteWriter w(to);
    emit_ethernet(r.ethernet, w);
    emit_ip(ip_header(source, destination, kProtocolTcp, 20), w);
    emit_tcp({source, destination, r.segment, {}, {}}, w);
    return w.ok() ? w.used() : 0;
}

}  // namespace

size_t Forwarder::make_reset(const Session& session, Direction towards, MutableBytes to) {
    const LinkHop hop = impl_->hop_towards(session, towards);
    if (!hop) return 0;
    const TcpSide& receiver = session.side(towards);
    Reset r;
    r.ethernet = {*hop.destination, *hop.source, hop.vlan, 0};
    r.key = towards == Direction::from_client ? FlowKey{session.vip, session.client}
                                              : FlowKey{session.pool, session.backend};
    // What the receiver last said it expects; if it has moved on, its challenge ACK tells and that
    // is answered in turn (RFC 5961 section 3.2).
    r.segment.seq = receiver.ack;
    r.segment.ack = receiver.end;
    r.segment.flags = tcp_flag::rst | tcp_flag::ack;
    const size_t size = emit(r, to);
    impl_->counters.resets_made += size > 0;
    return size;
}

size_t Forwarder::make_reset(Bytes frame, MutableBytes to) {
    const auto ethernet = parse_ethernet(frame);
    if (!ethernet) return 0;
    const Bytes body = frame.subspan(ethernet->size);
    const auto ip = ethernet->type == kEtherTypeIpv4 ? parse_ipv4(body) : parse_ipv6(body);
    if (!ip || ip->protocol != kProtocolTcp) return 0;
    const auto tcp = parse_tcp(body.subspan(ip->header_size, ip->payload_size));
    if (!tcp || tcp->has(tcp_flag::rst)) return 0;
    Reset r;
    r.ethernet = {ethernet->source, ethernet->destination, ethernet->vlan, 0};
    r.key = {{ip->destination, tcp->destination_port}, {ip->source, tcp->source_port}};
    if (tcp->has(tcp_flag::ack)) {
        r.segment.seq = tcp->ack;
        r.segment.flags = tcp_flag::rst;
    } else {
        r.segment.ack = tcp->end();
        r.segment.flags = tcp_flag::rst | tcp_flag::ack;
    }
    const size_t size = emit(r, to);
    impl_->counters.resets_made += size > 0;
    return size;
}

size_t Forwarder::make_ethernet(const Session& session, Direction towards, MutableBytes to) const {
    const LinkHop hop = impl_->hop_towards(session, towards);
    if (!hop) return 0;
    ByteWriter w(to);
    emit_ethernet({*hop.destination, *hop.source, hop.vlan,
                   session.client.address.is_v4() ? kEtherTypeIpv4 : kEtherTypeIpv6},
                  w);
    return w.ok() ? w.used() : 0;
}

}  // namespace holdfast
