#include "tools/trafficgen/clients.h"

namespace holdfast::gen {
namespace {

constexpr unsigned kTried = 64;  // slots looked at for a free one
// A server that has acknowledged our FIN and says nothing more.
constexpr Duration kFinPatience = Duration::seconds(10);

}  // namespace

Clients::Clients(Context& context, const Profile& profile, Instant now)
    : context_(context),
      neighbors_(context.neighbors),
      kind_(profile.kind),
      capacity_(profile.kind == Kind::nothing ? 1 : profile.sessions),
      sessions_(capacity_),
      timers_(capacity_, kTimerSlots, kTimerTick) {
    std::ranges::fill(sessions_, ClientSession{});
    timers_.start(now);
    for (const Endpoint& target : context.addresses.targets)
        target_neighbors_.push_back(neighbors_.add(target.address, Side::front));
}

bool Clients::resolved(Instant now) {
    bool all = true;
    for (const uint16_t n : target_neighbors_) all &= neighbors_.hop(n, now) != nullptr;
    return all;
}

bool Clients::connect(Instant intended, Instant now) {
    for (unsigned i = 0; i < std::min(kTried, capacity_); ++i) {
        const uint32_t session = next_;
        if (++next_ == capacity_) next_ = 0;
        const FlowState state = sessions_[session].state;
        if (state == FlowState::opening || state == FlowState::established) continue;
        open(session, intended, now);
        return true;
    }
    ++context_.counters.no_session_free;
    return false;
}

// Sequence numbers of a slot grow from incarnation to incarnation (RFC 6528), so that a server in
// TIME-WAIT takes the next one.
void Clients::open(uint32_t session, Instant intended, Instant now) {
    ClientSession& c = sessions_[session];
    const uint8_t incarnation = static_cast<uint8_t>(c.incarnation + 1);
    c = ClientSession{};
    c.incarnation = incarnation;
    c.iss = static_cast<uint32_t>(mix64(context_.seed ^ session)) + (uint32_t{incarnation} << 24);
    c.state = FlowState::opening;
    c.begun = intended;
    c.since_us = micros(now);
    ++opening_;
    ++context_.counters.opened;
    context_.detector.on_sent(1, now);
    say_syn(session, now);
}

void Clients::say_syn(uint32_t session, Instant now) {
    const ClientSession& c = sessions_[session];
    say(context_, path_of(session, now),
        {.flags = tcp_flag::syn,
         .seq = {c.iss},
         .mss = static_cast<uint16_t>(context_.limits.mss)});
    timers_.arm(session, now + context_.timeout * (1 << c.level));
}

bool Clients::request(uint32_t session, Instant now) {
    if (sessions_[session].state != FlowState::established) {
        ++context_.counters.requests_lost;
        return false;
    }
    ask(session, now);
    speak(session, false, now);
    return true;
}

void Clients::ask(uint32_t session, Instant now) {
    ClientSession& c = sessions_[session];
    if (!c.waiting() && c.requested == c.answered) c.since_us = micros(now);
    ++c.requested;
    c.due += context_.classes.of(session).request;
    ++context_.counters.requests;
    context_.detector.on_sent(1, now);
}

// Everything that may go; an acknowledgement alone if nothing may and one is wanted.
void Clients::speak(uint32_t session, bool answer, Instant now) {
    ClientSession& c = sessions_[session];
    const Path path = path_of(session, now);
    const bool more = c.nxt != c.end();
    if (!(more && say_octets(context_, path, c, stream_of(session, Way::to_server))) && answer)
        say_ack(context_, path, c);
    const bool timed = c.waiting() || c.has(Transfer::kFinWanted);
    if (timed && !timers_.armed(session)) arm(session, now);
}

void Clients::arm(uint32_t session, Instant now) {
    timers_.arm(session, now + context_.timeout * (1 << sessions_[session].level));
}

void Clients::on_segment(uint32_t session, const TcpSegment& s, Bytes payload, Instant now) {
    if (session >= capacity_) return void(++context_.counters.stray);
    ClientSession& c = sessions_[session];
    if (c.state == FlowState::opening) return on_opening(session, s, now);
    if (c.state == FlowState::closed) {
        ++context_.counters.stray;
        return say_reset(context_, path_of(session, now), s);
    }
    if (c.state == FlowState::time_wait) {
        if (s.length() > 0) say_ack(context_, path_of(session, now), c);
        return;
    }
    if (s.has(tcp_flag::rst)) {
        if (s.seq == c.rcv_nxt()) return ++context_.counters.resets, lose(session);
        ++context_.counters.resets_ignored;
        if (data_fits(c, s)) say_ack(context_, path_of(session, now), c);
        return;
    }
    if (s.has(tcp_flag::syn) || (!payload.empty() && !data_fits(c, s)))
        return say_ack(context_, path_of(session, now), c);
    if (!payload.empty()) check_octets(context_, c, stream_of(session, Way::to_client), s, payload);

    const bool expecting = c.waiting() || c.requested != c.answered;
    const uint32_t since_us = c.since_us;
    const uint8_t level = c.level;
    const AckStep acked = take_ack(c, s, context_.counters, now);
    const DataStep data = take_data(c, s, context_.counters);
    context_.counters.payload_received += data.fresh;
    if (level > 0 && c.level == 0) timers_.disarm(session);
    if (acked == AckStep::progress || data.fresh > 0 || data.fin) {
        c.since_us = micros(now);
        if (expecting) note_wait(session, since(since_us, now), now);
        take_answers(session, now);
        if (c.state != FlowState::established) return;
    }
    speak(session, data.answer, now);
    if (c.fin_acked() && c.has(Transfer::kPeerFin)) finish(session, FlowState::time_wait);
}

void Clients::note_wait(uint32_t session, Duration waited, Instant now) {
    ClientSession& c = sessions_[session];
    c.longest_us = std::max(c.longest_us, static_cast<uint32_t>(waited.as_microseconds()));
    context_.detector.on_answered(0, now);
    if (waited > context_.detector.threshold()) context_.detector.on_session_waited(waited);
}

void Clients::on_opening(uint32_t session, const TcpSegment& s, Instant now) {
    ClientSession& c = sessions_[session];
    const bool ours = s.has(tcp_flag::ack) && s.ack == c.seq_of(0);
    if (s.has(tcp_flag::rst)) {
        if (!ours) return void(++context_.counters.resets_ignored);
        ++context_.counters.resets;
        return lose(session);
    }
    if (!s.has(tcp_flag::ack)) return;  // a simultaneous open is not ours
    if (!ours || !s.has(tcp_flag::syn)) return say_reset(context_, path_of(session, now), s);
    const Duration waited = since(c.since_us, now);
    establish(c, s.seq.value, s.window, now);
    timers_.disarm(session);
    --opening_;
    ++established_;
    ++context_.counters.established;
    context_.latencies.connect.add(now - c.begun);
    note_wait(session, waited, now);
    context_.detector.on_answered(1, now);
    on_established(session, now);
}

void Clients::on_established(uint32_t session, Instant now) {
    if (kind_ == Kind::connections) {
        if (context_.classes.of(session).silent)
            close_as_planned(session, now);
        else
            ask(session, now);
    }
    if (sessions_[session].state == FlowState::established) speak(session, true, now);
}

// Counts by differences, so that streams may be longer than 2^32 octets.
void Clients::take_answers(uint32_t session, Instant now) {
    ClientSession& c = sessions_[session];
    const FlowClass& k = context_.classes.of(session);
    const uint32_t have = k.response > 0 ? c.octets_got() : c.una;
    const uint32_t size = k.response > 0 ? k.response : k.request;
    while (c.answered != c.requested && static_cast<int32_t>(have - (c.answered + 1) * size) >= 0) {
        if (kind_ == Kind::sessions) {
            if (const auto intended = intended_(session, c.answered))
                context_.latencies.answer.add(now - *intended);
        }
        ++c.answered;
        ++context_.counters.answers;
        context_.detector.on_answered(1, now);
        if (kind_ != Kind::connections) continue;
        if (c.answered < k.requests) {
            ask(session, now);
        } else {
            context_.latencies.complete.add(now - c.begun);
            return close_as_planned(session, now);
        }
    }
}

// A FIN goes with whatever is said next.
void Clients::close_as_planned(uint32_t session, Instant now) {
    ClientSession& c = sessions_[session];
    if (context_.classes.of(session).close == Close::rst) {
        say(context_, path_of(session, now),
            {.flags = tcp_flag::rst | tcp_flag::ack, .seq = c.seq_of(c.nxt), .ack = c.rcv_nxt()});
        return finish(session, FlowState::closed);
    }
    c.set(Transfer::kFinWanted);
}

void Clients::finish(uint32_t session, FlowState state) {
    ++context_.counters.finished;
    leave(session, state);
}

void Clients::lose(uint32_t session) {
    const ClientSession& c = sessions_[session];
    ++context_.counters.sessions_lost;
    const bool opening = c.state == FlowState::opening;
    context_.detector.forget(c.requested - c.answered + opening);
    leave(session, FlowState::closed);
}

void Clients::leave(uint32_t session, FlowState state) {
    ClientSession& c = sessions_[session];
    --(c.state == FlowState::opening ? opening_ : established_);
    c.state = state;
    timers_.disarm(session);
}

void Clients::on_deadline(Instant now) {
    timers_.expire(now, kTimersAtOnce, [&](uint32_t session) { expire(session, now); });
}

void Clients::expire(uint32_t session, Instant now) {
    ClientSession& c = sessions_[session];
    if (c.state != FlowState::opening && c.state != FlowState::established) return;
    const Duration waited = since(c.since_us, now);
    const bool opening = c.state == FlowState::opening;
    if (!opening && !c.waiting()) {
        if (!c.has(Transfer::kFinWanted)) return;
        if (waited > kFinPatience) return ++context_.counters.timeouts, lose(session);
        return timers_.arm(session, now + context_.timeout);
    }
    if (c.level == 0 && waited < context_.timeout)
        return timers_.arm(session, now + (context_.timeout - waited));
    if (++c.level >= kMostTries) return ++context_.counters.timeouts, lose(session);
    ++context_.counters.retransmissions;
    neighbors_.doubt(target_neighbors_[session % target_neighbors_.size()], now);
    if (opening) return say_syn(session, now);
    rewind(c, context_.counters);
    speak(session, false, now);
}

void Clients::on_too_big(uint32_t session, SeqNum seq, uint32_t mtu, Instant now) {
    if (session >= capacity_ || sessions_[session].state != FlowState::established) return;
    ClientSession& c = sessions_[session];
    const uint32_t flying = c.nxt - c.una;
    if (seq.value - c.seq_of(c.una).value >= flying) return;  // RFC 5927: not in flight
    const uint32_t headers = context_.addresses.target_of(session).address.is_v4() ? 40 : 60;
    if (std::min(flying, context_.limits.mss) + headers <= mtu) return;
    ++context_.counters.retransmissions;
    rewind(c, context_.counters);
    speak(session, false, now);
}

bool Clients::reset_some(uint32_t& cursor, uint32_t most, Instant now) {
    for (uint32_t said = 0; cursor < capacity_ && said < most; ++cursor) {
        ClientSession& c = sessions_[cursor];
        if (c.state != FlowState::established && c.state != FlowState::opening) continue;
        say(context_, path_of(cursor, now),
            {.flags = tcp_flag::rst | tcp_flag::ack, .seq = c.seq_of(c.nxt), .ack = c.rcv_nxt()});
        context_.detector.forget(c.requested - c.answered + (c.state == FlowState::opening));
        leave(cursor, FlowState::closed);
        ++said;
    }
    return cursor < capacity_;
}

uint32_t Clients::count_waiting() const {
    uint32_t n = 0;
    for (uint32_t i = 0; i < capacity_; ++i) {
        const ClientSession& c = sessions_[i];
        n += c.state == FlowState::established && (c.waiting() || c.requested != c.answered);
    }
    return n;
}

}  // namespace holdfast::gen
