#include "replication/membership/membership.h"

#include <algorithm>
#include <functional>

namespace holdfast {
namespace {

constexpr int64_t kListening =
    10;  // detection times, until who was not heard of is not there; guess

uint32_t low(Incarnation i) { return static_cast<uint32_t>(i.value); }

}  // namespace

const char* to_string(Role role) {
    switch (role) {
        case Role::standby:
            return "standby";
        case Role::adopting:
            return "adopting";
        case Role::holder:
            return "holder";
    }
    return "?";
}

Membership::Membership(const MembershipOptions& options, MembershipOutput& output)
    : options_(options), output_(output) {
    CHECK(options.copies >= 1 && options.misses >= 2 && options.heartbeat.ns > 0);
    for (const GroupOrder& g : options.groups) {
        CHECK(g.id.value < kMaxGroups);
        groups_[g.id.value].configured = true;
        groups_[g.id.value].order = g.order;
        groups_[g.id.value].epoch = options.remembered[g.id.value].epoch;
        groups_[g.id.value].claim = options.remembered[g.id.value].claim;
    }
}

void Membership::start(Instant now) {
    started_ = now;
    next_tick_ = now;
    for (Group& g : groups_) g.vacant_since = now;
}

// How many members of a holder's view may be missing when it is adopted from: fewer than there are
// copies (one, where there is but one: what only the missing member kept is lost then, and reset),
// and fewer than half, so that two quorums meet.
unsigned Membership::tolerated(size_t members, unsigned copies) {
    if (members == 0) return 0;
    return std::min(std::max(copies - 1, 1u), static_cast<unsigned>((members - 1) / 2));
}

bool Membership::alive(NodeId peer, Instant now) const {
    const Instant heard = peers_[peer.value].heard;
    return heard != kNever && now - heard < options_.detection();
}

NodeSet Membership::alive_nodes(Instant now) const {
    NodeSet set;
    for (NodeId n : options_.nodes)
        if (n != options_.self && alive(n, now)) set.add(n);
    return set;
}

bool Membership::holds_any() const { return std::ranges::any_of(groups_, &Group::held); }

Role Membership::role(GroupId group) const {
    const Group& g = groups_[group.value];
    if (g.held) return Role::holder;
    return g.attempt == Attempt::none ? Role::standby : Role::adopting;
}

Incarnation Membership::current(NodeId node) const {
    return node == options_.self ? options_.incarnation : peers_[node.value].incarnation;
}

bool Membership::peer_swept(NodeId peer, GroupId group) const {
    const GroupClaim& c = peers_[peer.value].claims[group.value];
    return c.holder && c.swept && c.epoch == groups_[group.value].epoch;
}

// ---- Confirmation: may a holder speak?
// -----------------------------------------------------------------------

Instant Membership::confirmed_at(Instant now) const {
    if (active_.members.empty()) return options_.solo ? now : kNever;
    std::array<Instant, kMaxNodes> times;
    size_t n = 0;
    for (NodeId m : active_.members) times[n++] = peers_[m.value].confirmed;
    std::sort(times.begin(), times.begin() + n, std::greater<>());
    return times[tolerated(n, options_.copies)];
}

bool Membership::may_transmit(GroupId group, Instant confirmed, Instant now) const {
    if (!groups_[group.value].held || active_.number == 0) return false;
    return confirmed != kNever && now - confirmed <= silence_bound();
}

void Membership::on_stall(Duration gap, Instant now) {
    started_ = std::min(started_ + gap, now);
    for (Peer& p : peers_) {
        p.confirmed = kNever;
        if (p.heard != kNever) p.heard = std::min(p.heard + gap, now);
    }
    output_.heartbeat_now(now);
}

void Membership::on_status(NodeId peer, Instant heard_at, Bytes bytes, Instant now) {
    const auto body = parse_status_body(bytes);
    if (!body) {
        ++counters_.bad_messages;
        return;
    }
    Peer& p = peers_[peer.value];
    p.heard = now;
    p.knows_view = std::max(p.knows_view, body->knows_view);
    // Epochs first: an answer that comes with a newer epoch confirms nothing (docs/invariants.md,
    // I4).
    for (unsigned g = 0; g < kMaxGroups; ++g)
        learn_epoch({static_cast<uint8_t>(g)}, body->epochs[g], now);
    p.confirmed = std::max(p.confirmed, heard_at);
    activate_if_confirmed(now);
}

void Membership::learn_epoch(GroupId id, Epoch epoch, Instant now) {
    Group& g = groups_[id.value];
    if (epoch <= g.epoch) return;
    g.epoch = epoch;
    lose(id, now);
}

// Somebody has, or may get, a newer epoch: stop at once, whatever we were doing with this group.
void Membership::lose(GroupId id, Instant now) {
    Group& g = groups_[id.value];
    g.attempt = Attempt::none;
    g.next_try = now + options_.heartbeat;
    if (!g.held) return;
    record_own_view(g.claim);
    g.held = g.swept = false;
    ++counters_.fenced;
    output_.on_lost(id, now);
}

// What a claim of our own means to us once it is over: the last view that counted, as any other
// would know it.
void Membership::record_own_view(LastClaim& claim) const {
    claim.view_number = pending_.number;
    claim.members = pending_.members;
    claim.base_number = base_.number;
    claim.base_members = base_.members;
    for (NodeId m : pending_.members)
        claim.incarnations[m.value] = low(peers_[m.value].incarnation);
}

void Membership::remember(GroupId id) {
    const Group& g = groups_[id.value];
    Promise promise{g.epoch, g.claim};
    if (g.held) record_own_view(promise.claim);
    output_.remember(id, promise);
}

// ---- Heartbeats
// ------------------------------------------------------------------------------------------------

void Membership::on_peer_started(NodeId peer, Incarnation incarnation, Instant now) {
    Peer fresh;
    fresh.incarnation = incarnation;
    fresh.heard = now;
    peers_[peer.value] = fresh;
    reconsider_view(now);
}

void Membership::on_heartbeat(NodeId peer, Bytes bytes, Instant now) {
    const auto body = parse_heartbeat_body(bytes);
    if (!body) {
        ++counters_.bad_messages;
        return;
    }
    Peer& p = peers_[peer.value];
    p.heard = now;
    if (body->serial <= p.serial) return;
    p.serial = body->serial;
    if (body->view_number >= p.view.number) {
        p.view = {body->view_number, body->members};
        p.member_incarnation = body->incarnations;
        p.base = {body->base_number, body->base_members};
    }
    p.leaving = body->leaving;
    const auto before = p.claims;
    for (unsigned g = 0; g < kMaxGroups; ++g)
        learn_claim({static_cast<uint8_t>(g)}, peer, body->claims[g], now);
    p.claims = body->claims;
    // Given away: nobody waits for the next tick.
    for (unsigned g = 0; g < kMaxGroups; ++g)
        if (groups_[g].configured && before[g].holder && !p.claims[g].holder)
            consider({static_cast<uint8_t>(g)}, now);
}

void Membership::learn_claim(GroupId id, NodeId peer, const GroupClaim& claim, Instant now) {
    Group& g = groups_[id.value];
    learn_epoch(id, claim.epoch, now);
    if (!claim.holder || claim.epoch < g.claim.epoch || claim.epoch.value == 0 || g.held) return;
    const Peer& p = peers_[peer.value];
    const bool newer = claim.epoch > g.claim.epoch;
    if (newer) g.next_try = now;  // that vote is settled
    const bool news = newer || p.view.number > g.claim.view_number;
    if (newer || p.view.number >= g.claim.view_number)
        g.claim = {claim.epoch,   peer,           p.incarnation,
                   p.view.number, p.view.members, p.member_incarnation,
                   p.base.number, p.base.members};
    g.claim_heard = true;
    if (news) remember(id);
    g.heard_holder = now;
}

size_t Membership::heartbeat_body(MutableBytes to) {
    MemberHeartbeat body;
    body.serial = ++serial_;
    body.view_number = pending_.number;
    body.members = pending_.members;
    for (NodeId m : pending_.members) body.incarnations[m.value] = low(peers_[m.value].incarnation);
    body.base_number = base_.number;
    body.base_members = base_.members;
    body.leaving = leaving_;
    for (unsigned i = 0; i < kMaxGroups; ++i) {
        const Group& g = groups_[i];
        body.claims[i] = {g.epoch, g.held, g.held && g.swept};
    }
    return emit(body, to);
}

size_t Membership::status_body(NodeId to_node, MutableBytes to) const {
    MemberStatus body;
    body.knows_view = peers_[to_node.value].view.number;
    for (unsigned i = 0; i < kMaxGroups; ++i) body.epochs[i] = groups_[i].epoch;
    return emit(body, to);
}

// ---- Adoption
// ------------------------------------------------------------------------------------------------

// No one holds the group as far as we can tell, its last holder having been silent for `silence`.
bool Membership::vacant(GroupId id, Instant now, Duration silence) const {
    const Group& g = groups_[id.value];
    if (g.held) return false;
    if (g.claim.epoch.value == 0 || g.claim.holder == options_.self) return true;
    const Peer& h = peers_[g.claim.holder.value];
    if (h.incarnation != g.claim.incarnation || !h.claims[id.value].holder) return true;
    return h.heard == kNever || now - h.heard >= silence;
}

// Everyone who counted for that holder, and the holder, has started anew since: what it had is
// gone, and none of them can commit for it. Who was not heard of since we started, however long we
// listened, counts as gone: a cluster that was switched off must not wait for a machine that broke.
bool Membership::all_restarted(const LastClaim& claim, Instant now) const {
    const bool listened = now - started_ >= options_.detection() * kListening;
    const auto gone = [&](NodeId n, uint32_t then) {
        const Incarnation life = current(n);
        return life.value == 0 ? listened : low(life) != then;
    };
    for (NodeId m : claim.members)
        if (!gone(m, claim.incarnations[m.value])) return false;
    return gone(claim.holder, low(claim.incarnation));
}

// Only a member of the last holder's view, in the life in which it was one, has what was committed.
// The holder itself may take back what it gave up.
bool Membership::may_adopt_from(const LastClaim& claim, NodeId candidate, Instant now) const {
    if (claim.epoch.value == 0) return true;
    if (candidate == claim.holder && current(candidate) == claim.incarnation) return true;
    const bool member = claim.members.has(candidate) &&
                        claim.incarnations[candidate.value] == low(current(candidate));
    return member || all_restarted(claim, now);
}

bool Membership::eligible(const Group& g, Instant now) const {
    if (leaving_ || !may_adopt_from(g.claim, options_.self, now)) return false;
    if (g.claim.epoch.value != 0 && !all_restarted(g.claim, now)) return true;
    return alive_nodes(now).size() + 1 > options_.nodes.size() / 2 || options_.solo;
}

unsigned Membership::rank(const Group& g, Instant now) const {
    unsigned rank = 0;
    for (NodeId n : g.order) {
        if (n == options_.self) return rank;
        const bool gave_it_up = n == g.claim.holder && current(n) == g.claim.incarnation;
        if (gave_it_up || !alive(n, now) || peers_[n.value].leaving) continue;
        rank += may_adopt_from(g.claim, n, now);
    }
    return rank;
}

void Membership::on_deadline(Instant now) {
    if (now < next_tick_) return;
    next_tick_ = now + options_.heartbeat / 4;
    reconsider_view(now);
    for (unsigned g = 0; g < kMaxGroups; ++g)
        if (groups_[g].configured) consider({static_cast<uint8_t>(g)}, now);
}

void Membership::consider(GroupId id, Instant now) {
    Group& g = groups_[id.value];
    if (g.held && !allowed(id)) release(id, now);
    if (g.held || !allowed(id)) return;
    if (!vacant(id, now, options_.detection())) {
        g.vacant_since = Instant::max();
        g.attempt = Attempt::none;
        return;
    }
    if (g.vacant_since == Instant::max()) g.vacant_since = now;
    if (!eligible(g, now) || now < g.next_try) return;
    // Before anything was ever held, or where all that was is gone, listen first; then the first in
    // order goes at once, the others in turn.
    const bool complete = alive_nodes(now).size() + 1 == options_.nodes.size();
    const bool anew = g.claim.epoch.value == 0 || all_restarted(g.claim, now);
    const Duration listen = anew ? options_.detection() * (complete ? 2 : kListening) : Duration{0};
    const Instant from = std::max(g.vacant_since, started_ + listen);
    if (now < from + options_.heartbeat * int64_t{rank(g, now)}) return;
    const bool stale = g.attempt != Attempt::none && now - g.attempt_since > options_.detection();
    if (g.attempt == Attempt::none || stale) return begin(id, Attempt::probing, now);
    ask(id, now);
}

void Membership::begin(GroupId id, Attempt attempt, Instant now) {
    Group& g = groups_[id.value];
    g.attempt = attempt;
    g.attempt_since = now;
    g.wanted = g.epoch.next(options_.self, options_.incarnation);
    g.votes = NodeSet::of(options_.self);
    if (attempt == Attempt::voting) {
        g.epoch = g.wanted;
        remember(id);
        ++counters_.adoptions_tried;
    }
    ask(id, now);
}

void Membership::ask(GroupId id, Instant now) {
    Group& g = groups_[id.value];
    g.next_try = now + options_.heartbeat / 4;
    std::array<std::byte, 64> buffer;
    const Adopt adopt{id, g.wanted, g.attempt == Attempt::probing, g.claim.epoch};
    output_.broadcast_membership(Bytes(buffer).first(emit(adopt, buffer)), now);
    count_votes(id, now);
}

void Membership::on_message(NodeId peer, Bytes body, Instant now) {
    peers_[peer.value].heard = now;
    if (const auto adopt = parse_adopt(body)) return on_adopt(peer, *adopt, now);
    if (const auto vote = parse_vote(body)) return on_vote(peer, *vote, now);
    ++counters_.bad_messages;
}

VoteAnswer Membership::judge(NodeId from, const Adopt& adopt, Instant now) const {
    const Group& g = groups_[adopt.group.value];
    // Equal is this candidate's own, asked again: no other can have it.
    if (adopt.epoch < g.epoch) return VoteAnswer::older_epoch;
    // A life before this one may have voted: such a round is over, or heard of, by the end of this
    // time.
    if (now - started_ < options_.detection()) return VoteAnswer::listening;
    if (g.claim.epoch > adopt.claim_epoch) return VoteAnswer::newer_claim;
    if (!vacant(adopt.group, now, silence_bound())) return VoteAnswer::holder_alive;
    // A view that is only remembered from before a restart may be older than what the candidate
    // knows.
    if (g.claim_heard && g.claim.epoch == adopt.claim_epoch && !may_adopt_from(g.claim, from, now))
        return VoteAnswer::not_a_member;
    return VoteAnswer::yes;
}

void Membership::on_adopt(NodeId from, const Adopt& adopt, Instant now) {
    Group& g = groups_[adopt.group.value];
    const Vote vote{adopt.group, adopt.epoch, g.epoch, adopt.probe, judge(from, adopt, now),
                    g.claim};
    if (vote.answer == VoteAnswer::yes && !adopt.probe) {
        g.attempt = Attempt::none;
        g.epoch = adopt.epoch;
        remember(adopt.group);
        g.next_try = now + options_.detection();
        ++counters_.votes_given;
    }
    if (vote.answer != VoteAnswer::yes) ++counters_.votes_refused;
    std::array<std::byte, 256> buffer;
    output_.send_membership(from, Bytes(buffer).first(emit(vote, buffer)), now);
}

void Membership::on_vote(NodeId from, const Vote& vote, Instant now) {
    Group& g = groups_[vote.group.value];
    if (g.held) return;
    const bool newer_claim = vote.claim.epoch > g.claim.epoch;
    const auto views = [](const LastClaim& c) { return std::pair(c.view_number, c.base_number); };
    if (newer_claim || (vote.claim.epoch == g.claim.epoch && views(vote.claim) > views(g.claim))) {
        g.claim = vote.claim;
        g.claim_heard |= newer_claim;
        if (newer_claim) {
            g.attempt = Attempt::none;  // what was asked rested on an old holder: think again
            remember(vote.group);
        }
    }
    if (vote.answer == VoteAnswer::older_epoch) learn_epoch(vote.group, vote.known, now);
    const bool mine = g.attempt != Attempt::none && vote.epoch == g.wanted &&
                      vote.probe == (g.attempt == Attempt::probing);
    if (!mine || vote.answer != VoteAnswer::yes) return;
    g.votes.add(from);
    count_votes(vote.group, now);
}

// A member that restarted and votes is bound like any other, and what it kept is gone like a dead
// one's.
bool Membership::enough(NodeSet members, NodeSet votes) const {
    return members.without(votes).size() <= tolerated(members.size(), options_.copies);
}

bool Membership::quorum(const Group& g, Instant now) const {
    const NodeSet members = g.claim.members;
    if (g.claim.epoch.value == 0 || all_restarted(g.claim, now)) {
        if (g.votes.size() > options_.nodes.size() / 2) return true;
        return options_.solo && g.votes.contains(alive_nodes(now) | NodeSet::of(options_.self));
    }
    if (!may_adopt_from(g.claim, options_.self, now)) return false;
    if (!enough(members, g.votes)) return false;
    NodeSet asked = members;
    if (g.claim.base_number != 0 && g.claim.base_number != g.claim.view_number) {
        if (!enough(g.claim.base_members, g.votes)) return false;
        asked = asked | g.claim.base_members;
    }
    // Who is alive is waited for: it may know of a newer view, and what it holds is wanted at once.
    return (asked.without(g.votes) & alive_nodes(now)).empty();
}

void Membership::count_votes(GroupId id, Instant now) {
    Group& g = groups_[id.value];
    if (g.attempt == Attempt::none || !quorum(g, now)) return;
    if (g.attempt == Attempt::probing) return begin(id, Attempt::voting, now);
    acquire(id, now);
}

void Membership::acquire(GroupId id, Instant now) {
    Group& g = groups_[id.value];
    const NodeId previous = g.claim.epoch.value == 0 ? options_.self : g.claim.holder;
    // The first view under the new epoch: who voted, follows us and is alive. It counts once all of
    // them know it, and with it that we hold the group; until then the gate stays shut. A holder
    // that gave the group away and leaves is not waited for: in its store there is nothing of it.
    if (!holds_any()) {
        NodeSet members;
        for (NodeId n : g.votes)
            if (n != options_.self && peers_[n.value].synced && alive(n, now)) members.add(n);
        const NodeSet staying = members.without(NodeSet::of(previous));
        if (peers_[previous.value].leaving && meets_quorums(members, staying)) members = staying;
        pending_ = {pending_.number + 1, members};
        base_ = pending_;
        active_ = {};
    }
    for (NodeId n : options_.nodes) peers_[n.value].confirmed = kNever;
    g.attempt = Attempt::none;
    g.held = true;
    g.swept = false;
    g.claim = {g.epoch, options_.self, options_.incarnation, 0, {}, {}, 0, {}};
    g.claim_heard = true;
    remember(id);
    g.vacant_since = Instant::max();
    ++counters_.adoptions;
    output_.on_acquired(id, g.epoch, previous, now);
    output_.heartbeat_now(now);
    activate_if_confirmed(now);
}

void Membership::release(GroupId id, Instant now) {
    Group& g = groups_[id.value];
    if (!g.held) return;
    ++counters_.handovers;
    record_own_view(g.claim);
    g.held = g.swept = false;
    g.next_try = now + options_.detection() * 2;
    output_.on_lost(id, now);
    output_.heartbeat_now(now);
}

void Membership::leave(Instant now) {
    leaving_ = true;
    for (unsigned g = 0; g < kMaxGroups; ++g) release({static_cast<uint8_t>(g)}, now);
    output_.heartbeat_now(now);
}

}  // namespace holdfast
