#include "replication/ring/flow_limit.h"

#include <algorithm>

namespace holdfast {

FlowLimit::Admission FlowLimit::on_follow(NodeId peer, uint64_t join, Position start,
                                          Instant heard_at, Instant now) {
    Follower& f = followers_[peer.value];
    if (join < f.join || join == 0) return Admission::stale;
    if (join == f.join) return counted_.has(peer) ? Admission::repeated : Admission::evicted;
    if (now - heard_at > evict_after_) return Admission::lagging;
    f = {join, start, {start.value - 1}, heard_at, now};
    counted_.add(peer);
    return Admission::admitted;
}

bool FlowLimit::on_status(NodeId peer, uint64_t join, Position contiguous, Instant heard_at) {
    if (!follows(peer, join)) return false;
    Follower& f = followers_[peer.value];
    f.acknowledged = std::max(f.acknowledged, contiguous);
    f.heard_at = std::max(f.heard_at, heard_at);
    return true;
}

void FlowLimit::forget(NodeId peer) {
    counted_.remove(peer);
    followers_[peer.value] = {};
}

NodeSet FlowLimit::missing(Position position) const {
    NodeSet out;
    for (NodeId n : counted_)
        if (followers_[n.value].acknowledged < position) out.add(n);
    return out;
}

NodeSet FlowLimit::silent(Instant now) const {
    NodeSet out;
    for (NodeId n : counted_)
        if (now - last_sign(n) >= evict_after_) out.add(n);
    return out;
}

void FlowLimit::on_awake(Instant now) {
    for (NodeId n : counted_) followers_[n.value].patient_from = now;
}

Instant FlowLimit::oldest_sign() const {
    Instant first = Instant::max();
    for (NodeId n : counted_) first = earlier(first, last_sign(n));
    return first;
}

Instant FlowLimit::next_eviction() const { return oldest_sign() + evict_after_; }
Instant FlowLimit::impatient_from() const { return oldest_sign() + evict_after_ / 2; }

Position FlowLimit::slowest(Position last) const {
    for (NodeId n : counted_) last = std::min(last, followers_[n.value].acknowledged);
    return last;
}

}  // namespace holdfast
