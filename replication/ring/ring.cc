#include "replication/ring/ring.h"

#include <algorithm>

#include "base/check.h"
#include "replication/ring/ring_impl.h"

namespace holdfast {
namespace {

FollowOptions follow_options(const RingOptions& o) {
    return {.window = o.slots,
            .heartbeat = o.heartbeat,
            .acknowledge_each = o.ack == AckMode::positive};
}

// Shorter than this and one lost heartbeat would look like silence.
Duration patience(const RingOptions& o) { return std::max(o.evict_after, o.heartbeat * 5 / 2); }

}  // namespace

Ring::Impl::Impl(const RingOptions& options, RingOutput& output, RingEvents& events)
    : options_(options),
      output_(output),
      events_(events),
      random_(options.seed ^ mix64(options.incarnation.value + options.worker)),
      keys_(options.secret),
      hello_key_(options.cipher),
      control_key_(options.cipher),
      data_keys_(options.cipher),
      datagram_size_(options.mtu - options.ip_overhead),
      ring_(options.slots, datagram_size_, options.first_position),
      repairs_(options.slots, options.repair_per_second),
      flow_(patience(options)),
      ladder_(options.heartbeat, options.ladder) {
    CHECK(options.mtu >= 1400 && options.mtu <= 9000 && options.ip_overhead <= 48);
    CHECK(options.slots <= 1u << (DataKeys::kGenerationBits - 1));
    CHECK(options.incarnation.value != 0 && options.self.value < kMaxNodes);
    CHECK(!options.peers.has(options.self) && ring_.max_record() >= kMaxRecord);
    CHECK(datagram_size_ >= kMinFrame + kMaxMessage);
    NodeId self = options.self;
    keys_.derive({KeyClass::hello, self, options.worker, {}, 0}, hello_key_);
    keys_.derive({KeyClass::control, self, options.worker, options.incarnation, 0}, control_key_);
    data_keys_.restart(keys_, self, options.worker, options.incarnation);
    for (NodeId n : options.peers) {
        peers_.push_back(std::make_unique<RingPeer>(n, options, follow_options(options)));
        by_node_[n.value] = peers_.back().get();
        keys_.derive({KeyClass::hello, n, options.worker, {}, 0}, peers_.back()->hello_key);
    }
}

// Every call that brings the time comes through here.
void Ring::Impl::on_time(Instant now) {
    if (!started_) {
        origin_ = last_time_ = now;
        started_ = true;
    }
    if (now - last_time_ > options_.heartbeat * 2) flow_.on_awake(now);
    last_time_ = std::max(last_time_, now);
}

uint64_t Ring::Impl::stamp(Instant now) {
    last_stamp_ = std::max(last_stamp_, static_cast<uint64_t>((now - origin_).ns) + 1);
    return last_stamp_;
}

FrameHeader Ring::Impl::header(FrameType type, uint8_t receiver) const {
    return {.type = type,
            .sender = options_.self,
            .worker = options_.worker,
            .receiver = receiver,
            .cluster = keys_.cluster(),
            .incarnation = options_.incarnation};
}

void Ring::Impl::send_sealed(const FrameHeader& head, AeadKey& key, Nonce nonce,
                             ByteWriter& frame) {
    frame.reserve(kFrameTagSize);
    CHECK(frame.ok() && frame.used() <= datagram_size_);
    MutableBytes whole = MutableBytes(frame_).first(frame.used());
    key.seal(nonce, kFrameHeaderSize, whole);
    if (head.receiver == kToAll)
        output_.multicast(whole);
    else
        output_.unicast({head.receiver}, whole);
}

Position Ring::Impl::publish(Bytes record, Instant now) {
    on_time(now);
    CHECK(record.size() <= ring_.max_record());
    if (!ring_.fits(record.size())) seal_open(false, now);
    if (!ring_.is_open()) {
        flush_due_ = now + options_.flush_after;
        if (Position lost = ring_.overwritten_by_next(); lost.value > 0) evict(flow_.missing(lost));
    }
    ring_.append(record);
    ++counters_.records_published;
    Position at = ring_.next();
    report_evicted(now);
    return at;
}

void Ring::Impl::seal_open(bool ask_status, Instant now) {
    FrameHeader head = header(FrameType::data, kToAll);
    head.flags = ask_status ? kAskStatus : 0;
    Position at = ring_.next();
    Bytes frame = ring_.seal(head, stamp(now), data_keys_.at(at));
    if (ask_status) asked_up_to_ = at;
    flush_due_ = Instant::max();
    ladder_.on_data(now);
    ++counters_.datagrams_published;
    counters_.bytes_published += frame.size();
    output_.multicast(frame);
}

bool Ring::Impl::gate_waits() const { return flow_.slowest(asked_up_to_) < asked_up_to_; }

void Ring::Impl::flush(bool ask_status, Instant now) {
    on_time(now);
    if (ring_.is_open()) return seal_open(ask_status, now);
    if (!ask_status) return;
    // What the caller waits for left with a full datagram that did not ask.
    asked_up_to_ = ring_.last_sealed();
    if (gate_waits()) send_heartbeat(true, now);
}

void Ring::Impl::send_message(uint8_t receiver, Bytes body, Instant now) {
    on_time(now);
    CHECK(body.size() <= kMaxMessage);
    ++counters_.messages_sent;
    send_control(FrameType::message, receiver, 0, body);
}

HeartbeatBody Ring::Impl::make_heartbeat(Instant now) {
    size_t size = events_.heartbeat_body(body_);
    CHECK(size <= body_.size());
    return {.stamp = stamp(now),
            .last = ring_.last_sealed(),
            .oldest = ring_.oldest(),
            .body = Bytes(body_).first(size)};
}

void Ring::Impl::send_heartbeat(bool ask_status, Instant now) {
    on_time(now);
    ++counters_.heartbeats_sent;
    ladder_.on_sent(now);
    send_control(FrameType::heartbeat, kToAll, ask_status ? kAskStatus : 0, make_heartbeat(now));
}

Instant Ring::Impl::heartbeat_due() const {
    Instant hurried = std::max(ladder_.due(true), flow_.impatient_from());
    return earlier(ladder_.due(false), hurried);
}

Instant Ring::Impl::next_deadline() const {
    Instant due = earlier(earlier(flush_due_, heartbeat_due()), flow_.next_eviction());
    for (const auto& p : peers_) due = earlier(due, p->in.next_deadline());
    return due;
}

void Ring::Impl::on_deadline(Instant now) {
    on_time(now);
    if (ring_.is_open() && flush_due_ <= now) seal_open(false, now);
    evict(flow_.silent(now));
    if (heartbeat_due() <= now) send_heartbeat(gate_waits() || flow_.impatient_from() <= now, now);
    for (const auto& p : peers_) serve(*p, now);
    report_evicted(now);
}

void Ring::Impl::serve(RingPeer& peer, Instant now) {
    if (peer.in.follow_due(now)) {
        FollowBody body = peer.in.make_follow(peer.rtt.timeout(), now);
        body.subject = peer.proven;
        ++counters_.follows_sent;
        send_control(FrameType::follow, peer.id.value, 0, body);
    }
    if (peer.in.nak_due(now)) {
        NakBody body;
        body.subject = peer.proven;
        if (peer.in.make_nak(body, peer.rtt.timeout(), random_, now)) {
            ++counters_.naks_sent;
            send_control(FrameType::nak, peer.id.value, 0, body);
        }
    }
    if (peer.in.status_due(now)) send_status(peer, now);
}

void Ring::Impl::send_status(RingPeer& peer, Instant now) {
    size_t size = events_.status_body(peer.id, body_);
    CHECK(size <= body_.size());
    StatusBody body = peer.in.make_status(now);
    body.subject = peer.proven;
    body.body = Bytes(body_).first(size);
    ++counters_.statuses_sent;
    send_control(FrameType::status, peer.id.value, 0, body);
}

void Ring::Impl::evict(NodeSet peers) {
    for (NodeId n : peers) {
        flow_.evict(n);
        evicted_.add(n);
        ++counters_.followers_lagging;
    }
}

// Told when our own state is in order, because the owner may publish from within.
void Ring::Impl::report_evicted(Instant now) {
    while (!evicted_.empty()) {
        NodeId n = *evicted_.begin();
        evicted_.remove(n);
        events_.on_lagging(n, now);
    }
}

Ring::Ring(const RingOptions& options, RingOutput& output, RingEvents& events)
    : impl_(std::make_unique<Impl>(options, output, events)) {}
Ring::~Ring() = default;

Position Ring::publish(Bytes record, Instant now) { return impl_->publish(record, now); }
void Ring::flush(bool ask_status, Instant now) { impl_->flush(ask_status, now); }
void Ring::broadcast(Bytes body, Instant now) { impl_->send_message(kToAll, body, now); }
void Ring::send(NodeId to, Bytes body, Instant now) { impl_->send_message(to.value, body, now); }
void Ring::heartbeat(bool ask_status, Instant now) { impl_->send_heartbeat(ask_status, now); }
void Ring::on_datagram(Bytes datagram, Instant now) { impl_->on_datagram(datagram, now); }
Instant Ring::next_deadline() const { return impl_->next_deadline(); }
void Ring::on_deadline(Instant now) { impl_->on_deadline(now); }

Position Ring::last_published() const {
    const SendRing& ring = impl_->ring_;
    return ring.is_open() ? ring.next() : ring.last_sealed();
}

Position Ring::acknowledged(NodeId peer) const {
    bool counts = impl_->flow_.counted().has(peer);
    return counts ? impl_->flow_[peer].acknowledged : Position{};
}

Instant Ring::last_heard(NodeId peer) const {
    const RingPeer* p = impl_->by_node_[peer.value];
    return p != nullptr ? p->last_heard : Instant{std::numeric_limits<int64_t>::min()};
}

Incarnation Ring::incarnation(NodeId peer) const {
    const RingPeer* p = impl_->by_node_[peer.value];
    return p != nullptr ? p->proven : Incarnation{};
}

NodeSet Ring::followers() const { return impl_->flow_.counted(); }
size_t Ring::max_record() const { return impl_->ring_.max_record(); }

uint64_t Ring::room() const {
    Position last = impl_->ring_.last_sealed();
    return impl_->options_.slots - 1 - (last - impl_->flow_.slowest(last));
}

const RingCounters& Ring::counters() const {
    impl_->counters_.keys_derived = impl_->keys_.derived();
    return impl_->counters_;
}

}  // namespace holdfast
