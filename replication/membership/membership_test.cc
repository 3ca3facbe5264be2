// Memberships of a few nodes over a small virtual network: heartbeats, statuses and messages arrive
// after a delay, or do not. Judges look at every step: one holder per epoch, and no two nodes that
// may both transmit.
#include "replication/membership/membership.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <queue>
#include <set>

#include "base/random.h"

using namespace holdfast;

namespace {

constexpr GroupId kGroup{1};
constexpr Duration kStep = Duration::microseconds(500);
constexpr Duration kStallBound = Duration::milliseconds(20);  // as cluster.stall by default

struct Packet {
    Instant at;
    uint64_t order;
    uint8_t from, to;
    enum Kind { heartbeat, status, message } kind;
    std::vector<std::byte> body;
    Instant sent;      // heartbeats: echoed by statuses
    Instant heard_at;  // statuses
    friend bool operator>(const Packet& a, const Packet& b) {
        return std::pair(a.at, a.order) > std::pair(b.at, b.order);
    }
};

class Cluster {
public:
    struct Node : MembershipOutput {
        Cluster* cluster = nullptr;
        uint8_t id = 0;
        bool up = false, paused = false;
        Instant ran;                            // last, by its clock
        Duration ahead = Duration::seconds(0);  // of the others' clocks
        uint64_t incarnation = 0;
        Instant next_heartbeat;
        std::unique_ptr<Membership> m;
        std::array<Promise, kMaxGroups> remembered{};  // as on disk: survives kill() and start()

        void broadcast_membership(Bytes b, Instant) override {
            for (uint8_t to = 0; to < cluster->nodes.size(); ++to)
                if (to != id) cluster->post(id, to, Packet::message, b, {}, {});
        }
        void send_membership(NodeId to, Bytes b, Instant) override {
            cluster->post(id, to.value, Packet::message, b, {}, {});
        }
        void heartbeat_now(Instant now) override {
            std::array<std::byte, 512> buffer;
            const size_t n = m->heartbeat_body(buffer);
            for (uint8_t to = 0; to < cluster->nodes.size(); ++to)
                if (to != id)
                    cluster->post(id, to, Packet::heartbeat, Bytes(buffer).first(n), now, {});
            next_heartbeat = now + m->options().heartbeat;
        }
        void on_acquired(GroupId, Epoch epoch, NodeId, Instant) override {
            EXPECT_TRUE(cluster->holders.emplace(epoch.value, id).second)
                << "two holders of one epoch";
        }
        void remember(GroupId group, const Promise& promise) override {
            remembered[group.value] = promise;
        }
        void on_lost(GroupId, Instant) override {}
        void on_view(NodeSet, Instant) override {}
    };

    Cluster(unsigned n, unsigned copies, uint64_t seed, bool solo = false)
        : random(seed), copies_(copies), solo_(solo) {
        nodes.resize(n);
        for (uint8_t i = 0; i < n; ++i) {
            nodes[i] = std::make_unique<Node>();
            nodes[i]->cluster = this;
            nodes[i]->id = i;
        }
        for (uint8_t i = 0; i < n; ++i) start(i);
    }

    void start(uint8_t i) {
        Node& node = *nodes[i];
        MembershipOptions o;
        o.self = {i};
        o.incarnation = {++incarnations_ * 1000 + i};
        o.copies = copies_;
        o.solo = solo_;
        o.remembered = node.remembered;
        for (uint8_t k = 0; k < nodes.size(); ++k) o.nodes.add({k});
        GroupOrder order{kGroup, {}};
        for (uint8_t k = 0; k < nodes.size(); ++k) order.order.push_back({k});
        o.groups.push_back(order);
        node.m = std::make_unique<Membership>(o, node);
        node.incarnation = o.incarnation.value;
        node.up = true;
        node.ran = node.next_heartbeat = clock(node);
        node.m->start(clock(node));
        for (auto& known : introduced_) known.erase(i);
        introduced_[i].clear();
    }
    Instant clock(const Node& n) const { return now + n.ahead; }
    // Like a poll loop: the first thing after a while is to say that it was away.
    void wake(Node& n) {
        const Duration gap = clock(n) - n.ran;
        n.ran = clock(n);
        if (gap > kStallBound) n.m->on_stall(gap, n.ran);
    }
    void jump(uint8_t i, Duration by) { nodes[i]->ahead = nodes[i]->ahead + by; }
    void kill(uint8_t i) { nodes[i]->up = false; }
    void cut(uint8_t i, bool on = true) { on ? void(isolated.insert(i)) : void(isolated.erase(i)); }

    void post(uint8_t from, uint8_t to, Packet::Kind kind, Bytes body, Instant sent,
              Instant heard_at) {
        if (isolated.contains(from) || isolated.contains(to) || random.chance(loss)) return;
        if (partition.contains(from) != partition.contains(to)) return;
        const Duration delay = Duration::microseconds(50 + static_cast<int64_t>(random.below(400)));
        packets.push(
            {now + delay, ++order_, from, to, kind, {body.begin(), body.end()}, sent, heard_at});
    }

    void run(Duration d) {
        for (const Instant end = now + d; now < end; now = now + kStep) step();
    }
    template <typename Done>
    bool run_until(Done&& done, Duration limit = Duration::seconds(3)) {
        for (const Instant end = now + limit; now < end; now = now + kStep) {
            if (done()) return true;
            step();
        }
        return done();
    }

    std::optional<uint8_t> holder() {
        std::optional<uint8_t> found;
        for (auto& n : nodes)
            if (n->up && !n->paused && n->m->may_transmit(kGroup, clock(*n))) {
                EXPECT_FALSE(found)
                    << "nodes " << int{*found} << " and " << int{n->id} << " may both transmit";
                found = n->id;
            }
        return found;
    }

    std::vector<std::unique_ptr<Node>> nodes;
    std::priority_queue<Packet, std::vector<Packet>, std::greater<>> packets;
    std::set<uint8_t> isolated, partition;
    std::map<uint64_t, uint8_t> holders;
    double loss = 0;
    Instant now{1'000'000'000};
    Random random;

private:
    void introduce(Node& to, uint8_t from) {
        const uint64_t incarnation = nodes[from]->incarnation;
        uint64_t& known = introduced_[to.id][from];
        if (known == incarnation) return;
        known = incarnation;
        to.m->on_peer_started({from}, {incarnation}, clock(to));
        to.m->set_synced({from}, true, clock(to));
    }
    void deliver(const Packet& p) {
        Node& to = *nodes[p.to];
        if (!to.up || !nodes[p.from]->up || to.paused) return;
        wake(to);
        const Instant here = clock(to);
        introduce(to, p.from);
        switch (p.kind) {
            case Packet::heartbeat: {
                to.m->on_heartbeat({p.from}, p.body, here);
                std::array<std::byte, 512> buffer;
                const size_t n = to.m->status_body({p.from}, buffer);
                post(p.to, p.from, Packet::status, Bytes(buffer).first(n), {}, p.sent);
                break;
            }
            case Packet::status:
                to.m->on_status({p.from}, p.heard_at, p.body, here);
                break;
            case Packet::message:
                to.m->on_message({p.from}, p.body, here);
                break;
        }
    }
    void step() {
        while (!packets.empty() && packets.top().at <= now) {
            const Packet p = packets.top();
            packets.pop();
            deliver(p);
        }
        for (auto& n : nodes) {
            if (!n->up || n->paused) continue;
            wake(*n);
            if (clock(*n) >= n->next_heartbeat) n->heartbeat_now(clock(*n));
            if (clock(*n) >= n->m->next_deadline()) n->m->on_deadline(clock(*n));
        }
        holder();
    }

    unsigned copies_;
    bool solo_;
    uint64_t incarnations_ = 0, order_ = 0;
    std::map<uint8_t, uint64_t> introduced_[kMaxNodes];
};

}  // namespace

TEST(Membership, TheFirstInOrderBegins) {
    Cluster c(4, 2, 1);
    ASSERT_TRUE(c.run_until([&] { return c.holder().has_value(); }));
    EXPECT_EQ(*c.holder(), 0);
    c.run(Duration::seconds(1));
    EXPECT_EQ(*c.holder(), 0);
    EXPECT_EQ(c.nodes[0]->m->view().members, NodeSet(0b1110));
}

TEST(Membership, TheNextInOrderAdoptsWithinDetectionAndAFewRoundTrips) {
    Cluster c(4, 2, 2);
    ASSERT_TRUE(c.run_until([&] { return c.holder() == 0; }));
    c.run(Duration::seconds(1));
    c.kill(0);
    const Instant killed = c.now;
    ASSERT_TRUE(c.run_until([&] { return c.holder() == 1; }));
    EXPECT_LT((c.now - killed).as_milliseconds(), 140);
    c.kill(1);
    ASSERT_TRUE(c.run_until([&] { return c.holder() == 2; }));
    EXPECT_EQ(c.nodes[2]->m->view().members, NodeSet(0b1000));
}

TEST(Membership, HolderAndAStandbyDieAtOnce) {
    Cluster c(4, 2, 3);
    ASSERT_TRUE(c.run_until([&] { return c.holder() == 0; }));
    c.run(Duration::seconds(1));
    c.kill(0);
    c.kill(1);
    ASSERT_TRUE(c.run_until([&] { return c.holder() == 2; }));
}

TEST(Membership, APausedHolderFindsItselfFenced) {
    Cluster c(4, 2, 4);
    ASSERT_TRUE(c.run_until([&] { return c.holder() == 0; }));
    c.run(Duration::seconds(1));
    c.nodes[0]->paused = true;
    ASSERT_TRUE(c.run_until([&] { return c.holder() == 1; }));
    c.run(Duration::seconds(5));
    c.nodes[0]->paused = false;
    EXPECT_FALSE(c.nodes[0]->m->may_transmit(kGroup, c.clock(*c.nodes[0])));
    c.run(Duration::seconds(1));
    EXPECT_EQ(c.nodes[0]->m->role(kGroup), Role::standby);
    EXPECT_EQ(c.nodes[0]->m->counters().fenced, 1u);
    EXPECT_EQ(*c.holder(), 1);  // a returning node never grabs
}

TEST(Membership, AnIsolatedHolderFallsSilentBeforeAnotherSpeaks) {
    Cluster c(4, 2, 5);
    ASSERT_TRUE(c.run_until([&] { return c.holder() == 0; }));
    c.run(Duration::seconds(1));
    c.cut(0);
    ASSERT_TRUE(
        c.run_until([&] { return c.holder() == 1; }));  // holder() fails if both may transmit
    c.run(Duration::seconds(1));
    c.cut(0, false);
    c.run(Duration::seconds(1));
    EXPECT_EQ(*c.holder(), 1);
}

TEST(Membership, AnIsolatedStandbyDisturbsNobody) {
    Cluster c(4, 2, 6);
    ASSERT_TRUE(c.run_until([&] { return c.holder() == 0; }));
    c.run(Duration::seconds(1));
    const uint64_t epoch = c.nodes[0]->m->epoch(kGroup).value;
    c.cut(1);
    c.run(Duration::seconds(3));
    EXPECT_EQ(c.holder(), 0);
    c.cut(1, false);
    c.run(Duration::seconds(1));
    EXPECT_EQ(c.holder(), 0);
    EXPECT_EQ(c.nodes[0]->m->epoch(kGroup).value, epoch);
    EXPECT_EQ(c.nodes[0]->m->view().members, NodeSet(0b1110));
}

// Two and two: the holder's side may not shrink its view below what an adopter's quorum would meet,
// and the other side has one member too few missing to adopt. Whoever goes on, it is not both.
TEST(Membership, HalvesOfAPartitionNeverBothTransmit) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
        Cluster c(4, 2, 100 + seed);
        ASSERT_TRUE(c.run_until([&] { return c.holder() == 0; }));
        c.run(Duration::seconds(1));
        c.partition = {0, static_cast<uint8_t>(1 + seed % 3)};
        c.run(Duration::seconds(2));
        c.partition.clear();
        ASSERT_TRUE(c.run_until([&] { return c.holder().has_value(); }));
    }
}

// The table of docs/invariants.md: which deaths at one moment a cluster carries on after by itself.
TEST(Membership, WhatAClusterOutlives) {
    for (unsigned nodes = 2; nodes <= 6; ++nodes)
        for (unsigned copies = 1; copies <= 3; ++copies)
            for (unsigned dead = 1; dead < nodes; ++dead)
                for (bool holder_dies : {false, true})
                    for (bool solo : {false, true}) {
                        Cluster c(nodes, copies, 1, solo);
                        ASSERT_TRUE(c.run_until([&] { return c.holder() == 0; }));
                        c.run(Duration::milliseconds(500));
                        for (unsigned i = 0; i < dead; ++i)
                            c.kill(static_cast<uint8_t>(
                                holder_dies && i == 0 ? 0 : nodes - 1 - i + holder_dies));
                        c.run(Duration::seconds(1));
                        const unsigned standbys = nodes - 1;
                        const unsigned f = std::min(std::max(copies - 1, 1u), (standbys - 1) / 2);
                        const unsigned alive = nodes - dead;
                        const bool adopted = alive >= standbys - f && (alive >= 2 || solo);
                        const bool goes_on = alive - 1 > f || solo;
                        EXPECT_EQ(c.holder().has_value(), holder_dies ? adopted : goes_on)
                            << nodes << " nodes, " << copies << " copies, " << dead << " dead, "
                            << (holder_dies ? "the holder too" : "standbys only")
                            << (solo ? ", solo" : "");
                        for (uint8_t i = 0; i < nodes; ++i)
                            if (!c.nodes[i]->up) c.start(i);
                        EXPECT_TRUE(c.run_until([&] { return c.holder().has_value(); }))
                            << "not whole again: " << nodes << " nodes, " << copies << " copies, "
                            << dead << " dead, " << holder_dies << solo;
                    }
}

TEST(Membership, AloneAndNotAllowedToBeItIsSilent) {
    Cluster c(3, 2, 7);
    ASSERT_TRUE(c.run_until([&] { return c.holder() == 0; }));
    c.run(Duration::seconds(1));
    c.kill(1);
    ASSERT_TRUE(c.run_until([&] { return c.nodes[0]->m->view().members == NodeSet(0b100); }));
    c.run(Duration::seconds(1));
    EXPECT_EQ(c.holder(), 0);
    c.kill(2);
    c.run(Duration::seconds(1));
    EXPECT_FALSE(c.holder());
}

TEST(Membership, SoloGoesOnAlone) {
    Cluster c(2, 1, 8, true);
    ASSERT_TRUE(c.run_until([&] { return c.holder() == 0; }));
    c.run(Duration::seconds(1));
    c.kill(1);
    c.run(Duration::seconds(1));
    EXPECT_EQ(c.holder(), 0);
}

TEST(Membership, ARestartedHolderIsAStandbyAtOnce) {
    Cluster c(4, 2, 9);
    ASSERT_TRUE(c.run_until([&] { return c.holder() == 0; }));
    c.run(Duration::seconds(1));
    c.start(0);  // faster than anyone's detection
    ASSERT_TRUE(c.run_until([&] { return c.holder() == 1; }));
    c.run(Duration::seconds(1));
    EXPECT_EQ(c.nodes[0]->m->role(kGroup), Role::standby);
    EXPECT_TRUE(c.nodes[1]->m->view().members.has({0}));
}

TEST(Membership, HandoverTakesNoDetection) {
    Cluster c(4, 2, 10);
    ASSERT_TRUE(c.run_until([&] { return c.holder() == 0; }));
    c.run(Duration::seconds(1));
    c.nodes[0]->m->leave(c.clock(*c.nodes[0]));
    const Instant left = c.now;
    ASSERT_TRUE(c.run_until([&] { return c.holder() == 1; }));
    // Three round trips of up to a millisecond: to ask, to bind, and to confirm the first view; no
    // tick (5 ms) is waited for, nor for one that leaves.
    const Membership& second = *c.nodes[1]->m;
    ASSERT_TRUE(c.run_until([&] { return second.may_transmit(kGroup, c.clock(*c.nodes[1])); }));
    EXPECT_LT((c.now - left).as_milliseconds(), 5);
    EXPECT_EQ(second.view().members, NodeSet::of({2}) | NodeSet::of({3}));
}

// A standby that took over, and then restarted, still knows that it did: the old holder, back from
// its side of a partition, is told so and does not go on under its old epoch.
TEST(Membership, ARestartedVoterKeepsItsWord) {
    Cluster c(2, 1, 12);
    ASSERT_TRUE(c.run_until([&] { return c.holder() == 0; }));
    c.run(Duration::seconds(1));
    const Epoch old = c.nodes[0]->m->epoch(kGroup);
    c.partition = {0};
    ASSERT_TRUE(c.run_until([&] { return c.nodes[1]->m->role(kGroup) == Role::holder; }));
    c.start(1);
    c.partition.clear();
    c.run(Duration::milliseconds(150));
    EXPECT_EQ(c.nodes[0]->m->counters().fenced, 1u);
    EXPECT_GT(c.nodes[0]->m->epoch(kGroup), old);
}

// As the clocks of frozen machines do: votes would be given for a silence that nobody listened to.
TEST(Membership, AClockThatJumpsHasHeardNoSilence) {
    for (int64_t phase_ms = 0; phase_ms < 20; ++phase_ms) {
        Cluster c(4, 2, 13);
        ASSERT_TRUE(c.run_until([&] { return c.holder() == 0; }));
        c.run(Duration::milliseconds(1000 + phase_ms));
        c.jump(1, Duration::milliseconds(439));
        c.jump(2, Duration::milliseconds(439));
        c.jump(3, Duration::milliseconds(439));
        c.run(Duration::seconds(1));
        EXPECT_EQ(c.holder(), 0);
        EXPECT_EQ(c.nodes[0]->m->counters().fenced, 0u);
    }
}

// It held the group, with node 2 alone to confirm it, and died while node 2 was cut off; the rest,
// with its vote, may not go on from what was before it.
TEST(Membership, ARestartedHolderKnowsThatItHeld) {
    Cluster c(4, 2, 14);
    ASSERT_TRUE(c.run_until([&] { return c.holder() == 0; }));
    c.run(Duration::seconds(1));
    c.partition = {0, 3};
    ASSERT_TRUE(c.run_until([&] { return c.holder() == 1; }));
    c.cut(2);
    c.kill(1);
    c.run(Duration::milliseconds(300));
    c.start(1);
    c.partition.clear();
    c.run(Duration::seconds(3));
    EXPECT_FALSE(c.holder());
    c.isolated.clear();
    ASSERT_TRUE(c.run_until([&] { return c.holder() == 2; }));
    c.run(Duration::seconds(1));
    EXPECT_EQ(c.nodes[2]->m->view().members, NodeSet(0b1011));
}

// All were switched off, and the machine that held the group does not come back.
TEST(Membership, AClusterThatWasSwitchedOffWaitsForNobody) {
    Cluster c(4, 2, 15);
    ASSERT_TRUE(c.run_until([&] { return c.holder() == 0; }));
    c.run(Duration::seconds(1));
    for (uint8_t i = 0; i < 4; ++i) c.kill(i);
    c.run(Duration::seconds(1));
    for (uint8_t i = 1; i < 4; ++i) c.start(i);
    ASSERT_TRUE(c.run_until([&] { return c.holder() == 1; }));
    EXPECT_GE(c.nodes[1]->m->counters().adoptions, 1u);
}

// Random kills, restarts, cuts, pauses and jumps of clocks under loss: the judges in holder() and
// on_acquired() do the work, and when the faults stop someone holds the group again.
TEST(Membership, NoTwoHoldersUnderRandomFaults) {
    const char* more = std::getenv("HOLDFAST_SEEDS");
    const uint64_t seeds = more ? std::strtoull(more, nullptr, 10) : 1000;
    for (uint64_t seed = 0; seed < seeds; ++seed) {
        SCOPED_TRACE(seed);
        Cluster c(static_cast<unsigned>(4 + seed % 2), static_cast<unsigned>(1 + seed % 3),
                  1000 + seed);
        c.loss = 0.02;
        for (int round = 0; round < 25; ++round) {
            const auto victim = static_cast<uint8_t>(c.random.below(c.nodes.size()));
            switch (c.random.below(7)) {
                case 0:
                    c.nodes[victim]->up ? c.kill(victim) : c.start(victim);
                    break;
                case 1:
                    c.cut(victim);
                    break;
                case 2:
                    c.isolated.clear();
                    break;
                case 3:
                    c.nodes[victim]->paused = true;
                    break;
                case 4:
                    for (auto& n : c.nodes) n->paused = false;
                    break;
                case 5:
                    c.partition =
                        c.partition.empty() ? std::set<uint8_t>{0, victim} : std::set<uint8_t>{};
                    break;
                case 6:
                    c.jump(victim,
                           Duration::milliseconds(static_cast<int64_t>(c.random.below(500))));
            }
            c.run(Duration::milliseconds(static_cast<int64_t>(20 + c.random.below(300))));
            if (::testing::Test::HasFailure()) return;
        }
        c.isolated.clear();
        c.partition.clear();
        c.loss = 0;
        for (auto& n : c.nodes) n->paused = false;
        for (uint8_t i = 0; i < c.nodes.size(); ++i)
            if (!c.nodes[i]->up) c.start(i);
        ASSERT_TRUE(c.run_until([&] { return c.holder().has_value(); }, Duration::seconds(5)));
    }
}
