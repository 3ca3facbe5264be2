// Whether standbys hold what a node is about to reveal: looked up in their stores.
#pragma once

#include <string>
#include <vector>

#include "dataplane/worker.h"

namespace holdfast::simulation {

struct CopiesWanted {
    Commit commit = Commit::all;
    unsigned copies = 2;
    std::span<const Service> services{};
    bool agreed = false;  // and what was agreed with the backend, and what TLS goes on from
};

// "" or what is missing. `nodes` by id; none: dead. One copy on a node that died this moment
// counts.
std::string missing_copies(const Worker& from, SessionIndex index, const CopiesWanted& wanted,
                           std::span<const Worker* const> nodes, Instant now);

// I7: whether the holder has gathered all of the group's sessions, and each is on so many other
// nodes.
bool all_covered(const Worker& holder, GroupId group, unsigned copies,
                 std::span<const Worker* const> nodes);

}  // namespace holdfast::simulation
