// I4: in one epoch of a group one node speaks, and nobody speaks while another may.
// I6: who has been cut off for longer than it takes to notice is silent.
#pragma once

#include <map>

#include "tests/simulation/world/judge.h"

namespace holdfast::simulation {

class HolderJudge final : public Judge {
public:
    HolderJudge(GroupId group, MacAddress virtual_mac) : group_(group), mac_(virtual_mac) {}
    const char* name() const override { return "holder"; }

    void on_frame(const FrameSeen& f, std::span<const NodeSeen> nodes, Instant now) override {
        if (f.source != mac_) return;
        const Membership& own = f.from.worker->replicator().membership();
        const auto [spoke, first] = spoke_.emplace(own.epoch(group_).value, f.from.id);
        if (!first && spoke->second != f.from.id)
            complain(now, "node " + std::to_string(f.from.id) + " speaks in the epoch of node " +
                              std::to_string(spoke->second));
        if (f.from.ring_cut && now - f.from.cut_since > own.options().detection())
            complain(now, "node " + std::to_string(f.from.id) + " speaks, cut off");
        for (const NodeSeen& other : nodes) {
            if (other.id == f.from.id || !other.worker || other.paused) continue;
            if (other.worker->replicator().may_transmit(group_, other.clock))
                complain(now, "node " + std::to_string(f.from.id) + " speaks while node " +
                                  std::to_string(other.id) + " may");
        }
    }

private:
    GroupId group_;
    MacAddress mac_;
    std::map<uint64_t, uint8_t> spoke_;
};

}  // namespace holdfast::simulation
