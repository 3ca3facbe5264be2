// Relayed sessions that another node carried before.
#include <algorithm>

#include "dataplane/forward/too_big.h"
#include "dataplane/relay/align.h"
#include "dataplane/relay/relay_link.h"

namespace holdfast {
namespace {
// What a peer needs beside a round trip to answer, and our question to leave: that waits until the
// epoch is confirmed.
constexpr Duration kAnswerWithin = Duration::milliseconds(20);
}  // namespace

void Relay::restore(SessionIndex index, const RelayState& state, Instant now) {
    const RelaySession* known = find(index);
    // What the peers told is newer than any fragment.
    if (known && known->heard) return;
    RelayState aligned = align(state);
    // Any ACK since may have offered all of it.
    Tcb& c = aligned.client;
    if (aligned.stage == RelayStage::opening)
        c.rcv_edge = c.rcv_offered =
            later(c.rcv_offered, c.rcv_nxt + options_.client.receive_buffer);
    if (known) {  // only what brings news, and takes nothing back
        const RelayState mine = this->state(index, now);
        if (is_behind(aligned, mine) || !is_behind(mine, aligned)) return;
    }
    if (known) --open_;
    RelaySession& s = begin(index, forwarder_.sessions().get(index)->client.address.is_v4());
    carry_on(s, aligned, now);
}

void Relay::carry_on(RelaySession& s, const RelayState& aligned, Instant now) {
    forwarder_.set_created(s.index, now - aligned.age, now);
    s.client.restore(aligned.client, options_.takeover, now);
    s.stage = aligned.stage;
    if (s.stage != RelayStage::opening) {
        s.announced = true;
        s.backend.restore(aligned.backend, options_.takeover, now);
        // Perhaps only we had been told what was agreed, and the backend not yet.
        if (s.stage == RelayStage::committing) s.backend.allow_send(s.backend.state().iss + 1);
        s.backend.allow_ack(aligned.backend.rcv_nxt);
        s.preface = aligned.preface;
        if (s.preface.size > 0 && !s.preface.acknowledged) {
            const Session& session = *forwarder_.sessions().get(s.index);
            write_preface(s, make_preface(session, s.client.state(), nullptr));
        }
    }
    if (s.stage != RelayStage::opening || s.tls) {
        s.client.allow_ack(aligned.client.rcv_nxt);
        s.to_probe = s.stage != RelayStage::closing;
    }
    s.told_client = s.client.state().snd_una;
    s.told_backend = s.backend.state().snd_una;
    ++counters_.adopted;
    touch(s.index);
}

// Asks both peers where they are, by an old octet (RFC 9293 section 3.10.7.4, first check). What
// one acknowledges is what the other need not send again; the rest it is told to send at once.
void Relay::probe(RelaySession& s, Instant now) {
    s.to_probe = false;
    for (const Direction side : {Direction::from_client, Direction::from_backend}) {
        Link link(*this, s, side, now);
        s.end(side).probe(now, link);
    }
    if (!services_[forwarder_.sessions().get(s.index)->service].nudge) return;
    s.waking = side_bit(Direction::from_client) | side_bit(Direction::from_backend);
    s.answered = 0;
    const uint32_t rtt_us = std::max(s.client.state().srtt_us, s.backend.state().srtt_us);
    s.wake_by = now + kAnswerWithin + Duration::microseconds(rtt_us + rtt_us / 2);
}

// A peer that answers the probe says how far it is, as a receiver and as a sender. Who sends needs
// not be woken.
void Relay::watch_sender(RelaySession& s, Direction side, const TcpSegment& segment) {
    s.answered |= side_bit(side);
    if (segment.length() > 0)
        s.waking &= static_cast<uint8_t>(~side_bit(side));
    else
        s.peer_next[static_cast<size_t>(side)] = segment.seq;
}

// Once its receiver has said how far it is, a sender may go on from there; or when it does not say.
void Relay::wake_senders(RelaySession& s, Instant now) {
    for (const Direction sender : {Direction::from_client, Direction::from_backend}) {
        if (!(s.waking & side_bit(sender))) continue;
        const bool both = s.answered == (side_bit(sender) | side_bit(opposite(sender)));
        if (both || now >= s.wake_by) wake(s, sender, now);
    }
}

// By a SACK, which any segment size obeys; where there is none, or the sender did not say how far
// it has sent, by ICMP.
void Relay::wake(RelaySession& s, Direction sender, Instant now) {
    s.waking &= static_cast<uint8_t>(~side_bit(sender));
    TcpEndpoint& end = s.end(sender);
    const SeqNum next = s.peer_next[static_cast<size_t>(sender)];
    const bool said = s.answered & side_bit(sender);
    if (said && next <= end.state().rcv_nxt) return;  // it has nothing in flight
    if (said && end.state().has(Tcb::sack)) {
        Link link(*this, s, sender, now);
        end.urge(next, now, link);
        ++counters_.urged;
        return;
    }
    const Session& session = *forwarder_.sessions().get(s.index);
    std::array<std::byte, 160> frame;
    const size_t size = make_too_big(forwarder_, session, sender, end.ack_point(), frame);
    if (size == 0) return;
    ++counters_.woken;
    events_.on_relay_frame(s.index, sender, Bytes(frame).first(size), Reveals::nothing, now);
}

}  // namespace holdfast
