#include "dataplane/takeover/relay_capture.h"

namespace holdfast {
namespace {

constexpr uint8_t kFormat = 2;
constexpr uint16_t kPrefaceAcknowledged = 0x8000;

// What an adopter must know of an endpoint's flags; the rest is about timers and recoveries.
constexpr uint32_t kKept = Tcb::timestamps | Tcb::sack | Tcb::ecn | Tcb::passive |
                           Tcb::ts_recent_valid | Tcb::rtt_valid | Tcb::fin_queued |
                           Tcb::fin_received | Tcb::peer_closed_told;

void put_tcb(ByteWriter& w, const Tcb& t, Instant shared_now) {
    w.le(static_cast<uint8_t>(t.state));
    w.le(t.snd_wscale);
    w.le(t.rcv_wscale);
    w.le(t.flags & kKept);
    for (const SeqNum s : {t.iss, t.irs, t.snd_una, t.snd_max, t.snd_wl1, t.snd_wl2, t.fin_seq,
                           t.rcv_nxt, t.last_ack_sent, t.rcv_offered})
        w.le(s.value);
    w.le(t.snd_wnd);
    w.le(t.snd_max_wnd);
    w.le(t.peer_mss);
    w.le(t.mss);
    w.le(t.ts_offset - timestamp_ms(shared_now));
    w.le(t.ts_recent);
    w.le(static_cast<uint64_t>(t.ts_recent_at.ns + shared_now.ns));
    w.le(t.srtt_us);
    w.le(t.rttvar_us);
    w.le(t.rto_us);
    w.le(t.min_rtt_us);
    w.le(t.cwnd);
    w.le(t.ssthresh);
}

Tcb take_tcb(ByteReader& r, Instant shared_now, bool& sound) {
    Tcb t;
    const uint8_t state = r.le<uint8_t>();
    sound = sound && state < kTcpStates;
    t.state = static_cast<TcpState>(state);
    t.snd_wscale = r.le<uint8_t>();
    t.rcv_wscale = r.le<uint8_t>();
    sound = sound && t.snd_wscale <= 14 && t.rcv_wscale <= 14;
    t.flags = r.le<uint32_t>() & kKept;
    for (SeqNum* s : {&t.iss, &t.irs, &t.snd_una, &t.snd_max, &t.snd_wl1, &t.snd_wl2, &t.fin_seq,
                      &t.rcv_nxt, &t.last_ack_sent, &t.rcv_offered})
        s->value = r.le<uint32_t>();
    t.snd_wnd = r.le<uint32_t>();
    t.snd_max_wnd = r.le<uint32_t>();
    t.peer_mss = r.le<uint16_t>();
    t.mss = r.le<uint16_t>();
    t.ts_offset = r.le<uint32_t>() + timestamp_ms(shared_now);
    t.ts_recent = r.le<uint32_t>();
    t.ts_recent_at =
        Instant{static_cast<int64_t>(r.le<uint64_t>() - static_cast<uint64_t>(shared_now.ns))};
    if (t.ts_recent_at > Instant{0}) t.ts_recent_at = Instant{0};
    t.srtt_us = r.le<uint32_t>();
    t.rttvar_us = r.le<uint32_t>();
    t.rto_us = r.le<uint32_t>();
    t.min_rtt_us = r.le<uint32_t>();
    t.cwnd = r.le<uint32_t>();
    t.ssthresh = r.le<uint32_t>();
    t.snd_nxt = t.snd_una;
    t.rcv_edge = t.rcv_offered;
    sound = sound && t.snd_una <= t.snd_max;
    return t;
}

}  // namespace

size_t write_relay_state(const RelayState& state, Instant shared_now, MutableBytes to) {
    ByteWriter w(to);
    w.le(kFormat);
    w.le(static_cast<uint8_t>(state.stage));
    w.le(static_cast<uint16_t>(state.preface.size |
                               (state.preface.acknowledged ? kPrefaceAcknowledged : 0)));
    w.le(static_cast<uint64_t>((shared_now - state.age).ns));
    put_tcb(w, state.client, shared_now);
    put_tcb(w, state.backend, shared_now);
    CHECK(w.ok() && w.used() == kRelayStateSize);
    return w.used();
}

std::optional<RelayState> read_relay_state(Bytes bytes, Instant shared_now) {
    ByteReader r(bytes);
    if (r.le<uint8_t>() != kFormat) return std::nullopt;
    RelayState state;
    const uint8_t stage = r.le<uint8_t>();
    if (stage >= kRelayStages) return std::nullopt;
    state.stage = static_cast<RelayStage>(stage);
    const uint16_t preface = r.le<uint16_t>();
    state.preface.size = preface & 0x7fff;
    state.preface.acknowledged = (preface & kPrefaceAcknowledged) != 0;
    bool sound = state.preface.size <= kMaxProxyHeader;
    const Instant began{static_cast<int64_t>(r.le<uint64_t>())};
    if (began.ns > 0 && began < shared_now) state.age = shared_now - began;
    state.client = take_tcb(r, shared_now, sound);
    state.backend = take_tcb(r, shared_now, sound);
    // There is no other end before we connect.
    sound = sound && state.client.mss > 0 &&
            (state.backend.mss > 0 || state.stage < RelayStage::committing);
    if (!r.done() || !sound) return std::nullopt;
    return state;
}

}  // namespace holdfast
