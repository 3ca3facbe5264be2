#include "dataplane/forward/track.h"

#include <algorithm>

#include "base/check.h"
#include "dataplane/forward/window.h"

namespace holdfast {
namespace {

using S = SessionState;
constexpr uint8_t bit(S s) { return static_cast<uint8_t>(1u << static_cast<unsigned>(s)); }

// From each state, the states that may follow.
constexpr uint8_t kLegal[kSessionStates] = {
    /* syn_sent     */ bit(S::syn_received) | bit(S::reset),
    /* syn_received */ bit(S::established) | bit(S::client_fin) | bit(S::backend_fin) |
        bit(S::both_fin) | bit(S::reset),
    /* established  */ bit(S::client_fin) | bit(S::backend_fin) | bit(S::both_fin) | bit(S::reset),
    /* client_fin   */ bit(S::both_fin) | bit(S::time_wait) | bit(S::reset),
    /* backend_fin  */ bit(S::both_fin) | bit(S::time_wait) | bit(S::reset),
    /* both_fin     */ bit(S::time_wait) | bit(S::reset),
    /* time_wait    */ 0,
    /* reset        */ 0,
};

bool become(Session& session, SessionState next) {
    if (session.state == next) return false;
    CHECK(kLegal[static_cast<size_t>(session.state)] & bit(next));
    session.state = next;
    return true;
}

void take_options(TcpSide& side, const TcpOptions& options) {
    side.mss = options.mss.value_or(0);
    side.window_scale = options.window_scale.value_or(0);
    side.flags = TcpSide::kSynced;
    if (options.window_scale) side.flags |= TcpSide::kScaleOffered;
    if (options.sack_permitted) side.flags |= TcpSide::kSack;
    if (options.timestamps) side.flags |= TcpSide::kTimestamps;
}

TrackStep on_syn(Session& session, Direction from, const TcpSegment& segment,
                 const TcpOptions& options) {
    TrackStep step;
    if (from == Direction::from_backend) {
        step.drop = DropReason::invalid_state;  // simultaneous open with a VIP: nobody does that
        return step;
    }
    if (session.state == S::syn_sent) {
        // A retransmission, or the client gave up and began again from the same port.
        step.options_changed = session.from_client.isn != segment.seq;
        if (step.options_changed) begin_tracking(session, segment, options);
        return step;
    }
    // An established backend answers with a challenge ACK (RFC 9293 section 3.10.7.4); what the
    // client then says decides.
    step.in_window = session.state == S::syn_received && session.from_client.isn == segment.seq;
    return step;
}

TrackStep on_syn_ack(Session& session, Direction from, const TcpSegment& segment,
                     const TcpOptions& options) {
    TrackStep step;
    TcpSide& client = session.from_client;
    TcpSide& backend = session.from_backend;
    if (from == Direction::from_client ||
        (is_embryonic(session.state) && (segment.ack <= client.isn || segment.ack > client.end))) {
        step.drop = DropReason::invalid_state;
        return step;
    }
    if (!is_embryonic(session.state)) {
        step.in_window = segment.seq == backend.isn;
        return step;
    }
    step.syn_ack = true;
    if (session.state == S::syn_received && segment.seq == backend.isn) return step;
    take_options(backend, options);
    backend.isn = segment.seq;
    backend.end = segment.end();
    backend.ack = segment.ack;
    backend.max_window = std::max(uint32_t{segment.window}, 1u);
    backend.max_end = backend.end + client.max_window;
    client.max_end = segment.ack + backend.max_window;
    client.ack = backend.isn + 1;  // will be, and the comparisons need a start in the right space
    step.options_changed = true;
    step.state_changed = become(session, S::syn_received);
    return step;
}

TrackStep on_rst(Session& session, Direction from, const TcpSegment& segment) {
    TrackStep step;
    const TcpSide& sender = session.side(from);
    const TcpSide& receiver = session.side(opposite(from));
    if (is_over(session.state)) return step;
    if (session.state == S::syn_sent) {
        const bool refused = from == Direction::from_backend && segment.has(tcp_flag::ack) &&
                             segment.ack == session.from_client.isn + 1;
        const bool gave_up = from == Direction::from_client && segment.seq == sender.end;
        step.in_window = refused || gave_up;
        // Anything else may be the client clearing an old connection of the backend's.
        if (step.in_window) step.state_changed = become(session, S::reset);
        return step;
    }
    const bool synced = sender.has(TcpSide::kSynced) && receiver.has(TcpSide::kSynced);
    // Restored and not heard since: an end that has forgotten the connection answers our question
    // with what the question acknowledged (RFC 9293 section 3.10.7.1), and no other RST is
    // believed.
    if (segment.seq == receiver.ack || (synced && segment.seq == sender.end)) {
        step.state_changed = become(session, S::reset);
        return step;
    }
    step.in_window = false;
    if (synced && (segment.seq < receiver.ack || segment.seq > sender.max_end))
        step.drop = DropReason::rst_out_of_window;
    return step;
}

SessionState state_of(const Session& session) {
    const TcpSide& c = session.from_client;
    const TcpSide& b = session.from_backend;
    const bool client = c.has(TcpSide::kFinSent), backend = b.has(TcpSide::kFinSent);
    if (client && backend)
        return c.has(TcpSide::kFinAcked) && b.has(TcpSide::kFinAcked) ? S::time_wait : S::both_fin;
    if (client) return S::client_fin;
    return backend ? S::backend_fin : S::established;
}

TrackStep on_established(Session& session, Direction from, const TcpSegment& segment) {
    TrackStep step;
    TcpSide& sender = session.side(from);
    TcpSide& receiver = session.side(opposite(from));
    if (!segment.has(tcp_flag::ack)) {
        step.drop = DropReason::invalid_state;
        return step;
    }
    if (session.state == S::syn_sent) {
        // The backend answers for an older connection; the client will reset that one.
        if (from == Direction::from_client) step.drop = DropReason::invalid_state;
        step.in_window = false;
        return step;
    }
    if (sender.has(TcpSide::kSynced) && !in_window(session, sender, receiver, segment)) {
        step.in_window = false;
        return step;
    }
    // Only who saw the SYN-ACK can acknowledge it: a flood with made-up addresses gets no further.
    if (session.state == S::syn_received && from == Direction::from_client &&
        segment.ack <= receiver.isn) {
        step.in_window = false;
        return step;
    }
    step.progress = advance_window(sender, receiver, segment);
    if (is_over(session.state)) return step;
    // FIN counts when nothing lies beyond it; it is acknowledged when all of its sender's is.
    if (segment.has(tcp_flag::fin) && segment.end() == sender.end)
        sender.flags |= TcpSide::kFinSent;
    if (receiver.has(TcpSide::kFinSent) && segment.ack == receiver.end)
        receiver.flags |= TcpSide::kFinAcked;
    const bool still_opening = session.state == S::syn_received &&
                               from == Direction::from_backend && !segment.has(tcp_flag::fin);
    if (!still_opening) step.state_changed = become(session, state_of(session));
    return step;
}

}  // namespace

void begin_tracking(Session& session, const TcpSegment& syn, const TcpOptions& options) {
    session.state = S::syn_sent;
    TcpSide& client = session.from_client;
    client = {};
    session.from_backend = {};
    take_options(client, options);
    client.isn = syn.seq;
    client.end = syn.end();
    client.max_end = client.end;
    client.max_window = std::max(uint32_t{syn.window}, 1u);
}

TrackStep track_segment(Session& session, Direction from, const TcpSegment& segment,
                        const TcpOptions& options) {
    if (segment.has(tcp_flag::rst)) return on_rst(session, from, segment);
    if (!segment.has(tcp_flag::syn)) return on_established(session, from, segment);
    return segment.has(tcp_flag::ack) ? on_syn_ack(session, from, segment, options)
                                      : on_syn(session, from, segment, options);
}

void normalize_restored(Session& session) {
    const S state = session.state;
    const auto set = [](TcpSide& side, bool fin_sent) {
        side.flags &= static_cast<uint8_t>(~TcpSide::kSynced);
        if (fin_sent)
            side.flags |= TcpSide::kFinSent;
        else
            side.flags &= static_cast<uint8_t>(~(TcpSide::kFinSent | TcpSide::kFinAcked));
        side.window_scale = std::min<uint8_t>(side.window_scale, 14);
    };
    const bool both = state == S::both_fin || state == S::time_wait;
    set(session.from_client, both || state == S::client_fin);
    set(session.from_backend, both || state == S::backend_fin);
}

// A half-closed connection may carry a long answer, so it counts as established (RFC 6146 section
// 3.5.2.2 does the same).
Duration idle_timeout(SessionState state, const IdleTimeouts& idle) {
    switch (state) {
        case S::syn_sent:
        case S::syn_received:
            return idle.embryonic;
        case S::established:
        case S::client_fin:
        case S::backend_fin:
            return idle.established;
        case S::both_fin:
            return idle.closing;
        case S::time_wait:
        case S::reset:
            return idle.closed;
    }
    return idle.established;
}

}  // namespace holdfast
