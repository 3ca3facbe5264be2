// Frames on their way from the worker that received them to the worker that owns their flow.
//
// For devices that cannot spread frames over queues by our hash, and for frames whose owner only
// software can tell. One bounded lock-free queue a worker, many senders; a full queue refuses.
// What is in a queue has been decided about by nobody yet, so nothing here concerns the stall
// check.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/port/sleeper.h"

struct rte_mbuf;
struct rte_ring;

namespace holdfast {

class Handover {
public:
    // `slots` frames a worker, rounded up to a power of two.
    Handover(unsigned workers, uint32_t slots);
    ~Handover();
    Handover(const Handover&) = delete;
    Handover& operator=(const Handover&) = delete;

    // By the worker's loop, before it runs: who is woken when frames wait.
    void bind(unsigned worker, Sleeper& sleeper) { sleepers_[worker] = &sleeper; }

    unsigned workers() const { return static_cast<unsigned>(rings_.size()); }
    // False when the owner's queue is full; the frame is still the caller's.
    bool give(unsigned to, rte_mbuf* frame);
    unsigned take(unsigned worker, std::span<rte_mbuf*> to);
    bool waiting(unsigned worker) const;

private:
    std::vector<rte_ring*> rings_;
    std::vector<Sleeper*> sleepers_;
};

}  // namespace holdfast
