#include "dataplane/port/handover.h"

#include <fmt/format.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include <bit>

#include "base/check.h"

namespace holdfast {

Handover::Handover(unsigned workers, uint32_t slots) : sleepers_(workers) {
    static unsigned serial = 0;
    for (unsigned w = 0; w < workers; ++w) {
        std::string name = fmt::format("handover{}", serial++);
        rings_.push_back(rte_ring_create(name.c_str(), std::bit_ceil(slots),
                                         static_cast<int>(rte_socket_id()), RING_F_SC_DEQ));
        CHECK(rings_.back() != nullptr);
    }
}

Handover::~Handover() {
    for (unsigned w = 0; w < rings_.size(); ++w) {
        rte_mbuf* frame;
        while (take(w, {&frame, 1}) == 1) rte_pktmbuf_free(frame);
        rte_ring_free(rings_[w]);
    }
}

bool Handover::give(unsigned to, rte_mbuf* frame) {
    if (rte_ring_enqueue(rings_[to], frame) != 0) return false;
    if (sleepers_[to] != nullptr) sleepers_[to]->wake();
    return true;
}

unsigned Handover::take(unsigned worker, std::span<rte_mbuf*> to) {
    return rte_ring_sc_dequeue_burst(rings_[worker], reinterpret_cast<void**>(to.data()),
                                     static_cast<unsigned>(to.size()), nullptr);
}

bool Handover::waiting(unsigned worker) const { return !rte_ring_empty(rings_[worker]); }

}  // namespace holdfast
