// Relayed sessions that another node carried before.
#include "dataplane/forward/too_big.h"
#include "dataplane/relay/align.h"
#include "dataplane/relay/relay_link.h"

namespace holdfast {
namespace {
// What a woken sender needs beside a round trip to be heard.
constexpr Duration kUrgeAfter = Duration::milliseconds(3);
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
    const Session& session = *forwarder_.sessions().get(s.index);
    s.to_wake = s.waking = services_[session.service].nudge ? 3 : 0;
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

// Answering the probe a peer says how far it has sent. Whoever has octets in flight that never came
// should send them again now that it was woken.
void Relay::watch_sender(RelaySession& s, Direction side, const TcpSegment& segment, Instant now) {
    RelaySession::Waiting& w = s.waiting[static_cast<size_t>(side)];
    if (segment.length() > 0) {
        s.waking &= static_cast<uint8_t>(~side_bit(side));
        w.until = Instant::max();
    } else if (w.until == Instant::max() && segment.seq > s.end(side).state().rcv_nxt) {
        const uint32_t rtt_us = s.end(side).state().srtt_us;
        w = {segment.seq, now + kUrgeAfter + Duration::microseconds(rtt_us + rtt_us / 2)};
    }
}

// It does not when its segments fit what the ICMP message said, however full its window is of them.
void Relay::urge_senders(RelaySession& s, Instant now) {
    for (const Direction side : {Direction::from_client, Direction::from_backend}) {
        RelaySession::Waiting& w = s.waiting[static_cast<size_t>(side)];
        if (now < w.until) continue;
        s.waking &= static_cast<uint8_t>(~side_bit(side));
        w.until = Instant::max();
        Link link(*this, s, side, now);
        s.end(side).urge(w.next, now, link);
        ++counters_.urged;
    }
}

}  // namespace holdfast
