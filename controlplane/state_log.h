// What changed between two looks at a node, as lines for the log: one for each change of a role,
// a peer, a backend, of going alone, and one for each takeover when it is complete.
//
// Pure: the caller looks, and logs. Changes that came and went between two looks are not seen;
// takeovers always are (the snapshot keeps them).
#pragma once

#include <string>
#include <vector>

#include "controlplane/api/node_view.h"

namespace holdfast {

struct StateChange {
    bool grave = false;  // worth a warning
    std::string text;
};

class StateLog {
public:
    std::vector<StateChange> look(const snapshot::Node& now);

private:
    snapshot::Node before_;
    bool first_ = true;
};

}  // namespace holdfast
