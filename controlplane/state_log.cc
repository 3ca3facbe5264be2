#include "controlplane/state_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "controlplane/api/summary.h"
#include "controlplane/api/text.h"

namespace holdfast {

namespace {

using Changes = std::vector<StateChange>;

void compare_groups(const snapshot::Node& node, const Summary& was, const Summary& is,
                    Changes& out) {
    for (const GroupSummary& g : is.groups) {
        const auto old = std::ranges::find(was.groups, g.id, &GroupSummary::id);
        if (old != was.groups.end() && old->role == g.role && old->holder == g.holder &&
            old->epoch == g.epoch)
            continue;
        out.push_back({false, fmt::format("group {}: {} in epoch {}, held by {}", g.id.value,
                                          to_text(g.role), g.epoch.value,
                                          g.holder ? node_name(node, *g.holder) : "nobody known")});
    }
}

void compare_peers(const snapshot::Node& node, const Summary& was, const Summary& is,
                   Changes& out) {
    for (const snapshot::Peer& p : is.peers) {
        const auto old = std::ranges::find(was.peers, p.id, &snapshot::Peer::id);
        if (old != was.peers.end() && old->state == p.state) continue;
        const bool grave =
            p.state == snapshot::PeerState::silent || p.state == snapshot::PeerState::lagging;
        out.push_back({grave, fmt::format("peer {}: {}", node_name(node, p.id), to_text(p.state))});
    }
}

void compare_backends(const Summary& was, const Summary& is, Changes& out) {
    for (const snapshot::Backend& b : is.backends) {
        const auto old = std::ranges::find_if(was.backends, [&](const snapshot::Backend& o) {
            return o.service == b.service && o.name == b.name;
        });
        const bool was_up = old == was.backends.end() || old->up;
        if (was_up != b.up)
            out.push_back(
                {!b.up, fmt::format("backend {}/{}: {}", b.service, b.name, b.up ? "up" : "down")});
    }
}

bool complete(const snapshot::Adoption& a) { return a.sweep_done.has_value(); }

double ms(const std::optional<Duration>& d) { return d ? static_cast<double>(d->ns) / 1e6 : 0.0; }

void compare_adoptions(const snapshot::Node& node, const Summary& was, const Summary& is,
                       Changes& out) {
    for (const auto& [worker, a] : is.adoptions) {
        const bool told = std::ranges::any_of(was.adoptions, [w = worker, &a = a](const auto& old) {
            return old.first == w && old.second.group == a.group && old.second.epoch == a.epoch &&
                   complete(old.second);
        });
        if (told || !complete(a)) continue;
        out.push_back(
            {a.lost != 0,
             fmt::format("worker {}: took group {} over from {} in epoch {}: epoch won after "
                         "{:.1f} ms, first packet {:.1f} ms, sweep done {:.1f} ms; {} sessions "
                         "carried on, {} lost",
                         worker, a.group.value, a.from ? node_name(node, *a.from) : "nobody",
                         a.epoch.value, ms(a.epoch_won), ms(a.first_packet), ms(a.sweep_done),
                         a.sessions, a.lost)});
    }
}

}  // namespace

std::vector<StateChange> StateLog::look(const snapshot::Node& now) {
    Changes out;
    const Summary was = summarise(before_);
    const Summary is = summarise(now);
    compare_groups(now, was, is, out);
    compare_peers(now, was, is, out);
    compare_backends(was, is, out);
    compare_adoptions(now, was, is, out);
    if (was.solo != is.solo && (is.solo || !first_))
        out.push_back({is.solo, is.solo ? "solo: goes on without any standby" : "no longer solo"});
    before_ = now;
    first_ = false;
    return out;
}

}  // namespace holdfast
