// Whole groups of rings under seeded weather.
#include "replication/ring/test_group.h"

namespace holdfast::testing {
namespace {

RingOptions patient() {
    RingOptions o;
    o.slots = 1024;
    o.evict_after = Duration::seconds(1);  // weather alone evicts nobody
    return o;
}

// Everybody publishes `rounds` records at random moments.
void traffic(Group& g, Random& random, int rounds) {
    for (int i = 0; i < rounds; ++i) {
        TestNode& n = g[static_cast<unsigned>(random.below(g.size()))];
        n.publish(g.now(), 20 + random.below(600));
        if (random.chance(0.3)) n.ring->flush(random.chance(0.5), g.now());
        g.run_for(Duration::microseconds(static_cast<int64_t>(random.below(150))));
    }
}

void survive(uint64_t seed, AckMode ack, Cipher cipher) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    RingOptions o = patient();
    o.ack = ack;
    o.cipher = cipher;
    constexpr uint64_t kStarts[] = {1, (1ull << 32) - 10, (1ull << 63) - 10, (1ull << 22) - 10};
    o.first_position = {kStarts[seed % 4]};
    unsigned nodes = 2 + static_cast<unsigned>(random.below(4));
    Group g(nodes, seed, o);
    constexpr double kLoss[] = {0, 0.01, 0.05, 0.2};
    g.weather = {.loss = kLoss[random.below(4)],
                 .duplicate = 0.1 * static_cast<double>(random.below(3)),
                 .corrupt = 0.02 * static_cast<double>(random.below(3)),
                 .jitter = Duration::microseconds(static_cast<int64_t>(random.below(300)))};
    g.run_for(Duration::milliseconds(500));
    for (unsigned i = 0; i < nodes; ++i) EXPECT_EQ(g[i].ring->followers().size(), nodes - 1);
    traffic(g, random, 150);
    g.run_for(Duration::seconds(1));
    for (unsigned i = 0; i < nodes; ++i) {
        g.expect_delivered(i);
        for (auto& [peer, joins] : g[i].joins) EXPECT_EQ(joins, 1) << +peer.value;
        EXPECT_EQ(g[i].started.size(), nodes - 1);
    }
}

TEST(Group, DeliversEverythingInAnyWeather) {
    for (uint64_t seed = 1; seed <= 200; ++seed) survive(seed, AckMode::nak, Cipher::aes_128_gcm);
}

TEST(Group, DeliversEverythingWithPositiveAcknowledgement) {
    for (uint64_t seed = 1001; seed <= 1050; ++seed)
        survive(seed, AckMode::positive, Cipher::chacha20_poly1305);
}

TEST(Group, RepairsTheLostTailWithinTheLadder) {
    Group g(3, 1, patient());
    g.run_for(Duration::milliseconds(100));
    bool armed = true;
    g.drop = [&](NodeId, NodeId to, Bytes d) {
        bool lose = armed && to == NodeId{1} && parse_header(d)->type == FrameType::data;
        armed = armed && !lose;
        return lose;
    };
    Position p = g[0].publish(g.now());
    g[0].ring->flush(true, g.now());
    // First rung at 200 us, then there and back again: 20 us a hop.
    g.run_for(Duration::microseconds(320));
    EXPECT_FALSE(armed);
    EXPECT_EQ(g[0].ring->acknowledged({1}), p);
    EXPECT_EQ(g[0].ring->acknowledged({2}), p);
    EXPECT_EQ(g[0].ring->counters().repairs_unicast, 1u);
}

TEST(Group, AskingForStatusCostsOneRoundTrip) {
    Group g(3, 1, patient());
    g.run_for(Duration::milliseconds(100));
    Position p = g[0].publish(g.now());
    g[0].ring->flush(true, g.now());
    g.run_for(Duration::microseconds(41));
    EXPECT_EQ(g[0].ring->acknowledged({1}), p);
    EXPECT_EQ(g[0].ring->acknowledged({2}), p);
}

TEST(Group, FlushThatComesTooLateStillAsks) {
    Group g(2, 1, patient());
    g.run_for(Duration::milliseconds(100));
    Position p = g[0].publish(g.now());
    g[0].ring->flush(false, g.now());
    g[0].ring->flush(true, g.now());
    g.run_for(Duration::microseconds(41));
    EXPECT_EQ(g[0].ring->acknowledged({1}), p);
}

TEST(Group, ARestartedNodeIsANewStream) {
    for (uint64_t seed = 1; seed <= 50; ++seed) {
        SCOPED_TRACE(seed);
        Random random(seed);
        Group g(3, seed, patient());
        g.weather = {.loss = 0.02, .duplicate = 0.05, .jitter = Duration::microseconds(100)};
        g.run_for(Duration::milliseconds(200));
        traffic(g, random, 60);
        g.start(0, 500, seed);  // the old process is gone in the middle of everything
        traffic(g, random, 60);
        g.run_for(Duration::milliseconds(600));
        EXPECT_EQ(g[1].ring->incarnation({0}), Incarnation{500});
        EXPECT_EQ(g[1].started.back(), std::pair(NodeId{0}, Incarnation{500}));
        for (unsigned i = 0; i < 3; ++i) {
            EXPECT_EQ(g[i].ring->followers().size(), 2u);
            g.expect_delivered(i);
        }
    }
}

TEST(Group, AnEarlierIncarnationIsNotBelieved) {
    Group g(2, 1, patient());
    g.run_for(Duration::milliseconds(100));
    g.start(0, 50);
    g.run_for(Duration::milliseconds(100));
    EXPECT_EQ(g[1].ring->incarnation({0}), Incarnation{100});
    EXPECT_GT(g[1].ring->counters().drop_stale_incarnation, 0u);
}

// Followers keep up through pacing by room(); the frozen one must not hold up the other.
TEST(Group, AFrozenFollowerIsDroppedAndComesBackWithoutAStorm) {
    RingOptions o;
    o.slots = 4096;
    Group g(3, 5, o);
    g.run_for(Duration::milliseconds(100));
    ASSERT_EQ(g[0].ring->followers().size(), 2u);
    Duration worst{};
    auto publish_for = [&](int ms) {
        for (int i = 0; i < ms * 20; ++i) {  // 20,000 datagrams a second
            Instant sent = g.now();
            Position p = g[0].publish(sent, 1200);
            g[0].ring->flush(i % 20 == 0, sent);
            g.run_for(Duration::microseconds(50));
            if (i % 20 == 0 && g[0].ring->acknowledged({1}) < p)
                worst = std::max(worst, g.now() - sent);
        }
    };
    publish_for(100);
    g.freeze(2);
    publish_for(1000);
    EXPECT_EQ(g[0].lagging[{2}], 1);
    EXPECT_EQ(g[0].lagging[{1}], 0);
    uint64_t repairs = g[0].ring->counters().repairs_unicast;
    g.thaw(2);
    publish_for(300);
    g.run_for(Duration::milliseconds(50));
    EXPECT_EQ(g[0].ring->followers().size(), 2u);
    EXPECT_EQ(g[0].joins[{2}], 2);
    EXPECT_EQ(g[0].lagging[{1}], 0);
    EXPECT_EQ(worst, Duration{}) << "the healthy follower was always up to date";
    EXPECT_LT(g[0].ring->counters().repairs_unicast - repairs, 100u);
    g.expect_delivered(0);
}

TEST(Group, ADeafFollowerIsDropped) {
    Group g(3, 5);
    g.run_for(Duration::milliseconds(100));
    g.drop = [&](NodeId, NodeId to, Bytes) { return to == NodeId{2}; };
    g.run_for(Duration::milliseconds(120));
    EXPECT_EQ(g[0].lagging[{2}], 1);  // though its own statuses and heartbeats arrive
    g.drop = nullptr;
    g.run_for(Duration::milliseconds(100));
    EXPECT_EQ(g[0].ring->followers().size(), 2u);
}

TEST(Group, ASleepingSenderDropsNobodyWhenItWakes) {
    Group g(3, 5);
    g.run_for(Duration::milliseconds(100));
    g.freeze(0);
    g.run_for(Duration::seconds(3));
    TestNode& n = g[0];
    n.frozen = false;
    n.ring->on_deadline(g.now());  // before it looks at its socket
    g.thaw(0);
    g.run_for(Duration::milliseconds(100));
    EXPECT_TRUE(n.lagging.empty());
    EXPECT_EQ(n.ring->followers().size(), 2u);
}

TEST(Group, WhatHasLeftTheRingIsSkippedAndReported) {
    RingOptions o = patient();
    o.slots = 64;
    Group g(3, 1, o);
    g.run_for(Duration::milliseconds(100));
    g.cut = NodeSet::of({2});
    for (int i = 0; i < 200; ++i) {
        g[0].publish(g.now());
        g[0].ring->flush(false, g.now());
        g.run_for(Duration::microseconds(30));
    }
    EXPECT_EQ(g[0].lagging[{2}], 1);
    g.cut = {};
    g.run_for(Duration::milliseconds(200));
    EXPECT_EQ(g[0].joins[{2}], 2);
    EXPECT_EQ(g[0].joins[{1}], 1);
    EXPECT_EQ(g[0].starts[{2}], g[0].ring->last_published().plus(1));
    g.expect_delivered(0);
}

TEST(Group, AnotherSecretIsAnotherCluster) {
    Group g(2, 1, patient());
    g.secret = test_secret(9);
    g.start(1, 300);
    g.run_for(Duration::milliseconds(200));
    EXPECT_TRUE(g[0].started.empty());
    EXPECT_TRUE(g[1].started.empty());
    EXPECT_GT(g[0].ring->counters().drop_foreign_cluster, 0u);
    EXPECT_EQ(g[0].ring->counters().hellos_sent, 0u);
}

TEST(Group, ARecordingReplayedIntoAFreshGroupChangesNothing) {
    std::vector<std::vector<std::byte>> capture;
    {
        Group old(3, 1, patient());
        old.recording = true;
        Random random(1);
        old.run_for(Duration::milliseconds(100));
        traffic(old, random, 100);
        old[0].ring->broadcast(as_bytes("take over"), old.now());
        old.run_for(Duration::milliseconds(100));
        capture = old.recorded;
    }
    ASSERT_GT(capture.size(), 200u);
    Group fresh(3, 1, patient());
    for (unsigned i = 0; i < 3; ++i) fresh.start(i, 1000 + i, 1);  // same seeds: same challenges
    for (int round = 0; round < 2; ++round) {  // before anybody knows anybody, and after
        for (auto& d : capture) {
            for (unsigned i = 0; i < 3; ++i) fresh[i].ring->on_datagram(d, fresh.now());
            fresh.run_for(Duration::microseconds(10));
        }
        fresh.run_for(Duration::milliseconds(100));
        for (unsigned i = 0; i < 3; ++i) {
            EXPECT_EQ(fresh[i].started.size(), 2u);
            for (auto& [peer, incarnation] : fresh[i].started)
                EXPECT_GE(incarnation, Incarnation{1000});
            for (auto& [peer, records] : fresh[i].records) EXPECT_TRUE(records.empty());
            EXPECT_TRUE(fresh[i].messages.empty());
            EXPECT_EQ(fresh[i].ring->followers().size(), 2u);
        }
    }
    EXPECT_GT(fresh[0].ring->counters().drop_stale_incarnation, 100u);
}

// The capture's owner still lives, but the listener is new: what was said before it came is not
// said again.
TEST(Group, ARecordingOfALivingNodeReplayedToANewcomerChangesNothing) {
    Group g(2, 1, patient());
    g.recording = true;
    g.run_for(Duration::milliseconds(50));
    for (int i = 0; i < 20; ++i) {
        g[0].publish(g.now());
        g[0].ring->flush(false, g.now());
        g[0].ring->broadcast(as_bytes("once"), g.now());
        g.run_for(Duration::milliseconds(1));
    }
    g.recording = false;
    g.start(1, 900, 1);
    for (int round = 0; round < 3; ++round) {
        for (auto& d : g.recorded) g[1].ring->on_datagram(d, g.now());
        g.run_for(Duration::milliseconds(50));
        EXPECT_TRUE(g[1].messages.empty());
        EXPECT_TRUE(g[1].records[{0}].empty());
    }
    EXPECT_EQ(g[1].started.size(), 1u);
    EXPECT_EQ(g[0].ring->acknowledged({1}), g[0].ring->last_published());
    EXPECT_GT(g[1].ring->counters().drop_replayed, 20u);
}

TEST(Group, MessagesArriveAtMostOnceAndWhereTheyShould) {
    Group g(3, 3, patient());
    g.weather = {.duplicate = 1.0, .jitter = Duration::microseconds(200)};
    g.run_for(Duration::milliseconds(200));
    for (int i = 0; i < 100; ++i) g[0].ring->broadcast(as_bytes("all"), g.now());
    g[0].ring->send({2}, as_bytes("two"), g.now());
    g.run_for(Duration::milliseconds(10));
    EXPECT_EQ(g[1].messages.size(), 100u);
    EXPECT_EQ(g[2].messages.size(), 101u);
}

TEST(Group, TwoAskersAreAnsweredByMulticast) {
    Group g(4, 3, patient());
    g.run_for(Duration::milliseconds(200));
    int losses = 3;
    g.drop = [&](NodeId, NodeId to, Bytes d) {
        return losses > 0 && parse_header(d)->type == FrameType::data && to.value != 0 &&
               losses-- > 0;
    };
    g[0].publish(g.now());
    g[0].ring->flush(true, g.now());
    g.run_for(Duration::milliseconds(5));
    g.expect_delivered(0);
    EXPECT_EQ(g[0].ring->counters().repairs_unicast, 1u);
    EXPECT_EQ(g[0].ring->counters().repairs_multicast, 1u);
    EXPECT_EQ(g[0].ring->counters().repairs_held_off, 1u);
}

}  // namespace
}  // namespace holdfast::testing
