#include "controlplane/api/summary.h"

#include <algorithm>

namespace holdfast {

namespace {

using namespace snapshot;

void add(snapshot::Sessions& to, const snapshot::Sessions& from) {
    to.embryonic += from.embryonic;
    to.established += from.established;
    to.closing += from.closing;
    to.unprotected += from.unprotected;
    to.capacity += from.capacity;
}

void add(Gate& to, const Gate& from) {
    to.held += from.held;
    to.released += from.released;
    to.longest_wait = std::max(to.longest_wait, from.longest_wait);
    to.parked += from.parked;
}

void add(Store& to, const Store& from) {
    to.fragments += from.fragments;
    to.bytes += from.bytes;
    to.capacity_bytes += from.capacity_bytes;
}

void add(std::vector<GroupSummary>& to, const snapshot::Group& from) {
    auto it = std::ranges::find(to, from.id, &GroupSummary::id);
    if (it == to.end()) {
        to.push_back({from.id, from.role, false, from.holder, from.epoch, from.sessions});
        return;
    }
    it->mixed = it->mixed || it->role != from.role ||
                (it->holder && from.holder && it->holder != from.holder);
    const auto urgency = [](Role r) { return r == Role::adopting ? 2 : r == Role::holder ? 1 : 0; };
    if (urgency(from.role) > urgency(it->role)) it->role = from.role;
    if (!it->holder) it->holder = from.holder;
    it->epoch = std::max(it->epoch, from.epoch);
    it->sessions += from.sessions;
}

int urgency(PeerState state) {
    switch (state) {
        case PeerState::following:
            return 0;
        case PeerState::joining:
            return 1;
        case PeerState::lagging:
            return 2;
        case PeerState::silent:
            return 3;
        case PeerState::never_heard:
            return 4;
    }
    return 0;
}

void add(std::vector<Peer>& to, const Peer& from) {
    auto it = std::ranges::find(to, from.id, &Peer::id);
    if (it == to.end()) {
        to.push_back(from);
        return;
    }
    if (urgency(from.state) > urgency(it->state)) it->state = from.state;
    if (!from.since_heard || (it->since_heard && *from.since_heard > *it->since_heard))
        it->since_heard = from.since_heard;
    it->lag = std::max(it->lag, from.lag);
    it->in_view = it->in_view && from.in_view;
}

void add(std::vector<Backend>& to, const Backend& from) {
    auto it = std::ranges::find_if(
        to, [&](const Backend& b) { return b.service == from.service && b.name == from.name; });
    if (it == to.end()) {
        to.push_back(from);
        return;
    }
    it->up = it->up && from.up;
    it->sessions += from.sessions;
    it->failed_checks += from.failed_checks;
}

void add(std::vector<Port>& to, const Port& from) {
    auto it = std::ranges::find(to, from.name, &Port::name);
    if (it == to.end()) {
        to.push_back(from);
        return;
    }
    for (uint64_t Port::*m :
         {&Port::rx_packets, &Port::rx_bytes, &Port::tx_packets, &Port::tx_bytes, &Port::rx_missed,
          &Port::rx_errors, &Port::rx_nombuf, &Port::tx_errors, &Port::tx_full})
        (*it).*m += from.*m;
}

}  // namespace

Summary summarise(const snapshot::Node& node) {
    Summary sum;
    double covered = 0;
    for (const Shard& shard : node.shards) {
        sum.solo = sum.solo || shard.solo;
        covered += shard.coverage * static_cast<double>(shard.sessions.live());
        for (const auto& group : shard.groups) add(sum.groups, group);
        for (const auto& peer : shard.peers) add(sum.peers, peer);
        for (const auto& backend : shard.backends) add(sum.backends, backend);
        for (const auto& port : shard.ports) add(sum.ports, port);
        for (const auto& drop : shard.drops) sum.drops[drop.reason] += drop.count;
        for (const auto& adoption : shard.adoptions)
            sum.adoptions.emplace_back(shard.worker, adoption);
        add(sum.sessions, shard.sessions);
        add(sum.gate, shard.gate);
        add(sum.store, shard.store);
    }
    const uint64_t live = sum.sessions.live();
    sum.coverage = live == 0 ? 1.0 : covered / static_cast<double>(live);
    std::ranges::stable_sort(sum.adoptions, {},
                             [](const auto& a) { return a.second.detected_unix_ns; });
    return sum;
}

std::string node_name(const snapshot::Node& node, NodeId id) {
    if (id.value < node.node_names.size() && !node.node_names[id.value].empty())
        return node.node_names[id.value];
    return "node " + std::to_string(id.value);
}

}  // namespace holdfast
