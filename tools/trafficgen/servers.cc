#include "tools/trafficgen/servers.h"

#include <bit>

namespace holdfast::gen {

Servers::Servers(Context& context, uint32_t capacity, Instant now)
    : context_(context),
      neighbors_(context.neighbors),
      capacity_(capacity),
      sessions_(capacity),
      timers_(capacity, kTimerSlots, kTimerTick),
      index_(std::bit_ceil(size_t{capacity} * 2), kNone) {
    timers_.start(now);
}

// ---- The index

uint32_t Servers::home(const IpAddress& peer, uint16_t port, uint8_t server) const {
    const auto w = peer.words();
    const uint64_t name = w[1] ^ mix64(w[0]) ^ uint64_t { port } << 40 ^ uint64_t { server } << 56;
    return static_cast<uint32_t>(mix64(context_.seed ^ name) & (index_.size() - 1));
}

uint32_t Servers::find(const Endpoint& peer, uint8_t server) const {
    const auto mask = static_cast<uint32_t>(index_.size() - 1);
    for (uint32_t i = home(peer.address, peer.port, server);; i = (i + 1) & mask) {
        const uint32_t at = index_[i];
        if (at == kNone) return kNone;
        const ServerSession& s = sessions_[at];
        if (s.peer_port == peer.port && s.server == server && s.peer == peer.address) return at;
    }
}

void Servers::index_add(uint32_t at) {
    const auto mask = static_cast<uint32_t>(index_.size() - 1);
    const ServerSession& s = sessions_[at];
    uint32_t i = home(s.peer, s.peer_port, s.server);
    while (index_[i] != kNone) i = (i + 1) & mask;
    index_[i] = at;
}

// Backward shift: whoever can come nearer to home takes the gap.
void Servers::remove(uint32_t at) {
    const auto mask = static_cast<uint32_t>(index_.size() - 1);
    const ServerSession& gone = sessions_[at];
    uint32_t gap = home(gone.peer, gone.peer_port, gone.server);
    while (index_[gap] != at) gap = (gap + 1) & mask;
    for (uint32_t i = (gap + 1) & mask; index_[i] != kNone; i = (i + 1) & mask) {
        const ServerSession& s = sessions_[index_[i]];
        const uint32_t wanted = home(s.peer, s.peer_port, s.server);
        if (((i - wanted) & mask) < ((i - gap) & mask)) continue;
        index_[gap] = index_[i];
        gap = i;
    }
    index_[gap] = kNone;
    sessions_[at].state = FlowState::closed;
    timers_.disarm(at);
    free_.push_back(at);
    --size_;
}

// ---- Connections

void Servers::on_segment(const Arrival& arrival, const TcpSegment& s, Bytes payload, Instant now) {
    const uint32_t at = find(arrival.from, arrival.server);
    if (s.has(tcp_flag::syn) && !s.has(tcp_flag::ack)) return accept(at, arrival, s, now);
    if (at == kNone) {
        if (s.has(tcp_flag::rst)) return;
        ++context_.counters.server_unknown;
        const uint16_t n =
            neighbors_.learn(arrival.from.address, Side::back, arrival.mac, arrival.port);
        if (n == Neighbors::kNone) return;
        return say_reset(
            context_,
            {neighbors_.hop(n, now), context_.addresses.servers[arrival.server], arrival.from}, s);
    }
    ServerSession& server = sessions_[at];
    if (s.has(tcp_flag::rst)) {
        if (s.seq == server.rcv_nxt()) return ++context_.counters.server_resets, remove(at);
        ++context_.counters.resets_ignored;
        if (data_fits(server, s)) say_ack(context_, path_of(at, now), server);
        return;
    }
    if (server.state == FlowState::opening) {
        if (!s.has(tcp_flag::ack) || s.ack != server.seq_of(0)) return;
        establish(server, server.irs, s.window, now);
        timers_.disarm(at);
    }
    converse(at, s, payload, now);
}

// A SYN; `found` is what has that name already.
void Servers::accept(uint32_t found, const Arrival& arrival, const TcpSegment& s, Instant now) {
    uint32_t at = found;
    if (found != kNone) {
        const ServerSession& old = sessions_[found];
        if (s.seq.value == old.irs) {
            if (old.state == FlowState::opening) say_syn_ack(found, now);
            return;
        }
        // Its client has long forgotten it: the name is used again.
    } else {
        const uint16_t n =
            neighbors_.learn(arrival.from.address, Side::back, arrival.mac, arrival.port);
        if (size_ == capacity_ || n == Neighbors::kNone)
            return void(++context_.counters.server_full);
        if (free_.empty()) {
            at = fresh_++;
        } else {
            at = free_.back();
            free_.pop_back();
        }
        ++size_;
        sessions_[at] = ServerSession{};
        sessions_[at].peer = arrival.from.address;
        sessions_[at].peer_port = arrival.from.port;
        sessions_[at].server = arrival.server;
        sessions_[at].neighbor = n;
        index_add(at);
    }
    ServerSession& server = sessions_[at];
    Transfer fresh;
    fresh.server = server.server;
    static_cast<Transfer&>(server) = fresh;
    server.session = server.asked = 0;
    server.irs = s.seq.value;
    server.iss = static_cast<uint32_t>(mix64(context_.seed ^ s.seq.value ^ 0x5eedull << 32));
    server.state = FlowState::opening;
    server.since_us = micros(now);
    ++context_.counters.server_accepted;
    say_syn_ack(at, now);
}

void Servers::say_syn_ack(uint32_t at, Instant now) {
    const ServerSession& s = sessions_[at];
    say(context_, path_of(at, now),
        {.flags = tcp_flag::syn | tcp_flag::ack,
         .seq = {s.iss},
         .ack = s.rcv_nxt(),
         .mss = static_cast<uint16_t>(context_.limits.mss)});
    timers_.arm(at, now + context_.timeout * (1 << s.level));
}

// ---- Octets

void Servers::converse(uint32_t at, const TcpSegment& s, Bytes payload, Instant now) {
    ServerSession& server = sessions_[at];
    if (!payload.empty() && !data_fits(server, s))
        return say_ack(context_, path_of(at, now), server);
    if (!payload.empty() && !check(server, s, payload))
        return say_ack(context_, path_of(at, now), server);
    const uint8_t level = server.level;
    const AckStep acked = take_ack(server, s, context_.counters, now);
    const DataStep data = take_data(server, s, context_.counters);
    context_.counters.payload_received += data.fresh;
    if (level > 0 && server.level == 0) timers_.disarm(at);
    if (data.fresh > 0) answer_requests(server);
    if (data.fin) server.set(Transfer::kFinWanted);
    if (data.fresh > 0 || data.fin || acked == AckStep::progress) server.since_us = micros(now);
    speak(at, data.answer, now);
    if (server.fin_acked() && server.has(Transfer::kPeerFin)) {
        ++context_.counters.server_closed;
        remove(at);
    }
}

// False: octets that cannot be told apart before the first ones have come.
bool Servers::check(ServerSession& server, const TcpSegment& s, Bytes payload) {
    const uint32_t offset = offset_of(server, s);
    if (!server.has(Transfer::kKnown)) {
        if (offset != 0) return ++context_.counters.out_of_order, false;
        const auto id = read_preamble(context_.seed, payload);
        if (!id) {
            context_.counters.wrong_octets += payload.size();
            return true;
        }
        server.session = id->session;
        server.incarnation = id->incarnation;
        server.set(Transfer::kKnown);
    }
    const Stream stream(context_.seed, {server.session, server.incarnation}, Way::to_server);
    check_octets(context_, server, stream, s, payload);
    return true;
}

void Servers::answer_requests(ServerSession& server) {
    if (!server.has(Transfer::kKnown)) return;
    const FlowClass& k = context_.classes.of(server.session);
    while (static_cast<int32_t>(server.octets_got() - (server.asked + 1) * k.request) >= 0) {
        ++server.asked;
        server.due += k.response;
    }
}

void Servers::speak(uint32_t at, bool answer, Instant now) {
    ServerSession& server = sessions_[at];
    const Path path = path_of(at, now);
    const bool more = server.nxt != server.end();
    const Stream stream(context_.seed, {server.session, server.incarnation}, Way::to_client);
    if (!(more && say_octets(context_, path, server, stream)) && answer)
        say_ack(context_, path, server);
    if (server.waiting() && !timers_.armed(at))
        timers_.arm(at, now + context_.timeout * (1 << server.level));
}

void Servers::on_deadline(Instant now) {
    timers_.expire(now, kTimersAtOnce, [&](uint32_t at) { expire(at, now); });
}

void Servers::expire(uint32_t at, Instant now) {
    ServerSession& server = sessions_[at];
    if (server.state == FlowState::closed) return;
    const bool opening = server.state == FlowState::opening;
    if (!opening && !server.waiting()) return;
    const Duration waited = since(server.since_us, now);
    if (server.level == 0 && waited < context_.timeout)
        return timers_.arm(at, now + (context_.timeout - waited));
    if (++server.level >= kMostTries) {
        ++context_.counters.server_expired;
        return remove(at);
    }
    ++context_.counters.retransmissions;
    neighbors_.doubt(server.neighbor, now);
    if (opening) return say_syn_ack(at, now);
    rewind(server, context_.counters);
    speak(at, false, now);
}

void Servers::on_too_big(const Endpoint& peer, uint8_t number, SeqNum seq, uint32_t mtu,
                         Instant now) {
    const uint32_t at = find(peer, number);
    if (at == kNone || sessions_[at].state != FlowState::established) return;
    ServerSession& server = sessions_[at];
    const uint32_t flying = server.nxt - server.una;
    if (seq.value - server.seq_of(server.una).value >= flying) return;
    const uint32_t headers = peer.address.is_v4() ? 40 : 60;
    if (std::min(flying, context_.limits.mss) + headers <= mtu) return;
    ++context_.counters.retransmissions;
    rewind(server, context_.counters);
    speak(at, false, now);
}

}  // namespace holdfast::gen
