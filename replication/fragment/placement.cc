#include "replication/fragment/placement.h"

#include "base/random.h"

namespace holdfast {

NodeSet Placement::owners(unsigned slot, NodeSet candidates) const {
    NodeSet chosen = candidates & repositories_;
    NodeSet rest = candidates.without(repositories_);
    if (rest.size() <= copies_) return chosen | rest;
    for (unsigned i = 0; i < copies_; ++i) {
        NodeId best{};
        uint64_t best_score = 0;
        for (NodeId n : rest) {
            const uint64_t score = mix64(uint64_t{slot} << 32 | (n.value + 1u)) | 1;
            if (score > best_score) best = n, best_score = score;
        }
        chosen.add(best);
        rest.remove(best);
    }
    return chosen;
}

}  // namespace holdfast
