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

}  // namespace holdfast
