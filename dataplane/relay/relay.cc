#include "dataplane/relay/relay.h"

#include <algorithm>

#include "dataplane/relay/relay_link.h"
#include "dataplane/relay/segment_frame.h"
#include "dataplane/tcp/initial_sequence.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ip.h"

namespace holdfast {
namespace {

using C = RelayCounters;
constexpr CounterInfo<C> kTable[] = {
    {"sessions_opened", "Sessions begun by a client's SYN.", &C::opened},
    {"sessions_connected", "Sessions whose backend answered.", &C::connected},
    {"backends_refused", "Sessions ended because the backend refused or did not answer.",
     &C::refused},
    {"sessions_aborted", "Sessions ended by a reset or a time-out of either side.", &C::aborted},
    {"sessions_finished", "Sessions whose both directions came to their end.", &C::finished},
    {"sessions_adopted", "Sessions carried on from another node's state.", &C::adopted},
    {"frames_unsendable", "Segments not sent because no next hop was known.", &C::unsendable},
    {"frames_withheld", "Segments not sent again while the first waited to be released.",
     &C::withheld},
    {"frames_unreadable", "Frames of relayed sessions that could not be read.", &C::unreadable},
    {"cookies_sent", "SYNs answered by a cookie: too many sessions were half open.",
     &C::cookies_sent},
    {"cookies_accepted", "Sessions begun by a client that brought a cookie back.",
     &C::cookies_accepted},
    {"cookies_refused",
     "Segments of no session that brought no good cookie back, within two minutes of sending some.",
     &C::cookies_refused},
    {"copies_left_out",
     "Octets in flight that standbys were not told of: too many at once (durability = payload).",
     &C::copies_left_out},
    {"copies_used", "Blocks of octets in flight that an adoption found with a standby.",
     &C::copies_used},
    {"copies_refused", "Likewise, but of another connection or without room for them.",
     &C::copies_refused},
    {"senders_woken", "Senders told by ICMP after an adoption to send again.", &C::woken},
    {"senders_urged", "Senders told so by SACK.", &C::urged},
};

// 1 ms: the granularity of TCP's timers; nothing shorter is set by them.
constexpr Duration kTick = Duration::milliseconds(1);
constexpr uint32_t kWheelSlots = 4096;
constexpr unsigned kExpireAtOnce = 256;
// A handshake takes a few hundred microseconds; looking costs a few nanoseconds.
constexpr Duration kPollHandshakes = Duration::microseconds(100);

// What another node had sent may lie out of order with a peer until the sender on the other side
// has sent again what was lost before it: as long as it may back off, several times. Then the peer
// acknowledges all of it at once.
constexpr Duration kRelearnFor = Duration::seconds(15 * 60);

TcpConfig for_relay(TcpConfig c) {
    c.relearn_for = std::max(c.relearn_for, kRelearnFor);
    return c;
}

TcpConfig for_v6(TcpConfig c) {
    c.mss = static_cast<uint16_t>(c.mss - 20);
    c.default_mss = 1220;
    c.min_path_mss = 1220;
    return c;
}

// Nothing of its peer's is to come any more, and nothing of either side to be acknowledged.
bool is_done(const TcpEndpoint& e) {
    const Tcb& t = e.state();
    return t.state == TcpState::closed ||
           (t.state == TcpState::time_wait && e.ack_point() == t.rcv_nxt);
}

}  // namespace

const std::span<const CounterInfo<RelayCounters>> kRelayCounters = kTable;

Relay::Relay(const RelayOptions& options, std::span<const Service> services, Forwarder& forwarder,
             RelayEvents& events, Instant now)
    : options_(options),
      client_v6_(for_v6(for_relay(options.client))),
      backend_v6_(for_v6(for_relay(options.backend))),
      services_(services),
      forwarder_(forwarder),
      events_(events),
      chunks_(options.chunks),
      tls_(options.handshakes ? std::make_unique<TlsShared>(options.tls_connections,
                                                            *options.handshakes, options.sessions)
                              : nullptr),
      sessions_(forwarder.sessions().capacity()),
      wheel_(forwarder.sessions().capacity(), kWheelSlots, kTick) {
    options_.client = for_relay(options.client);
    options_.backend = for_relay(options.backend);
    wheel_.start(now);
}
Relay::~Relay() = default;

RelaySession* Relay::find(SessionIndex index) {
    RelaySession* s = sessions_[index.slot].get();
    return s && s->index == index ? s : nullptr;
}

bool Relay::has(SessionIndex index) const {
    const RelaySession* s = sessions_[index.slot].get();
    return s && s->index == index;
}

RelayState Relay::state(SessionIndex index, Instant now) const {
    const RelaySession& s = *sessions_[index.slot];
    return {s.stage, s.client.record(now), s.backend.record(now), s.preface,
            now - forwarder_.sessions().get(index)->created};
}

RelaySession& Relay::begin(SessionIndex index, bool v4) {
    std::unique_ptr<RelaySession>& slot = sessions_[index.slot];
    std::unique_ptr<StreamCopies> copies;
    if (slot) copies = std::move(slot->copies);  // restored again: what it has published counts on
    const uint16_t service = forwarder_.sessions().get(index)->service;
    if (services_[service].durability == Durability::payload && !copies)
        copies = std::make_unique<StreamCopies>();
    slot = std::make_unique<RelaySession>(v4 ? options_.client : client_v6_,
                                          v4 ? options_.backend : backend_v6_, chunks_);
    slot->index = index;
    slot->copies = std::move(copies);
    ++open_;
    return *slot;
}

// ---- Segments
// ----------------------------------------------------------------------------------------------

void Relay::on_frame(const Step& step, const Frame& frame, Instant now) {
    const Bytes bytes(frame.data, frame.length);
    if (step.too_big_mtu != 0) return on_too_big(step, now);
    const auto read = read_segment_frame(bytes);
    if (!read) return void(++counters_.unreadable);
    const TcpInput input = read->input();
    RelaySession* s = step.created ? &begin(step.session, read->ip.v4) : find(step.session);
    if (!s) return;
    note_sender(step, read->ethernet, now);
    Link link(*this, *s, step.direction, now);
    if (step.created) {
        ++counters_.opened;
        begin_tls(*s);
        s->client.accept(input, opening(*s, Direction::from_client, now), now, link);
    } else {
        s->end(step.direction).on_segment(input, now, link);
        if (s->waking != 0) watch_sender(*s, step.direction, input.segment);
    }
    s->heard = true;
    touch(step.session);
}

void Relay::on_too_big(const Step& step, Instant now) {
    RelaySession* s = find(step.session);
    if (!s) return;
    const bool v4 = forwarder_.sessions().get(step.session)->client.address.is_v4();
    const uint32_t headers = v4 ? 40 : 60;
    if (step.too_big_mtu <= headers) return void(++counters_.unreadable);
    const auto mss = static_cast<uint16_t>(std::min<uint32_t>(step.too_big_mtu - headers, 65'535));
    s->end(step.direction).on_packet_too_big(mss, step.too_big_seq, now);
    touch(step.session);
}

void Relay::note_sender(const Step& step, const EthernetHeader& ethernet, Instant now) {
    Session& session = *forwarder_.sessions().get(step.session);
    session.last_activity = now;
    if (step.direction != Direction::from_client) return;
    session.client_mac = ethernet.source;
    session.client_vlan = ethernet.vlan;
}

// The backend's sequence numbers follow from the client's: a node that begins the backend's side
// again says the same.
TcpOpening Relay::opening(const RelaySession& s, Direction side, Instant now) const {
    const Session& session = *forwarder_.sessions().get(s.index);
    const Duration wall = now + options_.wall_offset - Instant{0};
    if (side == Direction::from_client) {
        const TcpTuple tuple{session.vip, session.client};
        return {initial_sequence(options_.secret, tuple, wall),
                timestamp_offset(options_.secret, tuple, now, wall)};
    }
    const TcpTuple tuple{session.pool, session.backend};
    const SeqNum iss = initial_sequence(options_.secret, tuple, Duration{});
    return {iss + s.client.state().iss.value, timestamp_offset(options_.secret, tuple, now, wall)};
}

void Relay::begin_tls(RelaySession& s) {
    const uint16_t service = forwarder_.sessions().get(s.index)->service;
    if (services_[service].mode != Mode::tls) return;
    CHECK(tls_ && service < options_.tls.size() && options_.tls[service]);
    s.tls = std::make_unique<TlsStream>(*tls_, options_.tls[service], s.index.packed(), service);
}

void Relay::touch(SessionIndex index) {
    RelaySession& s = *sessions_[index.slot];
    if (s.touched) return;
    s.touched = true;
    touched_.push_back(index);
}

void Relay::send(RelaySession& s, Direction towards, const TcpSegment& segment,
                 const TcpOptions& options, std::span<const Bytes> payload, Instant now) {
    const Session* session = forwarder_.sessions().get(s.index);
    if (!session) return;
    const Reveals reveals = what_is_revealed(s, towards, segment);
    const bool waits = reveals == Reveals::session || reveals == Reveals::backend;
    if (waits && s.gated) {  // it will be sent again; the first of them is still waiting
        ++counters_.withheld;
        return;
    }
    std::array<std::byte, kMaxSegmentFrame> frame;
    const size_t size =
        build_segment_frame(forwarder_, *session, towards, segment, options, payload, frame);
    if (size == 0) {
        ++counters_.unsendable;
        return;
    }
    s.gated |= waits;  // before, because it may be held already
    const bool taken =
        events_.on_relay_frame(s.index, towards, Bytes(frame).first(size), reveals, now);
    if (waits && !taken) s.gated = false;
}

Reveals Relay::what_is_revealed(const RelaySession& s, Direction towards,
                                const TcpSegment& segment) const {
    if (segment.has(tcp_flag::rst)) return Reveals::end;
    if (towards == Direction::from_client)
        return segment.has(tcp_flag::syn) && !s.announced && !s.tls ? Reveals::session
                                                                    : Reveals::nothing;
    return s.stage == RelayStage::committing ? Reveals::backend : Reveals::nothing;
}

void Relay::on_committed(SessionIndex index, Reveals what) {
    RelaySession* s = find(index);
    if (!s) return;
    s->gated = false;
    if (what == Reveals::session) s->announced = true;
    if (what != Reveals::backend || s->stage != RelayStage::committing) return;
    s->stage = RelayStage::open;
    s->backend.allow_all_sends();
    touch(index);
}

// ---- What endpoints say
// ------------------------------------------------------------------------------------

void Relay::on_event(RelaySession& s, Direction side, TcpEvent event, Instant now) {
    const Direction other = opposite(side);
    switch (event) {
        case TcpEvent::established:
            return on_established(s, side, now);
        case TcpEvent::acked_unsent:
            return;  // as the event that follows
        case TcpEvent::fin_acked:
            s.changed = true;
            return acknowledge(s, side, now);
        case TcpEvent::acked:
            return acknowledge(s, side, now);
        case TcpEvent::peer_fin:
            if (!s.tls)
                s.end(other).shutdown();
            else if (side == Direction::from_client)
                s.tls->on_client_fin();
            else
                s.tls->on_backend_fin();
            note_fin(s, side, now);
            s.changed = true;
            return;
        case TcpEvent::time_wait:
        case TcpEvent::closed:
            return;  // settle() looks at both
        case TcpEvent::refused:
            ++counters_.refused;
            s.failed = true;
            return;
        case TcpEvent::reset:
        case TcpEvent::timed_out:
            ++counters_.aborted;
            s.failed = true;
            return;
    }
}

void Relay::on_established(RelaySession& s, Direction side, Instant now) {
    if (side == Direction::from_client) {
        // A TLS client counts as half open until its handshake is over: bounded and short-lived.
        if (!s.tls) forwarder_.set_state(s.index, SessionState::established, now);
        if (s.stage != RelayStage::opening) return;
        // End-to-end from here on: nothing of the client's is acknowledged yet but its SYN.
        s.client.allow_ack(s.client.state().irs + 1);
        if (s.tls) return s.tls->begin(s.client.state().irs + 1);  // first the handshake
        // Now, because the same segment may bring the first bytes.
        return connect(s, now);
    }
    ++counters_.connected;
    s.stage = RelayStage::committing;
    s.told_client = s.client.state().snd_una;
    s.told_backend = s.backend.state().snd_una;
    s.backend.allow_ack(s.backend.state().irs + 1);
    s.backend.allow_send(s.backend.state().iss + 1);
}

size_t Relay::pass_on(RelaySession& s, Direction from, Bytes bytes) {
    // RCV.NXT is behind all of them, however many are taken.
    const SeqNum start = s.end(from).state().rcv_nxt - static_cast<uint32_t>(bytes.size());
    const size_t taken = hand_on(s, from, bytes);
    if (s.copies) keep_copy(s, from, start, bytes.first(taken));
    return taken;
}

size_t Relay::hand_on(RelaySession& s, Direction from, Bytes bytes) {
    if (!s.tls) return s.end(opposite(from)).write(bytes);
    from == Direction::from_client ? s.tls->on_client_bytes(bytes) : s.tls->on_backend_bytes(bytes);
    return bytes.size();
}

// Half closed, for the idle timeout and for those who look.
void Relay::note_fin(RelaySession& s, Direction side, Instant now) {
    using enum SessionState;
    const SessionState before = forwarder_.sessions().get(s.index)->state;
    const bool client = side == Direction::from_client;
    if (is_over(before)) return;
    const bool both = before == both_fin || before == (client ? backend_fin : client_fin);
    forwarder_.set_state(s.index, both ? both_fin : client ? client_fin : backend_fin, now);
}

// What `side` has acknowledged of what we passed on, the other side may be told.
void Relay::acknowledge(RelaySession& s, Direction side, Instant now) {
    if (s.tls || s.stage == RelayStage::closing) return;  // TlsStream::advance() looks
    const Tcb& to = s.end(side).state();
    TcpEndpoint& source = s.end(opposite(side));
    if (s.stage < RelayStage::committing) return;
    const bool backend = side == Direction::from_backend;
    if (backend) note_preface(s.preface, to);
    const SeqNum passed =
        passed_from(source.state(), to, to.snd_una, backend ? s.preface : Preface{});
    // After an adoption: what another node had passed on we need not receive any more.
    const bool fin = to.has(Tcb::fin_queued) && to.snd_una > to.fin_seq;
    fin ? source.advance_receive_past_fin(passed, now) : source.advance_receive(passed);
    source.allow_ack(passed);
}

// ---- After a burst, a timer or a release
// ------------------------------------------------------------------------------------

void Relay::settle(RelaySession& s, Instant now) {
    if (s.tls && !s.failed) step_tls(s, now);
    if (s.failed) return abort_both(s, now);
    if (!s.tls && s.stage != RelayStage::closing) {
        s.client.set_receive_room(static_cast<uint32_t>(s.backend.write_room()));
        s.backend.set_receive_room(static_cast<uint32_t>(s.client.write_room()));
    }
    flush(s, now);
    if (s.to_probe) probe(s, now);
    note_progress(s);
    if (s.copies) settle_copies(s, now);
    if (s.changed) events_.on_relay_changed(s.index, now);
    s.changed = false;
    if (s.waking != 0) wake_senders(s, now);
    finish_if_done(s, now);
    arm(s);
}

void Relay::flush(RelaySession& s, Instant now) {
    Link client(*this, s, Direction::from_client, now);
    Link backend(*this, s, Direction::from_backend, now);
    s.client.flush(now, client);
    s.backend.flush(now, backend);
    // After an adoption it may have let through what had come out of order.
    if (s.client.has_work() && s.client.state().timer == SendTimer::none)
        s.client.flush(now, client);
}

void Relay::connect(RelaySession& s, Instant now) {
    s.stage = RelayStage::connecting;
    Link link(*this, s, Direction::from_backend, now);
    s.backend.connect(opening(s, Direction::from_backend, now), now, link);
    if (!s.tls) begin_preface(s);
}

void Relay::finish_if_done(RelaySession& s, Instant now) {
    if (!is_done(s.client) || !is_done(s.backend) || s.stage == RelayStage::closing) return;
    s.stage = RelayStage::closing;
    ++counters_.finished;
    forwarder_.set_state(s.index, SessionState::time_wait, now);
    s.changed = false;
    events_.on_relay_finished(s.index, now);
    s.tls.reset();  // its keys, and all that it kept
    s.copies.reset();
}

// As the forwarder knows progress: where both ends' streams are.
void Relay::note_progress(RelaySession& s) {
    Session& session = *forwarder_.sessions().get(s.index);
    const auto update = [](TcpSide& side, const Tcb& t, SeqNum sent) {
        const bool moved = side.end != t.rcv_nxt || side.ack != sent;
        side.end = t.rcv_nxt;
        side.ack = sent;
        return moved;
    };
    const bool client = update(session.from_client, s.client.state(), s.client.state().snd_una);
    const bool backend = update(session.from_backend, s.backend.state(), s.backend.state().snd_una);
    if (client || backend) forwarder_.mark_dirty(s.index);
    if (s.stage < RelayStage::committing) return;
    const SeqNum c = s.client.state().snd_una, b = s.backend.state().snd_una;
    const auto every = static_cast<int32_t>(options_.header_every);
    if (c - s.told_client < every && b - s.told_backend < every) return;
    s.told_client = c;
    s.told_backend = b;
    s.changed = true;
}

void Relay::abort_both(RelaySession& s, Instant now) {
    const SessionIndex index = s.index;
    for (const Direction side : {Direction::from_client, Direction::from_backend}) {
        Link link(*this, s, side, now);
        if (s.end(side).state().state != TcpState::closed) s.end(side).abort(now, link);
    }
    forwarder_.drop(index, now);
}

void Relay::on_closed(SessionIndex index, bool tell, Instant now) {
    RelaySession* s = find(index);
    if (!s) return;
    if (tell && s->stage != RelayStage::closing) {
        for (const Direction side : {Direction::from_client, Direction::from_backend}) {
            Link link(*this, *s, side, now);
            if (!is_done(s->end(side))) s->end(side).abort(now, link);
        }
    }
    wheel_.disarm(index.slot);
    --open_;
    s->index = {};
    // Its keys and its payload memory go, but not from under whoever is using it just now.
    over_.push_back(std::move(sessions_[index.slot]));
}

void Relay::arm(RelaySession& s) {
    Instant due = earlier(s.client.next_deadline(), s.backend.next_deadline());
    if (s.tls) due = earlier(due, s.tls->next_deadline());
    if (s.waking != 0) due = earlier(due, s.wake_by);
    if (due >= s.armed) return;
    s.armed = due;
    wheel_.arm(s.index.slot, due);
}

void Relay::settle_touched(Instant now) {
    over_.clear();
    do {
        settle_all(now);
    } while (poll_handshakes(now));
    next_poll_ = now + kPollHandshakes;
}

void Relay::settle_all(Instant now) {
    for (size_t i = 0; i < touched_.size(); ++i) {  // settling may touch again
        RelaySession* s = find(touched_[i]);
        if (!s) continue;
        s->touched = false;
        settle(*s, now);
    }
    touched_.clear();
}

void Relay::on_burst_end(Instant now) { settle_touched(now); }

Instant Relay::next_deadline() const {
    if (!touched_.empty() || !over_.empty()) return Instant{0};
    if (open_ == 0) return Instant::max();
    return tls_ && tls_->outstanding > 0 ? next_poll_ : wheel_.next_tick();
}

void Relay::on_deadline(Instant now) {
    settle_touched(now);
    wheel_.expire(now, kExpireAtOnce, [&](uint32_t slot) {
        RelaySession& s = *sessions_[slot];
        s.armed = Instant::max();
        for (const Direction side : {Direction::from_client, Direction::from_backend}) {
            Link link(*this, s, side, now);
            if (s.end(side).next_deadline() <= now) s.end(side).on_deadline(now, link);
        }
        settle(s, now);
    });
}

}  // namespace holdfast
