#include <algorithm>

#include "replication/ring/ring_impl.h"

namespace holdfast {

using Refusal = std::unexpected<RingDrop>;

void Ring::Impl::on_datagram(Bytes datagram, Instant now) {
    on_time(now);
    if (auto done = accept(datagram, now); !done) ++drop_counter(counters_, done.error());
    report_evicted(now);
}

// What the clear header alone can refuse, then by class of key.
Ring::Impl::Accepted Ring::Impl::accept(Bytes datagram, Instant now) {
    auto head = parse_header(datagram);
    if (!head) return Refusal(head.error());
    if (datagram.size() > datagram_size_) return Refusal(RingDrop::too_long);
    if (head->cluster != keys_.cluster()) return Refusal(RingDrop::foreign_cluster);
    if (head->worker != options_.worker) return Refusal(RingDrop::other_worker);
    if (head->sender == options_.self) return Refusal(RingDrop::own);
    RingPeer* peer = head->sender.value < kMaxNodes ? by_node_[head->sender.value] : nullptr;
    if (peer == nullptr) return Refusal(RingDrop::unknown_sender);
    if (head->receiver != kToAll && head->receiver != options_.self.value)
        return Refusal(RingDrop::not_for_us);
    if (head->incarnation < peer->proven) return Refusal(RingDrop::stale_incarnation);

    if (head->type == FrameType::hello || head->type == FrameType::hello_reply) {
        auto body = open_hello(*peer, *head, datagram);
        if (!body) return Refusal(body.error());
        return head->type == FrameType::hello ? on_hello(*peer, *head, *body, now)
                                              : on_hello_reply(*peer, *head, *body, now);
    }
    if (head->incarnation != peer->proven) {
        challenge(*peer, now);
        return Refusal(RingDrop::unproven);
    }
    return head->type == FrameType::data ? on_data(*peer, *head, datagram, now)
                                         : on_control(*peer, *head, datagram, now);
}

// A start of a node that we do not know must answer a challenge before anything of it is believed,
// or else a recording of it would do.
void Ring::Impl::challenge(RingPeer& peer, Instant now) {
    if (!peer.hello_limit.take(now)) return;
    if (peer.nonce == 0 || now - peer.nonce_made > Duration::seconds(1)) {
        peer.nonce = std::max<uint64_t>(random_.next(), 1);
        peer.nonce_made = now;
    }
    ++counters_.hellos_sent;
    send_hello(FrameType::hello, peer, HelloBody{peer.nonce});
}

std::expected<Bytes, RingDrop> Ring::Impl::open_hello(RingPeer& peer, const FrameHeader& head,
                                                      Bytes datagram) {
    if (head.number > UINT32_MAX || head.receiver == kToAll) return Refusal(RingDrop::malformed);
    Nonce nonce{static_cast<uint32_t>(head.number), head.incarnation.value};
    Bytes body;
    if (!peer.hello_key.open(nonce, kFrameHeaderSize, datagram, plain_, body))
        return Refusal(RingDrop::forged);
    return body;
}

Ring::Impl::Accepted Ring::Impl::on_hello(RingPeer& peer, const FrameHeader& head, Bytes body,
                                          Instant now) {
    auto hello = parse_hello(body);
    if (!hello) return Refusal(hello.error());
    if (!peer.reply_limit.take(now)) return Refusal(RingDrop::limited);
    ++counters_.hello_replies_sent;
    send_hello(FrameType::hello_reply, peer,
               HelloReplyBody{.nonce = hello->nonce,
                              .challenger = head.incarnation,
                              .next_control = next_control_,
                              .beat = make_heartbeat(now)});
    if (head.incarnation > peer.proven) challenge(peer, now);
    return {};
}

Ring::Impl::Accepted Ring::Impl::on_hello_reply(RingPeer& peer, const FrameHeader& head, Bytes body,
                                                Instant now) {
    auto reply = parse_hello_reply(body);
    if (!reply) return Refusal(reply.error());
    if (peer.nonce == 0 || reply->nonce != peer.nonce) return Refusal(RingDrop::replayed);
    if (reply->challenger != options_.incarnation) return Refusal(RingDrop::other_subject);
    if (head.incarnation == peer.proven) return Refusal(RingDrop::stale);
    prove(peer, head.incarnation, reply->next_control, now);
    peer.in.on_stamp(reply->beat.stamp, now);
    ++counters_.peers_started;
    events_.on_peer_started(peer.id, head.incarnation, now);
    events_.on_heartbeat(peer.id, reply->beat.body, now);
    return {};
}

void Ring::Impl::prove(RingPeer& peer, Incarnation incarnation, uint64_t next_control,
                       Instant now) {
    peer.proven = incarnation;
    peer.last_heard = now;
    peer.nonce = 0;
    keys_.derive({KeyClass::control, peer.id, options_.worker, incarnation, 0}, peer.control_key);
    peer.data_keys.restart(keys_, peer.id, options_.worker, incarnation);
    peer.seen.restart(next_control);
    peer.newest_status = peer.newest_heartbeat = peer.newest_echo = 0;
    peer.rtt = {};
    flow_.forget(peer.id);
    evicted_.remove(peer.id);
    peer.in.start(now);
}

Ring::Impl::Accepted Ring::Impl::on_data(RingPeer& peer, const FrameHeader& head, Bytes datagram,
                                         Instant now) {
    Position at{head.number};
    switch (peer.in.judge(at)) {
        case Follow::Verdict::wanted:
            break;
        case Follow::Verdict::duplicate:
            return Refusal(RingDrop::duplicate);
        case Follow::Verdict::beyond:
            return Refusal(RingDrop::beyond_window);
        case Follow::Verdict::not_following:
            return Refusal(RingDrop::not_following);
    }
    Bytes body;
    if (!peer.data_keys.at(at).open({0, at.value}, kFrameHeaderSize, datagram, plain_, body))
        return Refusal(RingDrop::forged);
    auto data = parse_data(body);
    if (!data) return Refusal(data.error());
    peer.last_heard = now;
    ++counters_.datagrams_delivered;
    if (peer.in.on_data(at, (head.flags & kAskStatus) != 0, data->stamp, now))
        ++counters_.gaps_seen;
    RecordReader records(data->records);
    while (auto record = records.next()) {
        ++counters_.records_delivered;
        events_.on_record(peer.id, *record, now);
    }
    return {};
}

Ring::Impl::Accepted Ring::Impl::on_control(RingPeer& peer, const FrameHeader& head, Bytes datagram,
                                            Instant now) {
    if (!peer.seen.fresh(head.number)) return Refusal(RingDrop::replayed);
    Bytes body;
    if (!peer.control_key.open({0, head.number}, kFrameHeaderSize, datagram, plain_, body))
        return Refusal(RingDrop::forged);
    peer.seen.accept(head.number);
    peer.last_heard = now;
    switch (head.type) {
        case FrameType::heartbeat:
            return on_heartbeat(peer, head, body, now);
        case FrameType::status:
            return on_status(peer, head, body, now);
        case FrameType::nak:
            return on_nak(peer, body, now);
        case FrameType::follow:
            return on_follow(peer, body, now);
        case FrameType::follow_ok:
            return on_follow_ok(peer, body, now);
        case FrameType::gone:
            return on_gone(peer, body, now);
        case FrameType::message:
            return on_message(peer, body, now);
        case FrameType::data:
        case FrameType::hello:
        case FrameType::hello_reply:
            break;
    }
    return Refusal(RingDrop::type);
}

Ring::Impl::Accepted Ring::Impl::on_heartbeat(RingPeer& peer, const FrameHeader& head, Bytes body,
                                              Instant now) {
    auto beat = parse_heartbeat(body);
    if (!beat) return Refusal(beat.error());
    ++counters_.heartbeats_received;
    if (head.number < peer.newest_heartbeat) return Refusal(RingDrop::stale);
    peer.newest_heartbeat = head.number;
    if (peer.in.on_heartbeat(*beat, (head.flags & kAskStatus) != 0, now)) ++counters_.gaps_seen;
    events_.on_heartbeat(peer.id, beat->body, now);
    return {};
}

std::optional<Instant> Ring::Impl::sent_at(uint64_t echo) const {
    if (echo == 0 || echo > last_stamp_) return std::nullopt;
    return origin_ + Duration{static_cast<int64_t>(echo - 1)};
}

Ring::Impl::Accepted Ring::Impl::on_status(RingPeer& peer, const FrameHeader& head, Bytes body,
                                           Instant now) {
    auto status = parse_status(body);
    if (!status) return Refusal(status.error());
    ++counters_.statuses_received;
    if (status->subject != options_.incarnation) return Refusal(RingDrop::other_subject);
    if (head.number < peer.newest_status) return Refusal(RingDrop::stale);
    auto heard_at = sent_at(status->echo);
    if (!heard_at || status->echo < peer.newest_echo || status->contiguous > ring_.last_sealed())
        return Refusal(RingDrop::impossible);
    peer.newest_status = head.number;
    if (status->echo > peer.newest_echo) {
        peer.newest_echo = status->echo;
        Duration away = now - *heard_at;
        if (status->hold_ns < static_cast<uint64_t>(away.ns))
            peer.rtt.sample(away - Duration{static_cast<int64_t>(status->hold_ns)});
    }
    bool follows = flow_.on_status(peer.id, status->join, status->contiguous, *heard_at);
    if (!follows) send_gone(peer, status->join, now);
    events_.on_status(peer.id, follows ? flow_[peer.id].acknowledged : Position{}, *heard_at,
                      status->body, now);
    return {};
}

Ring::Impl::Accepted Ring::Impl::on_nak(RingPeer& peer, Bytes body, Instant now) {
    auto nak = parse_nak(body);
    if (!nak) return Refusal(nak.error());
    ++counters_.naks_received;
    if (nak->subject != options_.incarnation) return Refusal(RingDrop::other_subject);
    const NakRange& newest = nak->used().back();
    if (newest.first.plus(newest.count - 1) > ring_.last_sealed())
        return Refusal(RingDrop::impossible);
    // A debt that would take the budget a second or the ring a quarter of its length is not worked
    // off: the peer begins again at the head and is resynced.
    uint64_t debt = 0;
    for (const NakRange& r : nak->used()) debt += r.count;
    bool hopeless = debt > std::min(options_.slots / 4, options_.repair_per_second) ||
                    nak->used().front().first < ring_.oldest();
    if (hopeless && flow_.follows(peer.id, nak->join)) evict(NodeSet::of(peer.id));
    if (!flow_.follows(peer.id, nak->join)) {
        send_gone(peer, nak->join, now);
        return {};
    }
    repair(peer, *nak, now);
    return {};
}

void Ring::Impl::repair(RingPeer& peer, const NakBody& nak, Instant now) {
    Duration hold_off = std::max(peer.rtt.smoothed() / 2, Duration::microseconds(50));
    for (const NakRange& r : nak.used()) {
        for (uint32_t i = 0; i < r.count; ++i) {
            Position p = r.first.plus(i);
            switch (repairs_.decide(p, peer.id, hold_off, now)) {
                case Repair::unicast:
                    ++counters_.repairs_unicast;
                    output_.unicast(peer.id, ring_.sealed(p));
                    break;
                case Repair::multicast:
                    ++counters_.repairs_multicast;
                    output_.multicast(ring_.sealed(p));
                    break;
                case Repair::held_off:
                    ++counters_.repairs_held_off;
                    break;
                case Repair::over_budget:
                    ++counters_.repairs_over_budget;
                    return;
            }
        }
    }
}

void Ring::Impl::send_gone(RingPeer& peer, uint64_t join, Instant now) {
    if (!peer.gone_limit.take(now)) return;
    ++counters_.gone_sent;
    send_control(FrameType::gone, peer.id.value, 0, GoneBody{peer.proven, join});
}

Ring::Impl::Accepted Ring::Impl::on_follow(RingPeer& peer, Bytes body, Instant now) {
    auto follow = parse_follow(body);
    if (!follow) return Refusal(follow.error());
    if (follow->subject != options_.incarnation) return Refusal(RingDrop::other_subject);
    auto heard_at = sent_at(follow->echo);
    if (!heard_at) return Refusal(RingDrop::impossible);
    Position start = ring_.next();  // an open datagram is still to come
    auto admission = flow_.on_follow(peer.id, follow->join, start, *heard_at, now);
    switch (admission) {
        case FlowLimit::Admission::stale:
            return Refusal(RingDrop::stale);
        case FlowLimit::Admission::lagging:
            ++counters_.follows_refused;
            return {};
        case FlowLimit::Admission::evicted:
            send_gone(peer, follow->join, now);
            return {};
        case FlowLimit::Admission::admitted:
        case FlowLimit::Admission::repeated:
            break;
    }
    send_control(FrameType::follow_ok, peer.id.value, 0,
                 FollowOkBody{peer.proven, follow->join, flow_[peer.id].start});
    if (admission == FlowLimit::Admission::admitted) {
        ++counters_.followers_admitted;
        events_.on_follower(peer.id, start, now);
    }
    return {};
}

Ring::Impl::Accepted Ring::Impl::on_follow_ok(RingPeer& peer, Bytes body, Instant now) {
    auto ok = parse_follow_ok(body);
    if (!ok) return Refusal(ok.error());
    if (ok->subject != options_.incarnation) return Refusal(RingDrop::other_subject);
    if (!peer.in.on_follow_ok(*ok, now)) return Refusal(RingDrop::stale);
    return {};
}

Ring::Impl::Accepted Ring::Impl::on_gone(RingPeer& peer, Bytes body, Instant now) {
    auto gone = parse_gone(body);
    if (!gone) return Refusal(gone.error());
    if (gone->subject != options_.incarnation) return Refusal(RingDrop::other_subject);
    if (!peer.in.on_gone(gone->join, now)) return Refusal(RingDrop::stale);
    ++counters_.gone_received;
    return {};
}

Ring::Impl::Accepted Ring::Impl::on_message(RingPeer& peer, Bytes body, Instant now) {
    if (body.size() > kMaxMessage) return Refusal(RingDrop::malformed);
    ++counters_.messages_delivered;
    events_.on_message(peer.id, body, now);
    return {};
}

}  // namespace holdfast
