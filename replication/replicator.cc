#include "replication/replicator.h"

#include <algorithm>

namespace holdfast {
namespace {

constexpr Position kNotYet{UINT64_MAX};
constexpr Duration kResyncStep = Duration::milliseconds(1);
// Datagrams: a socket buffer of 4 MB holds about 1,800 full ones (measured with the kernel's
// accounting).
constexpr uint64_t kResyncInFlight = 1024;
constexpr Duration kGarbageInterval = Duration::seconds(1);
// Fragments taken in by one call during an adoption: at some 3 us each well below what a peer would
// take for death.
constexpr unsigned kGatherBatch = 512;
constexpr Duration kSlice =
    Duration::microseconds(100);           // from one to the next: packets in between
constexpr uint32_t kForgetBatch = 16'384;  // entries looked at by one call, 10 ns each

}  // namespace

Replicator::Replicator(const ReplicatorOptions& options, RingOutput& output,
                       ReplicatorEvents& events)
    : options_(options),
      events_(events),
      alone_(options.membership.nodes.size() <= 1),
      ring_(options.ring, output, *this),
      membership_(options.membership, *this),
      placement_(options.membership.copies, options.repositories),
      store_(options.store),
      gate_(options.gate_packets),
      sweep_(*this) {}

void Replicator::start(Instant now) {
    membership_.start(now);
    ring_.heartbeat(false, now);
}

// ---- Publishing
// ------------------------------------------------------------------------------------------------

// While the set of standbys changes, those that kept a slot and those that will both do: no moment
// has fewer copies than the one before it.
NodeSet Replicator::owners(unsigned slot) const {
    const NodeSet members = membership_.view().members;
    const NodeSet coming = members | joining_;
    NodeSet owners = placement_.owners(slot, members);
    if (coming != members) owners = owners | placement_.owners(slot, coming);
    return owners;
}

Position Replicator::publish_part(const Fragment& fragment, Instant now) {
    std::array<std::byte, Ring::kMaxRecord> buffer;
    ByteWriter w(buffer);
    encode(fragment, w);
    CHECK(w.ok());
    ++counters_.published;
    flush_wanted_ = true;
    const Position position = ring_.publish(w.written(), now);
    if (is_secret(fragment.id.kind)) wipe(buffer);
    return position;
}

Published Replicator::publish(FragmentId id, GroupId group, uint32_t version, Bytes value,
                              Instant now) {
    if (alone_) return {};
    Fragment f{id, group, {membership_.epoch(group), version}, 1, false, owners(id.slot()), {}};
    const size_t parts =
        std::max<size_t>(1, (value.size() + kMaxFragmentValue - 1) / kMaxFragmentValue);
    CHECK(parts <= (is_block(id.kind) ? 1 : kMaxParts));
    f.parts = static_cast<uint8_t>(parts);
    Published published{{}, f.owners};
    for (uint8_t part = 0; part < f.parts; ++part) {
        f.id.part = static_cast<uint8_t>(id.part + part);
        f.value = value.subspan(part * kMaxFragmentValue);
        f.value = f.value.first(std::min(f.value.size(), kMaxFragmentValue));
        published.position = publish_part(f, now);
    }
    return published;
}

Published Replicator::erase(FragmentId id, GroupId group, uint32_t version, Instant now) {
    if (alone_) return {};
    const Fragment f{id, group, {membership_.epoch(group), version}, 1, true, owners(id.slot()),
                     {}};
    return {publish_part(f, now), f.owners};
}

// ---- The gate
// --------------------------------------------------------------------------------------------------

// What answers a waiting packet's need, looked up once for all that wait.
struct Replicator::Answers {
    NodeSet members;
    Instant confirmed;
    Position most;  // that any member has
    std::array<Position, kMaxNodes> acknowledged;
};

Replicator::Answers Replicator::answers(Instant now) const {
    Answers a{membership_.view().members, membership_.confirmed_at(now), {}, {}};
    for (NodeId n : a.members) {
        // Who follows anew may have skipped what it acknowledges.
        if (joining_.has(n)) continue;
        a.acknowledged[n.value] = ring_.acknowledged(n);
        a.most = std::max(a.most, a.acknowledged[n.value]);
    }
    return a;
}

bool Replicator::satisfied(const GateNeed& need, const Answers& answers, Instant now) const {
    if (answers.confirmed < need.confirmed_after) return false;
    if (!membership_.may_transmit(need.group, answers.confirmed, now)) return false;
    if (need.position.value == 0 || need.commit == Commit::none) return true;
    return held(need.owners, need, answers) &&
           (need.also.empty() || held(need.also, need, answers));
}

// Whether enough of the owners of one fragment have it.
bool Replicator::held(NodeSet owners, const GateNeed& need, const Answers& answers) const {
    const NodeSet keepers = owners & answers.members;
    if (keepers.empty()) return answers.members.empty() && options_.membership.solo;
    if (need.position > answers.most) return false;
    unsigned have = 0;
    for (NodeId n : keepers) have += answers.acknowledged[n.value] >= need.position;
    return need.commit == Commit::all ? have == keepers.size() : have > 0;
}

bool Replicator::hold(const GateNeed& need, GateTag tag, Bytes packet, Instant now) {
    confirmation_wanted_ = true;
    return gate_.hold(need, tag, packet, now);
}

void Replicator::open_gate(Instant now) {
    if (gate_.size() == 0) return;
    const Answers found = answers(now);
    gate_.open(
        now, [&](const GateNeed& need) { return satisfied(need, found, now); },
        [&](GateTag tag, Bytes packet) { events_.on_release(tag, packet, now); });
}

void Replicator::on_burst_end(Instant now) {
    if (alone_ && gate_.size() > 0) open_gate(now);  // nobody's answer will
    if (confirmation_wanted_ && !flush_wanted_) ring_.heartbeat(true, now);
    if (flush_wanted_) ring_.flush(gate_.size() > 0, now);
    flush_wanted_ = confirmation_wanted_ = false;
}

void Replicator::on_stall(Duration gap, Instant now) {
    ++counters_.stalls;
    membership_.on_stall(gap, now);
}

// ---- What the ring brings
// --------------------------------------------------------------------------------------

void Replicator::on_record(NodeId from, Bytes record, Instant now) {
    membership_.on_heard(from, now);
    ByteReader r(record);
    const auto f = decode_fragment(r);
    if (!f || !r.done()) {
        ++counters_.records_bad;
        return;
    }
    ++counters_.records_in;
    if (f->version.epoch < membership_.epoch(f->group) ||
        membership_.role(f->group) == Role::holder) {
        ++counters_.records_fenced;  // the next status tells the sender why
        return;
    }
    // Without an owner: whoever publishes it has no standby that counts. It is kept by all who hear
    // it (docs/invariants.md, I7).
    if (f->owners.empty() || f->owners.has(self()) || (is_block(f->id.kind) && f->erased)) {
        store_.put(*f, now);
    } else {
        store_.drop(f->id, f->version);
    }
}

void Replicator::on_message(NodeId from, Bytes body, Instant now) {
    membership_.on_heard(from, now);
    if (body.empty()) return;
    const auto type = static_cast<MessageType>(body[0]);
    if (type == MessageType::adopt || type == MessageType::vote) {
        membership_.on_message(from, body, now);
    } else {
        sweep_.on_message(from, body, store_, now);
    }
}

void Replicator::on_heartbeat(NodeId from, Bytes body, Instant now) {
    membership_.on_heartbeat(from, body, now);
}

void Replicator::on_status(NodeId from, Position contiguous, Instant heard_at, Bytes body,
                           Instant now) {
    membership_.on_status(from, heard_at, body, now);
    if (joining_.has(from) && contiguous >= synced_at_[from.value] && !resync_running_) {
        joining_.remove(from);
        membership_.set_synced(from, true, now);
    }
    open_gate(now);
}

void Replicator::on_peer_started(NodeId peer, Incarnation incarnation, Instant now) {
    joining_.remove(peer);
    sweep_.on_peer_lost(peer, now);
    membership_.on_peer_started(peer, incarnation, now);
}

size_t Replicator::status_body(NodeId to_node, MutableBytes to) {
    return membership_.status_body(to_node, to);
}

void Replicator::on_follower(NodeId peer, Position, Instant now) {
    membership_.set_synced(peer, false, now);
    joining_.add(peer);
    start_resync(now);
}

void Replicator::on_lagging(NodeId peer, Instant now) {
    ++counters_.lagging;
    joining_.remove(peer);
    membership_.set_synced(peer, false, now);
}

// ---- Resync: coverage is restored without anyone asking (docs/invariants.md, I7)
// -----------------------------

void Replicator::start_resync(Instant now) {
    resync_running_ = true;
    resync_cursor_ = 0;
    next_resync_ = now;
    for (NodeId n : joining_) synced_at_[n.value] = kNotYet;
    ++counters_.resyncs;
}

// No faster than the slowest standby takes it in: its socket holds less than our ring does.
bool Replicator::ring_is_busy() const {
    return options_.ring.slots - ring_.room() >
           std::min<uint64_t>(kResyncInFlight, options_.ring.slots / 2);
}

void Replicator::step_resync(Instant now) {
    if (!resync_running_ || now < next_resync_) return;
    next_resync_ = now + kResyncStep;
    if (ring_is_busy()) return;
    resync_cursor_ = events_.republish(resync_cursor_, options_.resync_batch, now);
    if (resync_cursor_ == ReplicatorEvents::kNoMoreSessions) finish_resync(now);
}

void Replicator::finish_resync(Instant now) {
    resync_running_ = false;
    const Position last = ring_.last_published();
    ring_.flush(true, now);
    ring_.heartbeat(true, now);
    for (NodeId n : joining_) {
        synced_at_[n.value] = last;
        if (ring_.acknowledged(n) < last) continue;
        joining_.remove(n);
        membership_.set_synced(n, true, now);
    }
}

void Replicator::on_view(NodeSet, Instant now) {
    gate_.renew([&](GateTag tag, GateNeed& need) {
        if (need.position.value != 0) events_.renew(tag, need, now);
    });
    start_resync(now);
    open_gate(now);
}

// ---- Adoption
// ------------------------------------------------------------------------------------------------

void Replicator::on_acquired(GroupId group, Epoch epoch, NodeId previous, Instant now) {
    gathering_[group.value] = gathering_late_[group.value] = true;
    Gathering& g = steps_[group.value];
    if (g.forgetting) forget(group, store_.end());  // not again what was over before
    g.step = Gathering::Step::own;
    g.cursor = 0;
    events_.on_acquired(group, epoch, previous, now);
    sweep_.begin(group, epoch, membership_.alive_nodes(now), now);
    gather(group, now);
}

bool Replicator::gathering_has_work() const {
    return std::ranges::any_of(
        steps_, [](const Gathering& g) { return g.step != Gathering::Step::none || g.forgetting; });
}

void Replicator::step_gathering(Instant now) {
    next_slice_ = now + kSlice;
    for (uint8_t i = 0; i < kMaxGroups; ++i) {
        if (steps_[i].step != Gathering::Step::none) gather({i}, now);
        if (steps_[i].forgetting) forget({i}, kForgetBatch);
    }
}

// The next of what is to be done about a group that was acquired.
void Replicator::gather(GroupId group, Instant now) {
    if (ring_is_busy()) return;
    Gathering& g = steps_[group.value];
    switch (g.step) {
        case Gathering::Step::none:
            return;
        case Gathering::Step::own:
        case Gathering::Step::own_late:
            if (!gather_own(group, g.step == Gathering::Step::own_late, now)) return;
            g.step = Gathering::Step::none;
            return sweep_.own_walked(group, now);
        case Gathering::Step::settle:
            g.cursor = events_.settle(group, g.cursor, kGatherBatch, now);
            if (g.cursor != ReplicatorEvents::kNoMoreSessions) return;
            gathering_[group.value] = false;
            events_.on_gathered(group, now);
            flush_wanted_ = true;
            g.step = Gathering::Step::own_late;
            g.cursor = 0;
            return sweep_.begin_late(group, now);
    }
}

// Whether it is through.
bool Replicator::gather_own(GroupId group, bool late, Instant now) {
    const Epoch epoch = membership_.epoch(group);
    uint32_t& cursor = steps_[group.value].cursor;
    unsigned budget = kGatherBatch;
    cursor = store_.walk(cursor, [&](const Fragment& f) {
        if (budget == 0) return false;
        --budget;
        if (f.group == group && f.version.epoch < epoch && is_late(f.id.kind) == late)
            events_.on_fragment(self(), f, now);
        return true;
    });
    return cursor == store_.end();
}

void Replicator::forget_older(GroupId group, Epoch below) {
    Gathering& g = steps_[group.value];
    g.forgetting = true;
    g.forget_cursor = 0;
    g.below = below;
}

bool Replicator::forget(GroupId group, uint32_t budget) {
    Gathering& g = steps_[group.value];
    g.forget_cursor = store_.drop_if(g.forget_cursor, budget, [&](const Fragment& f) {
        return f.group == group && f.version.epoch < g.below;
    });
    g.forgetting = g.forget_cursor != store_.end();
    return !g.forgetting;
}

void Replicator::on_lost(GroupId group, Instant now) {
    // What was gathered is older than what we have published since: nobody may ask us for it.
    Gathering& g = steps_[group.value];
    if (gathering_late_[group.value] && !gathering_[group.value])
        forget_older(group, membership_.epoch(group));
    if (g.forgetting) forget(group, store_.end());
    g.step = Gathering::Step::none;
    gathering_[group.value] = gathering_late_[group.value] = false;
    swept_at_[group.value] = {};
    sweep_.cancel(group);
    gate_.abandon(group);
    events_.on_lost(group, now);
}

void Replicator::on_swept_fragment(NodeId from, const Fragment& fragment, Instant now) {
    if (membership_.role(fragment.group) != Role::holder ||
        fragment.version.epoch >= membership_.epoch(fragment.group))
        return;
    // Kept until the sweep is done, so that the kinds of one session find each other in any order.
    if (store_.put(fragment, now) == FragmentStore::Put::stored)
        events_.on_fragment(from, fragment, now);
}

void Replicator::on_sweep_done(GroupId group, Instant now) {
    if (!gathering_[group.value]) return;
    steps_[group.value].step = Gathering::Step::settle;
    steps_[group.value].cursor = 0;
    gather(group, now);
}

void Replicator::on_late_sweep_done(GroupId group, Instant now) {
    if (!gathering_late_[group.value]) return;
    gathering_late_[group.value] = false;
    events_.on_gathered_late(group, now);
    forget_older(group, membership_.epoch(group));
    swept_at_[group.value] = std::max(ring_.last_published(), Position{1});
    flush_wanted_ = true;
}

void Replicator::confirm_sweeps() {
    for (uint8_t i = 0; i < kMaxGroups; ++i) {
        if (swept_at_[i].value == 0 || membership_.view().number == 0) continue;
        bool everywhere = true;
        for (NodeId n : membership_.view().members)
            everywhere &= ring_.acknowledged(n) >= swept_at_[i];
        if (!everywhere) continue;
        swept_at_[i] = {};
        membership_.set_swept({i}, true);
    }
}

void Replicator::pull(GroupId group, const SessionKey& session, FragmentKind kind, Instant now) {
    if (steps_[group.value].step != Gathering::Step::none) pull_own(group, session, kind, now);
    sweep_.pull(group, membership_.epoch(group), session, kind, now);
}

// What the walk through our own store has not come to yet.
void Replicator::pull_own(GroupId group, const SessionKey& session, FragmentKind kind,
                          Instant now) {
    for (uint8_t k = 0; k < kFragmentKinds; ++k) {
        FragmentId id{session, static_cast<FragmentKind>(k), 0};
        if ((id.kind == FragmentKind::alias) != (kind == FragmentKind::alias)) continue;
        for (; id.part < kMaxParts; ++id.part) {
            const auto f = store_.find(id);
            if (!f || f->group != group || f->version.epoch >= membership_.epoch(group)) break;
            events_.on_fragment(self(), *f, now);
        }
    }
}

// Once a new holder says that it has gathered everything, older fragments of its group are of no
// use to anyone.
void Replicator::collect_garbage(Instant now) {
    if (now < next_garbage_) return;
    next_garbage_ = now + kGarbageInterval;
    store_.expire_tombstones(now);
    for (uint8_t i = 0; i < kMaxGroups; ++i) {
        const GroupId group{i};
        const LastClaim& claim = membership_.claim(group);
        if (claim.epoch.value == 0 || claim.holder == self() || claim.epoch == collected_[i])
            continue;
        if (!membership_.peer_swept(claim.holder, group)) continue;
        collected_[i] = claim.epoch;
        forget_older(group, claim.epoch);
    }
}

// ---- Time
// ------------------------------------------------------------------------------------------------------

Instant Replicator::next_deadline() const {
    Instant next = earlier(ring_.next_deadline(), membership_.next_deadline());
    next = earlier(next, sweep_.next_deadline());
    if (resync_running_) next = earlier(next, next_resync_);
    if (gathering_has_work()) next = earlier(next, next_slice_);
    return next;
}

void Replicator::on_deadline(Instant now) {
    ring_.on_deadline(now);
    membership_.on_deadline(now);
    for (NodeId n : options_.membership.nodes)
        if (n != self() && !membership_.alive(n, now)) sweep_.on_peer_lost(n, now);
    sweep_.on_deadline(now);
    if (now >= next_slice_) step_gathering(now);
    step_resync(now);
    open_gate(now);
    confirm_sweeps();
    collect_garbage(now);
    on_burst_end(now);
}

}  // namespace holdfast
