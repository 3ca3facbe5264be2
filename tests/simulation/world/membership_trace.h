// How the nodes' epochs, claims and views change, as tests/model/trace.py reads it: a line for each
// change of a node, "node up held epoch-count epoch-node number announced counting" (sets as bits).
#pragma once

#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "tests/simulation/world/judge.h"

namespace holdfast::simulation {

class MembershipTrace {
public:
    MembershipTrace(const std::string& path, GroupId group) : file_(path), group_(group) {}
    bool ok() const { return file_.good(); }

    // From here on; nothing is written before.
    void begin() { begun_ = true; }
    void look(std::span<const NodeSeen> nodes, Instant now);

private:
    std::string line_of(const NodeSeen& node) const;

    std::ofstream file_;
    GroupId group_;
    bool begun_ = false;
    std::vector<std::string> last_;
};

}  // namespace holdfast::simulation
