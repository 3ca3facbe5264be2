// The part of the poll loop that several workers need: frames find their owner.
#include <rte_mbuf.h>

#include "dataplane/port/poll_loop.h"

namespace holdfast {

// False when the frame went to its owner.
bool PollLoop::is_own(const Rx& rx, rte_mbuf* m) {
    unsigned owner = owner_of(rx, m);
    if (owner == FlowSorter::kAny || owner == options_.worker) return true;
    if (owner != FlowSorter::kAll) {
        give(owner, m);
        return false;
    }
    for (unsigned w = 0; w < options_.workers; ++w) {
        if (w == options_.worker) continue;
        if (rte_mbuf* copy = rte_pktmbuf_copy(m, m->pool, 0, UINT32_MAX))
            give(w, copy);
        else
            ++counters_.handover_full;
    }
    return true;
}

// A device that was given our key saves us the hash, as long as it is the right one: its first
// answers are all checked, later ones now and then. One wrong answer and we compute for ourselves.
unsigned PollLoop::owner_of(const Rx& rx, rte_mbuf* m) {
    constexpr uint64_t kCheckFirst = 256, kCheckEvery = 1024;  // guesses: cheap and soon
    Frame frame = frame_of(m);
    Bytes bytes(frame.data, frame.length);
    if (!rx.port->spreads() || !FlowSorter::carries_tcp(bytes)) return sorter_.owner_of(bytes);
    bool given = trust_hash_ && (m->ol_flags & RTE_MBUF_F_RX_RSS_HASH);
    bool check = ++hashes_seen_ <= kCheckFirst || hashes_seen_ % kCheckEvery == 0;
    unsigned owner = given && !check ? sorter_.owner_of_hash(m->hash.rss) : sorter_.owner_of(bytes);
    if (given && check && sorter_.owner_of_hash(m->hash.rss) != owner) trust_hash_ = false;
    if (owner != options_.worker) ++counters_.spread_wrong;
    return owner;
}

void PollLoop::give(unsigned owner, rte_mbuf* m) {
    if (handover_->give(owner, m)) {
        ++counters_.handed_over;
        return;
    }
    ++counters_.handover_full;
    rte_pktmbuf_free(m);
}

}  // namespace holdfast
