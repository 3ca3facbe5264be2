// What is done to the nodes of a world, one after the other or all at once.
#include <algorithm>

#include "tests/simulation/copies_held.h"
#include "tests/simulation/world/world.h"

namespace holdfast::simulation {
namespace {

constexpr Duration kTimeToRecover = Duration::seconds(10);

}  // namespace

World::Node* World::holder() {
    for (auto& n : nodes_)
        if (n->worker && !n->seen.paused &&
            n->worker->replicator().may_transmit(kGroup, n->clock(now_)))
            return n.get();
    return nullptr;
}

// Somebody holds the group, and all other nodes count.
bool World::settled() {
    Node* h = holder();
    return h && h->worker->replicator().membership().view().members.size() + 1 == nodes_.size();
}

// I7: all is gathered, and on as many standbys as was asked for.
bool World::covered() {
    Node* h = holder();
    if (!h || !h->worker->replicator().coverage_complete()) return false;
    std::vector<const Worker*> workers;
    for (const auto& n : nodes_) workers.push_back(n->worker.get());
    return all_covered(*h->worker, kGroup, copies_, workers);
}

void World::unplug(const Fault& f, bool on) {
    const bool backend =
        f.kind == Fault::Kind::backends_link || (f.kind == Fault::Kind::host_link && f.node & 2);
    auto& families = unplugged_[static_cast<size_t>(backend ? Side::back : Side::front)];
    for (size_t family = 0; family < families.size(); ++family)
        if (f.kind != Fault::Kind::host_link || (f.node & 1) == family) families[family] = on;
}

std::optional<uint8_t> World::begin(size_t number) {
    const Fault& f = faults_[number];
    Node* n = f.node == Fault::kHolder ? holder() : nodes_[f.is_of_hosts() ? 0 : f.node].get();
    if (!n || (!n->worker && !f.is_of_hosts())) return std::nullopt;
    if (options_.recorder)
        options_.recorder->say(now_, "FAULT " + std::to_string(number) + " " + to_string(f) +
                                         ": node " + std::to_string(n->seen.id));
    switch (f.kind) {
        case Fault::Kind::kill:
            n->seen.worker = nullptr;
            n->seen.paused = false;
            n->backlog.clear();
            n->worker.reset();
            break;
        case Fault::Kind::pause:
        case Fault::Kind::stall:
            pause(*n, true);
            break;
        case Fault::Kind::cut_ring:
            n->seen.ring_cut = true;
            n->seen.cut_since = now_;
            break;
        case Fault::Kind::deaf:
            n->deaf = true;
            break;
        case Fault::Kind::mute:
            n->mute = true;
            break;
        case Fault::Kind::handover:
            n->worker->release_group(kGroup, n->clock(now_));
            break;
        case Fault::Kind::clock_jump:
            n->clock_offset += f.lasts.ns;
            break;
        case Fault::Kind::clients_link:
        case Fault::Kind::backends_link:
        case Fault::Kind::host_link:
            unplug(f, true);
            break;
        case Fault::Kind::ring_weather:
        case Fault::Kind::wire_weather:
            break;
    }
    trace();
    return n->seen.id;
}

void World::end(size_t number, uint8_t node) {
    const Fault& f = faults_[number];
    Node& n = *nodes_[node];
    if (options_.recorder) options_.recorder->say(now_, "END of fault " + std::to_string(number));
    if (f.kind == Fault::Kind::kill && !n.worker) start(n);
    if (f.kind == Fault::Kind::pause || f.kind == Fault::Kind::stall) pause(n, false);
    if (f.kind == Fault::Kind::cut_ring) n.seen.ring_cut = false;
    if (f.kind == Fault::Kind::deaf) n.deaf = false;
    if (f.kind == Fault::Kind::mute) n.mute = false;
    if (f.is_of_hosts()) unplug(f, false);
    trace();
}

void World::mend_all() {
    unplugged_ = {};
    for (auto& n : nodes_) {
        n->deaf = n->mute = n->seen.ring_cut = false;
        if (n->seen.paused) pause(*n, false);
        if (!n->worker) start(*n);
    }
    trace();
}

void World::orderly() {
    const auto never = [] { return false; };
    for (size_t i = 0; i < faults_.size() && !unsafe(); ++i) {
        if (faults_[i].is_weather() || options_.without.contains(i)) continue;
        run_until(never, faults_[i].at);
        set_attributes(i);
        const auto node = begin(i);
        run_until(never, faults_[i].lasts);
        if (node) end(i, *node);
        const auto whole = [&] { return settled() && covered() && attributes_kept(); };
        if (!run_until(whole, kTimeToRecover) && !unsafe())
            return stand_still("sessions were not covered again after fault " + std::to_string(i) +
                               " (I7)");
        check_attributes();
    }
}

void World::rough() {
    struct Turn {
        Instant at;
        size_t number;
        bool begins;
    };
    std::vector<Turn> turns;
    for (size_t i = 0; i < faults_.size(); ++i) {
        if (faults_[i].is_weather() || options_.without.contains(i)) continue;
        turns.push_back({now_ + faults_[i].at, i, true});
        turns.push_back({now_ + faults_[i].at + faults_[i].lasts, i, false});
    }
    std::ranges::stable_sort(turns, {}, &Turn::at);
    std::map<size_t, uint8_t> about;
    for (const Turn& t : turns) {
        run_until([&] { return now_ >= t.at; }, Duration::seconds(60));
        if (t.begins) {
            if (const auto node = begin(t.number)) about[t.number] = *node;
        } else if (about.contains(t.number)) {
            end(t.number, about[t.number]);
        }
    }
}

}  // namespace holdfast::simulation
