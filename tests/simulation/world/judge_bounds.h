// I8: what is bounded stays in its bounds, whatever the standbys do.
#pragma once

#include "tests/simulation/world/judge.h"

namespace holdfast::simulation {

class BoundsJudge final : public Judge {
public:
    explicit BoundsJudge(const WorkerOptions& options) : options_(options) {}
    const char* name() const override { return "bounds"; }

    void on_look(std::span<const NodeSeen> nodes, Instant now) override {
        for (const NodeSeen& n : nodes) {
            if (!n.worker) continue;
            const Replicator& r = n.worker->replicator();
            demand(r.gate().size() <= options_.replicator.gate_packets, n, "gate", now);
            demand(r.store().bytes_used() <= options_.replicator.store.bytes, n, "store", now);
            demand(n.worker->parking().size() <= options_.parked_frames, n, "parking", now);
            if (n.worker->relay())
                demand(n.worker->relay()->memory().used() <= options_.relay.chunks, n, "payload",
                       now);
        }
    }

private:
    void demand(bool holds, const NodeSeen& n, const char* what, Instant now) {
        if (!holds) complain(now, std::string(what) + " of node " + std::to_string(n.id));
    }
    WorkerOptions options_;
};

}  // namespace holdfast::simulation
