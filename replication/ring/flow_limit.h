// Who follows our ring, how far each has come, and when one no longer counts.
//
// A follower counts from its FOLLOW until what it misses is overwritten, its debt grows beyond
// repair, or nothing we sent since `evict_after` has been answered. Silence is measured by what its
// statuses say they heard, so that one that is deaf is found as well as one that is dumb; and only
// while we ourselves were awake. An evicted follower is readmitted by a new FOLLOW at the ring's
// head, and only when what it says it heard is recent: one that wakes with a full socket buffer
// first has to empty it.
#pragma once

#include <array>
#include <cstdint>

#include "base/cluster.h"
#include "base/time.h"

namespace holdfast {

class FlowLimit {
public:
    explicit FlowLimit(Duration evict_after) : evict_after_(evict_after) {}

    struct Follower {
        uint64_t join = 0;  // 0: never followed
        Position start;     // of that join
        Position acknowledged;
        Instant heard_at;  // we sent what it last heard
        Instant patient_from;
    };

    // evicted: admitted once under this join, and no longer.
    enum class Admission : uint8_t { admitted, repeated, stale, evicted, lagging };
    // `heard_at`: when we sent the newest thing the asker has heard from us.
    Admission on_follow(NodeId peer, uint64_t join, Position start, Instant heard_at, Instant now);
    // False when the peer does not follow, or not under this join.
    bool on_status(NodeId peer, uint64_t join, Position contiguous, Instant heard_at);
    // The peer's process is another one now.
    void forget(NodeId peer);
    void evict(NodeId peer) { counted_.remove(peer); }

    // Those who miss `position`, which is about to be overwritten.
    NodeSet missing(Position position) const;
    // Those whose silence has lasted too long.
    NodeSet silent(Instant now) const;
    // Silence is not held against anyone for a time in which we were not awake.
    void on_awake(Instant now);
    Instant next_eviction() const;
    // Somebody's answer is overdue by half of what we tolerate.
    Instant impatient_from() const;

    NodeSet counted() const { return counted_; }
    bool follows(NodeId peer, uint64_t join) const {
        return counted_.has(peer) && followers_[peer.value].join == join;
    }
    const Follower& operator[](NodeId peer) const { return followers_[peer.value]; }
    // The least of what counted followers have; `last` when there is none.
    Position slowest(Position last) const;

private:
    Instant last_sign(NodeId peer) const {
        const Follower& f = followers_[peer.value];
        return f.heard_at > f.patient_from ? f.heard_at : f.patient_from;
    }
    Instant oldest_sign() const;

    Duration evict_after_;
    NodeSet counted_;
    std::array<Follower, kMaxNodes> followers_{};
};

}  // namespace holdfast
