// The view of our own ring: who counts for commit, and from when on.
#include "replication/membership/membership.h"

namespace holdfast {

void Membership::set_synced(NodeId peer, bool synced, Instant now) {
    peers_[peer.value].synced = synced;
    reconsider_view(now);
}

// Whether those who stay of a view have one in common with any quorum of it.
bool Membership::meets_quorums(NodeSet view, NodeSet stay) const {
    return stay == view || stay.size() > tolerated(view.size(), options_.copies);
}

bool Membership::may_shrink(NodeSet to) const {
    if (!holds_any()) return true;  // nothing can be adopted from a node that holds nothing
    return options_.solo || meets_quorums(base_.members, to & base_.members);
}

void Membership::reconsider_view(Instant now) {
    NodeSet wanted;
    for (NodeId n : options_.nodes) {
        const Peer& p = peers_[n.value];
        if (n == options_.self || p.heard == kNever || !p.synced || p.leaving) continue;
        // Exclusion takes longer than detection: whoever would adopt from us has tried by then.
        const bool member = pending_.members.has(n);
        if (now - p.heard < (member ? options_.detection() * 3 / 2 : options_.detection()))
            wanted.add(n);
    }
    if (wanted == pending_.members && pending_.number != 0) return;
    if (!may_shrink(wanted)) {
        ++counters_.shrinks_denied;
        return;
    }
    pending_ = {pending_.number + 1, wanted};
    for (uint8_t g = 0; g < kMaxGroups; ++g)
        if (groups_[g].held) remember({g});
    output_.heartbeat_now(now);
    activate_if_confirmed(now);
}

void Membership::activate_if_confirmed(Instant now) {
    if (pending_.number == active_.number) return;
    for (NodeId m : pending_.members)
        if (peers_[m.value].knows_view < pending_.number) return;
    active_ = base_ = pending_;
    ++counters_.views;
    output_.on_view(active_.members, now);
}

}  // namespace holdfast
