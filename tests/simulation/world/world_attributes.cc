// What servers keep with sessions, in some worlds: set before each fault, as far as possible on
// each connection, and looked for once all is covered again. A server was told that it is kept when
// as many standbys have it as have the rest.
#include "tests/simulation/world/world.h"

namespace holdfast::simulation {
namespace {

constexpr Duration kTimeToKeep = Duration::seconds(2);
constexpr const char* kName = "order";

bool lives(const Session& s) { return !is_embryonic(s.state) && !is_over(s.state); }

}  // namespace

void World::set_attributes(size_t round) {
    Node* h = holder();
    if (!keeps_attributes_ || !h) return;
    const SessionTable& sessions = h->worker->forwarder().sessions();
    for (SessionIndex i = sessions.next(0); i; i = sessions.next(i.slot + 1)) {
        const Session& s = *sessions.get(i);
        if (!lives(s) || s.epoch.value == 0) continue;
        const std::string value = to_string(s.client) + " in round " + std::to_string(round);
        if (!h->worker->set_attribute(i, kName, value, h->clock(now_)))
            return complain("attributes: one of " + to_string(s.client) + " was refused");
        attributes_[s.client] = value;
    }
    run_until([&] { return attributes_kept(); }, kTimeToKeep);
    if (!attributes_kept()) stand_still("attributes are not on as many standbys as was asked for");
}

// Whether each is on so many standbys; of none, once nobody holds the group.
bool World::attributes_kept() {
    Node* h = holder();
    if (!h) return attributes_.empty();
    const SessionTable& sessions = h->worker->forwarder().sessions();
    for (SessionIndex i = sessions.next(0); i; i = sessions.next(i.slot + 1)) {
        const Session& s = *sessions.get(i);
        if (!lives(s) || !attributes_.contains(s.client)) continue;
        const FragmentId id{session_key(s), FragmentKind::application, 0};
        const SessionAttributes wanted{{kName, attributes_.at(s.client)}};
        unsigned have = 0;
        for (const auto& n : nodes_) {
            if (!n->worker || n.get() == h) continue;
            const auto kept = n->worker->replicator().store().find(id);
            have += kept && read_attributes(kept->value) == wanted;
        }
        if (have < copies_) return false;
    }
    return true;
}

void World::check_attributes() {
    Node* h = holder();
    if (!h || attributes_.empty()) return;
    const SessionTable& sessions = h->worker->forwarder().sessions();
    for (SessionIndex i = sessions.next(0); i; i = sessions.next(i.slot + 1)) {
        const Session& s = *sessions.get(i);
        const auto kept = attributes_.find(s.client);
        if (!lives(s) || kept == attributes_.end()) continue;
        const SessionAttributes* have = h->worker->takeover().attributes(i);
        if (!have || *have != SessionAttributes{{kName, kept->second}})
            complain("attributes: " + to_string(s.client) + " has lost what was kept with it");
    }
}

}  // namespace holdfast::simulation
