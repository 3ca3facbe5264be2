// Relayed sessions that another node carried before.
#include "dataplane/forward/too_big.h"
#include "dataplane/relay/align.h"
#include "dataplane/relay/relay_link.h"

namespace holdfast {
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
        s.to_probe = true;
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
    const Session& session = *forwarder_.sessions().get(s.index);
    s.to_wake = services_[session.service].nudge ? 3 : 0;
}

// A receiver has said how far it is: the other side's sender may go on from there.
void Relay::wake_senders(RelaySession& s, Instant now) {
    for (const Direction receiver : {Direction::from_client, Direction::from_backend}) {
        if (!(s.answered & side_bit(receiver))) continue;
        const Direction sender = opposite(receiver);
        const Session& session = *forwarder_.sessions().get(s.index);
        std::array<std::byte, 160> frame;
        const size_t size =
            make_too_big(forwarder_, session, sender, s.end(sender).ack_point(), frame);
        if (size == 0) continue;
        ++counters_.woken;
        events_.on_relay_frame(s.index, sender, Bytes(frame).first(size), Reveals::nothing, now);
    }
    s.to_wake &= static_cast<uint8_t>(~s.answered);
    s.answered = 0;
}

}  // namespace holdfast
