// Whether a datagram that somebody misses is repeated now, and to whom.
//
// A repaired datagram is not repaired again while that repair is in flight (hold-off); when a
// second asker misses it meanwhile, the repair is multicast. Each asker has a budget and all
// together have twice that: a standby that wakes from a long sleep must not make us repeat half a
// million datagrams (measured: that stalled the healthy one for seconds).
#pragma once

#include <cstdint>
#include <vector>

#include "base/cluster.h"
#include "base/time.h"
#include "replication/ring/token_bucket.h"

namespace holdfast {

enum class Repair : uint8_t { unicast, multicast, held_off, over_budget };

class RepairPolicy {
public:
    RepairPolicy(uint32_t slots, uint32_t repair_per_second)
        : slots_(slots),
          asker_(kMaxNodes, TokenBucket(repair_per_second, burst(repair_per_second))),
          all_(2 * repair_per_second, 2 * burst(repair_per_second)) {}

    Repair decide(Position p, NodeId asker, Duration hold_off, Instant now) {
        Slot& s = slots_[p.value & (slots_.size() - 1)];
        bool in_flight = s.position == p && now < s.at + hold_off;
        if (in_flight && (s.to_all || s.asker == asker)) return Repair::held_off;
        TokenBucket& own = asker_[asker.value];
        if (!own.ready(now) || !all_.ready(now)) return Repair::over_budget;
        own.take(now);
        all_.take(now);
        s = {p, now, asker, in_flight};
        return in_flight ? Repair::multicast : Repair::unicast;
    }

private:
    // 20 ms worth, as a NAK of a few hundred datagrams after a lost burst is ordinary.
    static uint32_t burst(uint32_t rate) { return rate / 50 > 64 ? rate / 50 : 64; }

    struct Slot {
        Position position;
        Instant at;
        NodeId asker;
        bool to_all = false;
    };
    std::vector<Slot> slots_;
    std::vector<TokenBucket> asker_;
    TokenBucket all_;
};

}  // namespace holdfast
