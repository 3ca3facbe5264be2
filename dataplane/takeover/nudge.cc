#include "dataplane/takeover/nudge.h"

#include <array>

#include "dataplane/forward/too_big.h"
#include "dataplane/takeover/session_flags.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ip.h"
#include "dataplane/wire/tcp_segment.h"

namespace holdfast {

void Nudge::consider(SessionIndex index, Instant now) {
    using namespace takeover_flag;
    Session& s = *forwarder_.sessions().get(index);
    if (s.has(kNudgeQueued) || is_embryonic(s.state) || is_over(s.state)) return;
    if (!services_[s.service].nudge || s.has(Session::kRelayed)) return;
    const bool active = s.has(kClientActive | kBackendActive) || s.segment_version == 0;
    const bool outstanding =
        s.from_client.end != s.from_backend.ack || s.from_backend.end != s.from_client.ack;
    if ((!active && !outstanding) || late(s, now)) return;
    s.set(kNudgeQueued);
    queue_.push_back(index);
}

bool Nudge::late(const Session& s, Instant now) {
    if (now <= useful_until_[s.group.value]) return false;
    ++counters_.late;
    return true;
}

void Nudge::probe(SessionIndex index, Instant now, Outlet& outlet) {
    Session* s = forwarder_.sessions().get(index);
    if (!s || late(*s, now)) return;
    last_probe_ = now;
    for (const Direction receiver : {Direction::from_client, Direction::from_backend}) {
        const TcpSide& sender = s->side(opposite(receiver));
        const bool wanted = s->segment_version == 0 ||
                            s->has(takeover_flag::active(opposite(receiver))) ||
                            sender.end != s->side(receiver).ack;
        if (!wanted) continue;
        if (!probe_end(*s, receiver, outlet)) ++counters_.impossible;
    }
}

bool Nudge::probe_end(Session& s, Direction receiver, Outlet& outlet) {
    std::array<std::byte, 128> buffer;
    const size_t ethernet = forwarder_.make_ethernet(s, receiver, buffer);
    if (ethernet == 0) return false;
    const FlowKey flow = as_sent_to(s, receiver);
    const std::byte octet{};
    TcpEmit tcp;
    tcp.source = flow.source.address;
    tcp.destination = flow.destination.address;
    tcp.segment.source_port = flow.source.port;
    tcp.segment.destination_port = flow.destination.port;
    // Before anything it may still be waiting for: what we know of it can be old, never ahead.
    tcp.segment.seq = s.side(receiver).ack - 1;
    tcp.segment.ack = s.side(opposite(receiver)).ack;
    tcp.segment.flags = tcp_flag::ack;
    tcp.payload = Bytes(&octet, 1);
    ByteWriter w(MutableBytes(buffer).subspan(ethernet));
    emit_ip(ip_header(tcp.source, tcp.destination, kProtocolTcp, tcp_size(tcp)), w);
    emit_tcp(tcp, w);
    if (!w.ok()) return false;
    s.set(takeover_flag::asked(receiver));
    ++counters_.probes;
    outlet.transmit(receiver == Direction::from_client ? Side::front : Side::back,
                    Bytes(buffer).first(ethernet + w.used()));
    return true;
}

void Nudge::on_pass(const Step& step, Bytes frame, Outlet& outlet) {
    Session* s = forwarder_.sessions().get(step.session);
    if (!s || !s->has(takeover_flag::asked(step.direction))) return;
    const auto ethernet = parse_ethernet(frame);
    if (!ethernet) return;
    const Bytes packet = frame.subspan(ethernet->size);
    const auto ip = ethernet->type == kEtherTypeIpv4 ? parse_ipv4(packet) : parse_ipv6(packet);
    if (!ip) return;
    const auto tcp = parse_tcp(packet.subspan(ip->header_size, ip->payload_size));
    if (!tcp || !tcp->has(tcp_flag::ack)) return;
    s->clear(takeover_flag::asked(step.direction));
    if (wake(*s, opposite(step.direction), tcp->ack, outlet)) ++counters_.woken;
}

bool Nudge::wake(const Session& s, Direction sender, SeqNum expected, Outlet& outlet) {
    std::array<std::byte, 160> buffer;
    const size_t size = make_too_big(forwarder_, s, sender, expected, buffer);
    if (size == 0) return false;
    outlet.transmit(sender == Direction::from_client ? Side::front : Side::back,
                    Bytes(buffer).first(size));
    return true;
}

// All of the queue is over once the last probe had its time: late answers are no news to anyone.
void Nudge::expire(Instant now) {
    if (queue_.empty() || next_ < queue_.size() || now - last_probe_ < kPatience) return;
    for (const SessionIndex index : queue_) {
        Session* s = forwarder_.sessions().get(index);
        if (!s) continue;
        counters_.unanswered +=
            s->has(takeover_flag::kAskedClient) + s->has(takeover_flag::kAskedBackend);
        s->clear(takeover_flag::kAskedClient | takeover_flag::kAskedBackend |
                 takeover_flag::kNudgeQueued);
    }
    queue_.clear();
    next_ = 0;
}

void Nudge::forget(GroupId group) {
    std::vector<SessionIndex> keep;
    const size_t done = next_;
    next_ = 0;
    for (size_t i = 0; i < queue_.size(); ++i) {
        const Session* s = forwarder_.sessions().get(queue_[i]);
        if (!s || s->group == group) continue;
        keep.push_back(queue_[i]);
        next_ += i < done;
    }
    queue_ = std::move(keep);
}

}  // namespace holdfast
