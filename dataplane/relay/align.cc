#include "dataplane/relay/align.h"

#include <algorithm>

namespace holdfast {
namespace {

// One direction: what `from` received and `to` sends on.
void align_stream(Tcb& from, Tcb& to, const Preface& preface = {}) {
    const bool fin_acked = to.has(Tcb::fin_queued) && to.snd_una == to.fin_seq + 1;
    // Where it stands stays known: it may have been passed on since, and an acknowledgement of it
    // is then not one of a byte.
    if (!fin_acked) from.clear(Tcb::fin_received | Tcb::peer_closed_told);
    from.rcv_nxt = passed_from(from, to, to.snd_una, preface);
}

// RFC 9293 section 3.3.2, where a FIN that was sent was also acknowledged, or is sent again.
TcpState state_of(const Tcb& t) {
    if (t.has(Tcb::fin_queued) && t.snd_una == t.fin_seq + 1)
        return t.has(Tcb::fin_received) ? TcpState::time_wait : TcpState::fin_wait_2;
    return t.has(Tcb::fin_received) ? TcpState::close_wait : TcpState::established;
}

bool is_over(const Tcb& t) {
    return t.has(Tcb::fin_queued) && t.snd_una == t.fin_seq + 1 && t.has(Tcb::fin_received);
}

bool knows_less(const Tcb& a, const Tcb& b) {
    constexpr uint32_t kGrows = Tcb::fin_queued | Tcb::fin_received;
    return a.snd_una < b.snd_una || (b.flags & ~a.flags & kGrows) != 0;
}

// Before we are committed the backend's side begins again: all one.
RelayStage rank(RelayStage stage) { return std::max(stage, RelayStage::connecting); }

}  // namespace

bool is_behind(const RelayState& state, const RelayState& other) {
    if (rank(state.stage) != rank(other.stage)) return rank(state.stage) < rank(other.stage);
    return state.knows_backend() &&
           (knows_less(state.client, other.client) || knows_less(state.backend, other.backend));
}

RelayState with_backend_of(RelayState progress, const RelayState& header) {
    if (progress.knows_backend() || !header.knows_backend()) return progress;
    progress.stage = header.stage;
    progress.backend = header.backend;
    return progress;
}

RelayState align(const RelayState& state) {
    RelayState a = state;
    if (a.stage < RelayStage::committing) {
        // Nothing of the client's was acknowledged yet but its SYN, and the backend never heard an
        // acknowledgement of ours: its side begins again, with the same sequence numbers.
        a.stage = RelayStage::opening;
        a.client.rcv_nxt = a.client.irs + 1;
        a.client.clear(Tcb::fin_received | Tcb::peer_closed_told);
        a.client.state = TcpState::syn_received;
        a.client.snd_una = a.client.iss;
        a.client.snd_nxt = a.client.snd_max = a.client.iss + 1;  // our SYN, to be sent again
        a.backend = {};
        a.preface = {};
        return a;
    }
    for (Tcb* t : {&a.client, &a.backend}) t->snd_nxt = t->snd_una;
    // Of a stream that is over both ends know where it ended, whatever lay between them.
    if (!is_over(a.client) || !is_over(a.backend)) {
        align_stream(a.client, a.backend, a.preface);
        align_stream(a.backend, a.client);
    }
    a.client.state = state_of(a.client);
    a.backend.state = state_of(a.backend);
    return a;
}

RelayState align_tls(const RelayState& state, const TlsStream& tls) {
    RelayState a = state;
    Tcb &c = a.client, &b = a.backend;
    // Where our stream ends was agreed with its last record, whatever the header knows of it.
    if (const auto end = tls.client_stream_end()) {
        c.set(Tcb::fin_queued);
        c.fin_seq = *end;
    }
    const bool backend_ended = c.has(Tcb::fin_queued) && c.snd_una == c.fin_seq + 1;
    c.rcv_nxt = tls.client_acknowledged();
    c.clear(Tcb::fin_received | Tcb::peer_closed_told);
    if (tls.client_ended()) c.set(Tcb::fin_received | Tcb::peer_closed_told);
    if (!backend_ended && !tls.client_stream_end()) c.clear(Tcb::fin_queued);
    c.state = state_of(c);
    if (a.stage < RelayStage::committing) {
        // The handshake with the client was committed; the backend's side begins again.
        a.stage = RelayStage::opening;
        b = {};
        return a;
    }
    b.snd_una = b.snd_nxt = b.snd_max = b.iss + 1 + tls.backend_delivered();
    b.rcv_nxt = b.irs + 1 + tls.backend_acknowledged() + (backend_ended ? 1 : 0);
    b.clear(Tcb::fin_received | Tcb::peer_closed_told | Tcb::fin_queued);
    if (backend_ended) b.set(Tcb::fin_received | Tcb::peer_closed_told);
    if (tls.backend_shut()) {
        b.set(Tcb::fin_queued);
        b.fin_seq = b.snd_una - 1;
    }
    b.state = state_of(b);
    return a;
}

}  // namespace holdfast
