// Which nodes keep a slot: the first R of the candidates by rendezvous hashing (Thaler and
// Ravishankar, 1998), and every repository. A candidate that goes or comes changes only the slots
// it had or gets.
#pragma once

#include <array>

#include "base/cluster.h"
#include "replication/fragment/fragment.h"

namespace holdfast {

class Placement {
public:
    // copies: R, at least 1. Nodes in `repositories` own every slot in addition.
    Placement(unsigned copies, NodeSet repositories)
        : copies_(copies), repositories_(repositories) {}

    NodeSet owners(unsigned slot, NodeSet candidates) const;
    unsigned copies() const { return copies_; }

private:
    unsigned copies_;
    NodeSet repositories_;
};

}  // namespace holdfast
