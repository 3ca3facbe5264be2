// A node's shards seen as one: what a person asks about the node, not about worker 3.
//
// Counts are summed; where shards differ in kind the worst is told (adopting before holder before
// standby; silent before lagging before following), because the worst is what needs attention.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "controlplane/api/node_view.h"

namespace holdfast {

struct GroupSummary {
    GroupId id;
    snapshot::Role role = snapshot::Role::standby;
    bool mixed = false;            // shards have different roles or holders (in transit)
    std::optional<NodeId> holder;  // of the first shard that knows
    Epoch epoch;                   // the highest
    uint64_t sessions = 0;
};

struct Summary {
    bool solo = false;
    double coverage = 1.0;  // weighted by live sessions
    std::vector<GroupSummary> groups;
    std::vector<snapshot::Peer> peers;
    snapshot::Sessions sessions;
    snapshot::Gate gate;
    snapshot::Store store;
    std::vector<snapshot::Backend> backends;
    std::vector<snapshot::Port> ports;
    std::map<std::string, uint64_t> drops;
    // All shards' adoptions with their worker, oldest first.
    std::vector<std::pair<uint32_t, snapshot::Adoption>> adoptions;
};

Summary summarise(const snapshot::Node& node);

// "a", or "node 7" for an id nobody has.
std::string node_name(const snapshot::Node& node, NodeId id);

}  // namespace holdfast
