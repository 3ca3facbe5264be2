#include "dataplane/relay/segment_frame.h"

#include <array>

#include "dataplane/wire/ip.h"

namespace holdfast {

size_t build_segment_frame(const Forwarder& forwarder, const Session& session, Direction towards,
                           const TcpSegment& segment, const TcpOptions& options,
                           std::span<const Bytes> payload, MutableBytes to) {
    const size_t ethernet = forwarder.make_ethernet(session, towards, to);
    if (ethernet == 0) return 0;
    const bool client = towards == Direction::from_client;
    const Endpoint& source = client ? session.vip : session.pool;
    const Endpoint& destination = client ? session.client : session.backend;

    std::array<std::byte, kMaxSegmentFrame> gathered;
    TcpEmit tcp{source.address, destination.address, segment, options, {}};
    tcp.segment.source_port = source.port;
    tcp.segment.destination_port = destination.port;
    if (payload.size() == 1) {
        tcp.payload = payload[0];
    } else if (payload.size() > 1) {
        ByteWriter w(gathered);
        for (const Bytes piece : payload) w.put(piece);
        if (!w.ok()) return 0;
        tcp.payload = w.written();
    }
    ByteWriter w(to.subspan(ethernet));
    emit_ip(ip_header(tcp.source, tcp.destination, kProtocolTcp, tcp_size(tcp)), w);
    return w.ok() && emit_tcp(tcp, w) != 0 ? ethernet + w.used() : 0;
}

std::optional<SegmentFrame> read_segment_frame(Bytes frame) {
    const auto ethernet = parse_ethernet(frame);
    if (!ethernet) return std::nullopt;
    const Bytes body = frame.subspan(ethernet->size);
    const auto ip = ethernet->type == kEtherTypeIpv4 ? parse_ipv4(body) : parse_ipv6(body);
    if (!ip) return std::nullopt;
    const Bytes payload = body.subspan(ip->header_size, ip->payload_size);
    const auto tcp = parse_tcp(payload);
    if (!tcp) return std::nullopt;
    const auto options = parse_tcp_options(payload.subspan(20, tcp->header_size - 20u));
    if (!options) return std::nullopt;
    return SegmentFrame{*ethernet, *ip, *tcp, *options,
                        payload.subspan(tcp->header_size, tcp->payload_size)};
}

size_t build_answer_frame(const SegmentFrame& to, TcpSegment segment, const TcpOptions& options,
                          MutableBytes frame) {
    const TcpTuple tuple = to.tuple();
    segment.source_port = tuple.local.port;
    segment.destination_port = tuple.remote.port;
    const TcpEmit tcp{tuple.local.address, tuple.remote.address, segment, options, {}};
    ByteWriter w(frame);
    emit_ethernet({to.ethernet.source, to.ethernet.destination, to.ethernet.vlan, to.ethernet.type},
                  w);
    emit_ip(ip_header(tcp.source, tcp.destination, kProtocolTcp, tcp_size(tcp)), w);
    return w.ok() && emit_tcp(tcp, w) != 0 ? w.used() : 0;
}

}  // namespace holdfast
