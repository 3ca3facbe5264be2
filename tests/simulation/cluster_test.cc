// What the product promises, tried on whole clusters of production workers in virtual time. Each
// test fails when the mechanism that it is about is taken out (docs/invariants.md).
#include "tests/simulation/cluster.h"

#include <gtest/gtest.h>

#include "tests/simulation/copies_held.h"

namespace holdfast::simulation {
namespace {

class ClusterTest : public ::testing::Test {
protected:
    Cluster& start(const ClusterOptions& options) {
        c = std::make_unique<Cluster>(options);
        EXPECT_TRUE(c->run_until([&] { return settled(); }));
        return *c;
    }
    bool settled() const {
        const auto h = c->holder();
        return h && c->worker(*h).replicator().membership().view().members.size() + 1 ==
                        c->worker(*h).replicator().membership().options().nodes.size();
    }
    void expect_no_complaints() const {
        for (const std::string& what : c->complaints()) ADD_FAILURE() << what;
    }
    void open(unsigned connections, unsigned messages) {
        for (unsigned i = 0; i < connections; ++i) c->connect(messages);
    }
    bool all_established() const {
        for (size_t i = 0; i < c->clients(); ++i)
            if (!c->established(i)) return false;
        return true;
    }
    bool all_finished() const { return c->count_finished() == c->clients(); }
    void TearDown() override { expect_no_complaints(); }

    std::unique_ptr<Cluster> c;
};

TEST_F(ClusterTest, ConnectionsSurviveTheDeathOfTheHolderAndOfItsSuccessor) {
    for (unsigned copies : {1u, 2u, 3u}) {
        SCOPED_TRACE(copies);
        start({.copies = copies, .seed = 10 + copies, .ring_loss = 0.01});
        open(100, 400);
        ASSERT_TRUE(c->run_until([&] { return all_established(); }));
        c->run(Duration::milliseconds(50));
        const uint8_t first = *c->holder();
        c->kill(first);
        ASSERT_TRUE(c->run_until([&] { return c->holder().has_value(); }));
        const uint8_t second = *c->holder();
        ASSERT_TRUE(c->run_until(
            [&] { return c->worker(second).adoptions().back().gathered.has_value(); }));
        EXPECT_EQ(c->worker(second).adoptions().back().sessions, 100u);
        c->run(Duration::milliseconds(300));
        c->kill(second);
        EXPECT_TRUE(c->run_until([&] { return all_finished(); }, Duration::seconds(20)));
        EXPECT_EQ(c->count_reset(), 0u);
        expect_no_complaints();
    }
}

// A node that takes in everything by one call is dead to its peers meanwhile (I8). Here each
// standby has all of it.
TEST_F(ClusterTest, AnAdoptionIsTakenInSlices) {
    start({.copies = 3, .seed = 26});
    open(1000, 2);
    ASSERT_TRUE(c->run_until([&] { return all_finished(); }));
    c->run(Duration::milliseconds(200));
    c->kill(*c->holder());
    const auto adopter = [&]() -> const Worker* {
        for (uint8_t i = 0; i < 4; ++i)
            if (c->alive(i) &&
                c->worker(i).replicator().membership().role(Cluster::kGroup) == Role::holder)
                return &c->worker(i);
        return nullptr;
    };
    ASSERT_TRUE(c->run_until([&] { return adopter() != nullptr; }));
    const SessionTable& sessions = adopter()->forwarder().sessions();
    uint32_t most = sessions.size(), before = sessions.size();
    const AdoptionReport& report = adopter()->adoptions().back();
    ASSERT_TRUE(c->run_until([&] {
        most = std::max(most, sessions.size() - before);
        before = sessions.size();
        return report.gathered.has_value();
    }));
    EXPECT_LT(most, 600u);
    EXPECT_EQ(report.sessions, 1000u);
}

// An adopter publishes all that it restores at once. When that is more than its ring holds, its
// standbys lag and count for nothing; they must not take "nobody owns this" for "forget it".
TEST_F(ClusterTest, StandbysThatFellBehindAnAdopterForgetNothing) {
    start({.seed = 25, .ring_slots = 64});
    open(1000, 2);
    ASSERT_TRUE(c->run_until([&] { return all_finished(); }));
    c->run(Duration::milliseconds(200));
    c->kill(*c->holder());
    ASSERT_TRUE(c->run_until([&] { return c->holder().has_value(); }));
    const uint8_t second = *c->holder();
    const Replicator& adopter = c->worker(second).replicator();
    ASSERT_TRUE(c->run_until([&] { return adopter.counters().lagging > 0; }));
    c->run(Duration::milliseconds(2));
    c->kill(second);
    ASSERT_TRUE(c->run_until([&] { return c->holder().has_value(); }));
    const AdoptionReport& r = c->worker(*c->holder()).adoptions().back();
    ASSERT_TRUE(c->run_until([&] { return r.gathered.has_value(); }));
    EXPECT_EQ(r.sessions, 1000u);
}

TEST_F(ClusterTest, TheAdopterDidNotHoldEverythingBefore) {
    start({.copies = 1, .seed = 20});
    open(200, 1000);
    ASSERT_TRUE(c->run_until([&] { return all_established(); }));
    c->run(Duration::milliseconds(200));
    const uint8_t first = *c->holder();
    c->kill(first);
    ASSERT_TRUE(c->run_until([&] { return c->holder().has_value(); }));
    const AdoptionReport& r = c->worker(*c->holder()).adoptions().back();
    ASSERT_TRUE(c->run_until([&] { return r.gathered.has_value(); }));
    unsigned own = r.fragments[*c->holder()], pulled = 0, peers = 0;
    for (uint8_t n = 0; n < 4; ++n)
        if (n != *c->holder() && r.fragments[n] > 0) pulled += r.fragments[n], ++peers;
    EXPECT_EQ(peers, 2u);
    EXPECT_GT(own, 0u);
    EXPECT_GT(pulled, own);  // two of three standbys' portions
}

// What owners remember of a connection that ended must not make them refuse the next one from the
// same port: the judge looks into their stores at each SYN-ACK.
TEST_F(ClusterTest, APortUsedAgainIsProtectedAgain) {
    start({.seed = 23});
    open(20, 50);
    ASSERT_TRUE(c->run_until([&] { return all_established(); }));
    for (int round = 0; round < 3; ++round) {
        c->run(Duration::milliseconds(300));
        for (size_t i = 0; i < c->clients(); ++i) c->reconnect(i);
        ASSERT_TRUE(c->run_until([&] { return all_established(); }));
    }
    c->kill(*c->holder());
    EXPECT_TRUE(c->run_until([&] { return all_finished(); }, Duration::seconds(20)));
    EXPECT_EQ(c->count_reset(), 0u);
}

// A packet of a session that is still with the peers is never answered by a reset: it waits, and
// goes on.
TEST_F(ClusterTest, APacketForASessionStillLoadingWaits) {
    start({.copies = 1, .seed = 22});
    open(400, 2);
    ASSERT_TRUE(c->run_until([&] { return all_finished(); }));
    c->run(Duration::milliseconds(200));
    c->kill(*c->holder());
    ASSERT_TRUE(c->run_until([&] {
        for (uint8_t n = 0; n < 4; ++n)
            if (c->alive(n) && c->worker(n).replicator().gathering(Cluster::kGroup)) return true;
        return false;
    }));
    for (size_t i = 0; i < c->clients(); ++i) c->poke(i);
    ASSERT_TRUE(c->run_until([&] { return c->holder().has_value(); }));
    c->run(Duration::milliseconds(100));
    const Worker& adopter = c->worker(*c->holder());
    EXPECT_GT(adopter.parking().counters().parked, 0u);
    EXPECT_EQ(adopter.parking().counters().resumed, adopter.parking().counters().parked);
    EXPECT_EQ(c->count_reset(), 0u);
    EXPECT_EQ(adopter.counters().resets, 0u);
}

// Connections that begin while others are being gathered wait: their ports would be chosen without
// knowing all that are in use.
TEST_F(ClusterTest, WhoBeginsDuringAnAdoptionTakesNobodysPort) {
    for (uint64_t seed = 0; seed < 2; ++seed) {
        start({.copies = 2, .seed = 640 + seed});
        open(1000, 30);
        ASSERT_TRUE(c->run_until([&] { return all_established(); }));
        const uint8_t h = *c->holder();
        c->kill(h);
        ASSERT_TRUE(c->run_until([&] { return c->holder().has_value(); }));
        Worker& adopter = c->worker(*c->holder());
        while (adopter.replicator().gathering(Cluster::kGroup)) {
            open(20, 2);
            c->run(Duration::milliseconds(1));
        }
        EXPECT_GT(c->clients(), 1100u);
        EXPECT_TRUE(c->run_until([&] { return all_finished(); }, Duration::seconds(20)));
        EXPECT_EQ(c->count_reset(), 0u);
        EXPECT_EQ(adopter.takeover().counters().refused, 0u);
        expect_no_complaints();
    }
}

TEST_F(ClusterTest, EachStandbyHoldsItsPortion) {
    start({.copies = 2, .seed = 21});
    open(300, 1);
    ASSERT_TRUE(c->run_until([&] { return all_finished(); }));
    c->run(Duration::milliseconds(500));
    const uint8_t h = *c->holder();
    uint32_t total = 0;
    for (uint8_t n = 0; n < 4; ++n) {
        if (n == h) continue;
        const uint32_t kept = c->worker(n).replicator().store().size();
        EXPECT_NEAR(kept, 300 * 3 * 2 / 3.0, 90) << "node " << int{n};
        total += kept;
    }
    EXPECT_EQ(total, 300u * 3 * 2);  // header, alias and segment, twice each
}

// I2: with the holder unable to reach any standby, nobody may learn of a new connection.
TEST_F(ClusterTest, NoSynAckLeavesBeforeItsStateIsHeldElsewhere) {
    start({.seed = 30});
    c->cut_ring(*c->holder());
    open(20, 5);
    c->run(Duration::milliseconds(60));
    for (size_t i = 0; i < c->clients(); ++i) EXPECT_FALSE(c->established(i));
    EXPECT_TRUE(c->run_until([&] { return all_finished(); }, Duration::seconds(10)));
}

// I2: a standby that starts while the holder is deaf follows it only then, from where its ring is
// by then: what it skipped it does not hold, whatever it acknowledges.
TEST_F(ClusterTest, WhoFollowsAnewHoldsNothingUntilItWasToldAll) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
        start({.copies = 1, .seed = 700 + seed});
        const uint8_t h = *c->holder(), other = h == 3 ? 2 : 3;
        const auto deafen = [&](bool on) {
            for (uint8_t n = 0; n < 4; ++n)
                if (n != h) c->cut_between(n, h, on);
        };
        deafen(true);
        for (int64_t ms = 0; ms < 300; ++ms) {
            if (ms == 20) c->kill(other);
            if (ms == 180) c->start(other);
            if (ms % 4 == 0) open(1, 2);
            c->run(Duration::milliseconds(1));
        }
        deafen(false);
        EXPECT_TRUE(c->run_until([&] { return all_finished(); }, Duration::seconds(10)));
        expect_no_complaints();
    }
}

// One owner of each is asked for, not one owner of either.
TEST_F(ClusterTest, CommitAnyStillNeedsBothFragments) {
    for (unsigned copies : {1u, 2u})
        for (uint64_t seed = 0; seed < 10; ++seed) {
            start({.copies = copies, .commit = Commit::any, .seed = 600 + seed, .ring_loss = 0.2});
            open(50, 1);
            EXPECT_TRUE(c->run_until([&] { return all_finished(); }, Duration::seconds(10)));
            expect_no_complaints();
        }
}

// The same with the gate taken away: what clients were told dies with the holder.
TEST_F(ClusterTest, WithoutCommitAKillAtTheWrongMomentLosesConnections) {
    unsigned lost[2] = {0, 0};
    for (Commit commit : {Commit::none, Commit::all}) {
        start({.commit = commit, .seed = 31});
        if (commit == Commit::none) c->mute_commit_judge();
        const uint8_t h = *c->holder();
        c->cut_ring(h);
        open(20, 200);
        c->run(Duration::milliseconds(20));
        unsigned told = 0;
        for (size_t i = 0; i < c->clients(); ++i) told += c->established(i);
        c->kill(h);
        c->run_until([&] { return all_finished(); }, Duration::seconds(10));
        lost[commit == Commit::all] = told - std::min(told, c->count_finished());
        expect_no_complaints();
    }
    EXPECT_EQ(lost[0], 20u);
    EXPECT_EQ(lost[1], 0u);
}

TEST_F(ClusterTest, HolderAndOneStandbyDieAtOnceAndNothingIsLost) {
    start({.copies = 2, .seed = 40});
    open(100, 300);
    ASSERT_TRUE(c->run_until([&] { return all_established(); }));
    c->run(Duration::milliseconds(100));
    const uint8_t h = *c->holder();
    c->kill(h);
    c->kill(static_cast<uint8_t>(h == 1 ? 2 : 1));
    EXPECT_TRUE(c->run_until([&] { return all_finished(); }, Duration::seconds(20)));
}

TEST_F(ClusterTest, WithOneCopyOnlyTheDeadStandbysSessionsAreLostAndCleanlyReset) {
    start({.copies = 1, .seed = 41});
    open(100, 300);
    ASSERT_TRUE(c->run_until([&] { return all_established(); }));
    c->run(Duration::milliseconds(200));
    const uint8_t h = *c->holder();
    const auto victim = static_cast<uint8_t>((h + 2) % 4);
    std::set<size_t> doomed;
    for (size_t i = 0; i < c->clients(); ++i) {
        const Session s = *c->worker(h).forwarder().sessions().get(c->session_of(i, h));
        if (c->worker(victim).replicator().store().find({session_key(s), FragmentKind::header, 0}))
            doomed.insert(i);
    }
    ASSERT_GT(doomed.size(), 10u);
    c->kill(h);
    c->kill(victim);
    c->run_until([&] { return c->count_finished() + c->count_reset() == c->clients(); },
                 Duration::seconds(20));
    EXPECT_EQ(c->worker(*c->holder()).adoptions().back().lost, doomed.size());
    for (size_t i = 0; i < c->clients(); ++i) {
        EXPECT_EQ(c->was_reset(i), doomed.contains(i)) << i;
        EXPECT_EQ(c->finished(i), !doomed.contains(i)) << i;
    }
}

// I4: a holder that was only paused finds itself fenced; the judge of frames sees to the rest.
TEST_F(ClusterTest, APausedHolderWakesUpFencedAndSaysNothing) {
    start({.seed = 50});
    open(50, 2000);
    ASSERT_TRUE(c->run_until([&] { return all_established(); }));
    const uint8_t h = *c->holder();
    c->pause(h);
    ASSERT_TRUE(c->run_until([&] { return c->holder().has_value(); }));
    c->run(Duration::seconds(1));
    c->pause(h, false);
    c->run(Duration::milliseconds(200));
    EXPECT_EQ(c->worker(h).replicator().membership().role(Cluster::kGroup), Role::standby);
    EXPECT_EQ(c->worker(h).forwarder().sessions().size(), 0u);
    EXPECT_TRUE(c->run_until([&] { return all_finished(); }, Duration::seconds(30)));
}

// I6: cut from the ring, the holder falls silent, and a standby carries on.
TEST_F(ClusterTest, AnIsolatedHolderFallsSilent) {
    start({.seed = 60});
    open(50, 1000);
    ASSERT_TRUE(c->run_until([&] { return all_established(); }));
    const uint8_t h = *c->holder();
    c->cut_ring(h);
    ASSERT_TRUE(c->run_until([&] { return c->holder() && *c->holder() != h; }));
    EXPECT_TRUE(c->run_until([&] { return all_finished(); }, Duration::seconds(20)));
    EXPECT_FALSE(c->worker(h).replicator().may_transmit(Cluster::kGroup, c->now()));
}

// I6: nor does it say any longer where the addresses are, although the last of the announcements
// after its own adoption is due only then, and hosts ask: the judge looks at every frame.
TEST_F(ClusterTest, AnIsolatedHolderAnnouncesNothing) {
    for (int64_t ms = 860; ms < 1'000; ms += 10) {
        SCOPED_TRACE(ms);
        start({.seed = 61});
        c->kill(*c->holder());
        ASSERT_TRUE(c->run_until([&] { return c->holder().has_value(); }));
        const uint8_t h = *c->holder();
        c->run(Duration::milliseconds(ms));
        c->cut_ring(h);
        ASSERT_TRUE(c->run_until([&] { return c->holder() && *c->holder() != h; }));
        c->run(Duration::milliseconds(200));
        expect_no_complaints();
    }
}

// I7: after a standby leaves, and after one joins, every session is again on as many standbys as
// asked.
TEST_F(ClusterTest, CoverageIsRestoredWithoutAnyoneAsking) {
    start({.copies = 2, .seed = 70});
    open(100, 100'000);
    ASSERT_TRUE(c->run_until([&] { return all_established(); }));
    const uint8_t h = *c->holder();
    const auto covered = [&] {
        return all_covered(c->worker(h), Cluster::kGroup, 2, c->workers());
    };
    ASSERT_TRUE(c->run_until(covered));
    const auto standby = static_cast<uint8_t>((h + 1) % 4);
    c->kill(standby);
    ASSERT_FALSE(covered());
    EXPECT_TRUE(c->run_until(covered));
    c->start(standby);
    EXPECT_TRUE(c->run_until([&] { return settled() && covered(); }));
    EXPECT_GT(c->worker(standby).replicator().store().size(), 0u);
}

TEST_F(ClusterTest, AttributesAreCarriedOn) {
    start({.seed = 80});
    const size_t client = c->connect(2000);
    ASSERT_TRUE(c->run_until([&] { return c->established(client); }));
    const uint8_t h = *c->holder();
    const std::string items(5000, 'x');  // five parts
    ASSERT_TRUE(
        c->worker(h).set_attribute(c->session_of(client, h), "purchase.items", items, c->now()));
    ASSERT_TRUE(
        c->worker(h).set_attribute(c->session_of(client, h), "billing", "1 Main Street", c->now()));
    c->run(Duration::milliseconds(50));
    c->kill(h);
    ASSERT_TRUE(c->run_until([&] { return c->holder().has_value(); }));
    const uint8_t adopter = *c->holder();
    ASSERT_TRUE(
        c->run_until([&] { return c->worker(adopter).adoptions().back().gathered.has_value(); }));
    const SessionAttributes* a =
        c->worker(adopter).takeover().attributes(c->session_of(client, adopter));
    ASSERT_TRUE(a);
    EXPECT_EQ(*a, (SessionAttributes{{"billing", "1 Main Street"}, {"purchase.items", items}}));
}

// I9: everything a node ever said, said again to everybody, changes nothing.
TEST_F(ClusterTest, AReplayedCaptureChangesNothing) {
    start({.seed = 90});
    open(20, 50);
    ASSERT_TRUE(c->run_until([&] { return all_finished(); }, Duration::seconds(20)));
    const uint8_t h = *c->holder();
    const auto standby = static_cast<uint8_t>((h + 1) % 4);
    std::vector<std::vector<std::byte>> capture;
    for (uint8_t n = 0; n < 4; ++n)
        for (auto& d : c->recorded_ring(n)) capture.push_back(d);
    c->kill(standby);
    c->start(standby);  // a node with no memory of positions
    for (const auto& d : capture)
        for (uint8_t n = 0; n < 4; ++n) c->inject_ring(n, d);
    c->run(Duration::milliseconds(300));
    EXPECT_EQ(*c->holder(), h);
    EXPECT_EQ(c->worker(standby).replicator().counters().records_bad, 0u);
    EXPECT_TRUE(c->run_until([&] { return settled(); }));
    EXPECT_EQ(c->worker(h).replicator().membership().counters().fenced, 0u);
}

TEST_F(ClusterTest, HandoverLosesNothing) {
    start({.seed = 100});
    open(100, 1000);
    ASSERT_TRUE(c->run_until([&] { return all_established(); }));
    const uint8_t h = *c->holder();
    c->worker(h).release_group(Cluster::kGroup, c->now());
    const Instant released = c->now();
    ASSERT_TRUE(c->run_until([&] { return c->holder() && *c->holder() != h; }));
    EXPECT_LT((c->now() - released).as_milliseconds(), 10);
    EXPECT_TRUE(c->run_until([&] { return all_finished(); }, Duration::seconds(30)));
}

TEST_F(ClusterTest, TheSameSeedIsTheSameRun) {
    std::string first;
    for (int round = 0; round < 2; ++round) {
        start({.seed = 110, .ring_loss = 0.05});
        open(30, 20);
        c->run_until([&] { return all_finished(); }, Duration::seconds(10));
        std::string trace = std::to_string(c->now().ns);
        for (uint8_t n = 0; n < 4; ++n)
            trace += " " + std::to_string(c->worker(n).replicator().ring().last_published().value) +
                     "/" + std::to_string(c->worker(n).replicator().counters().records_in);
        if (round == 0) first = trace;
        EXPECT_EQ(trace, first);
    }
}

// Many seeds of kills, pauses and cuts under loss, with connections all the while: the judges never
// complain, and with two copies and one fault at a time no connection is lost.
TEST_F(ClusterTest, RandomFaultsOneAtATime) {
    for (uint64_t seed = 0; seed < 25; ++seed) {
        SCOPED_TRACE(seed);
        start({.seed = 1000 + seed, .ring_loss = 0.01});
        open(20, 1500);
        ASSERT_TRUE(c->run_until([&] { return all_established(); }));
        for (int round = 0; round < 3; ++round) {
            const auto victim = static_cast<uint8_t>(c->random().below(4));
            c->hurt(victim);
            c->run(Duration::milliseconds(static_cast<int64_t>(50 + c->random().below(400))));
            c->mend(victim);
            ASSERT_TRUE(c->run_until([&] { return settled(); }));
            c->run(Duration::milliseconds(100));
        }
        EXPECT_TRUE(c->run_until([&] { return all_finished(); }, Duration::seconds(60)))
            << c->count_finished() << " finished, " << c->count_reset() << " reset";
        expect_no_complaints();
        if (::testing::Test::HasFailure()) return;
    }
}

}  // namespace
}  // namespace holdfast::simulation
