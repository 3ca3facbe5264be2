// One ring against hand-made and hostile input.
#include "replication/ring/ring.h"

#include <gtest/gtest.h>

#include "replication/ring/seal.h"
#include "replication/ring/test_group.h"

namespace holdfast::testing {
namespace {

uint64_t drops(const RingCounters& c) {
    uint64_t sum = 0;
    for (auto reason = 0; reason <= static_cast<int>(RingDrop::limited); ++reason) {
        RingCounters copy = c;
        sum += drop_counter(copy, static_cast<RingDrop>(reason));
    }
    return sum;
}

TEST(RingCounters, EveryReasonHasTheCounterOfItsName) {
    RingCounters c;
    ++drop_counter(c, RingDrop::too_short);
    ++drop_counter(c, RingDrop::stale_incarnation);
    ++drop_counter(c, RingDrop::limited);
    EXPECT_EQ(c.drop_too_short, 1u);
    EXPECT_EQ(c.drop_stale_incarnation, 1u);
    EXPECT_EQ(c.drop_limited, 1u);
}

TEST(Ring, LargestFramesFitTheMtu) {
    RingOptions o;
    Group g(2, 1, o);  // its judge looks at sizes
    g.run_for(Duration::milliseconds(50));
    EXPECT_GE(g[0].ring->max_record(), Ring::kMaxRecord);
    g[0].publish(g.now(), g[0].ring->max_record());
    g[0].ring->broadcast(std::vector(Ring::kMaxMessage, std::byte{1}), g.now());
    g.run_for(Duration::milliseconds(50));
    EXPECT_EQ(g[1].messages.size(), 1u);
    g.expect_delivered(0);
}

TEST(Ring, PacksRecordsAndFlushesByItself) {
    Group g(2, 1);
    g.run_for(Duration::milliseconds(50));
    for (int i = 0; i < 5; ++i) EXPECT_EQ(g[0].publish(g.now(), 256), Position{1});
    EXPECT_EQ(g[0].publish(g.now(), 256), Position{2});
    EXPECT_EQ(g[0].ring->last_published(), Position{2});
    EXPECT_EQ(g[0].ring->next_deadline(), g.now() + Duration::microseconds(50));
    g.run_for(Duration::milliseconds(1));
    EXPECT_EQ(g[0].ring->counters().datagrams_published, 2u);
    EXPECT_EQ(g[1].records[{0}].size(), 6u);
}

TEST(Ring, ForgedAndBrokenDatagramsAreCountedAndChangeNothing) {
    Group g(2, 1);
    g.recording = true;
    g.run_for(Duration::milliseconds(50));
    for (int i = 0; i < 20; ++i) g[0].publish(g.now(), 700);
    g.run_for(Duration::milliseconds(50));
    auto recorded = g.recorded;
    g.recording = false;
    Random random(1);
    RingCounters before = g[1].ring->counters();
    auto records = g[1].records;
    uint64_t tried = 0;
    for (int round = 0; round < 50; ++round) {
        for (auto d : recorded) {
            if (random.chance(0.2)) d.resize(random.below(d.size()));
            if (!d.empty()) d[random.below(d.size())] ^= std::byte{1} << random.below(8);
            g[1].ring->on_datagram(d, g.now());
            ++tried;
        }
    }
    RingCounters after = g[1].ring->counters();
    EXPECT_EQ(drops(after) - drops(before), tried);
    EXPECT_EQ(after.records_delivered, before.records_delivered);
    EXPECT_EQ(after.statuses_received, before.statuses_received);
    EXPECT_EQ(g[1].records, records);
    EXPECT_EQ(g[1].started.size(), 1u);
    EXPECT_GT(after.drop_forged, before.drop_forged);
}

TEST(Ring, AFloodOfUnknownIncarnationsMakesUsDeriveNothingAndSayLittle) {
    Group g(2, 1);
    g.run_for(Duration::milliseconds(50));
    RingCounters before = g[1].ring->counters();
    std::vector<std::byte> d(100);
    auto heartbeat = [&](uint64_t incarnation) {
        ByteWriter to(d);
        KeySource keys(test_secret());  // they know the cluster's tag, from a capture
        emit(FrameHeader{.type = FrameType::heartbeat,
                         .sender = {0},
                         .cluster = keys.cluster(),
                         .incarnation = {incarnation},
                         .number = incarnation},
             to);
        g[1].ring->on_datagram(d, g.now());
    };
    for (uint64_t i = 0; i < 10'000; ++i) heartbeat(1000 + i);
    RingCounters after = g[1].ring->counters();
    EXPECT_EQ(after.keys_derived, before.keys_derived);
    EXPECT_LE(after.hellos_sent - before.hellos_sent, 4u);
    EXPECT_EQ(after.drop_unproven - before.drop_unproven, 10'000u);
    g.run_for(Duration::milliseconds(50));
    EXPECT_EQ(g[1].ring->incarnation({0}), Incarnation{100});
    EXPECT_EQ(g[1].ring->followers().size(), 1u);
}

TEST(Ring, OthersWorkersAndOurOwnFramesAreDropped) {
    RingOptions o;
    Group g(3, 1, o);
    g.recording = true;
    g.run_for(Duration::milliseconds(50));
    g.recording = false;
    for (auto& d : g.recorded) g[0].ring->on_datagram(d, g.now());
    EXPECT_GT(g[0].ring->counters().drop_own, 0u);
    EXPECT_GT(g[0].ring->counters().drop_not_for_us, 0u);
    o.worker = 1;
    Group other(3, 1, o);
    for (auto& d : g.recorded) other[1].ring->on_datagram(d, other.now());
    EXPECT_EQ(other[1].ring->counters().drop_other_worker, g.recorded.size());
}

TEST(Ring, TheOwnerMayPublishFromWithinItsEvents) {
    Group g(3, 1);
    for (unsigned i = 0; i < 3; ++i)
        g[i].on_follower_hook = [&g, i](NodeId, Position start, Instant now) {
            EXPECT_EQ(g[i].publish(now, 900), start);
            for (int k = 0; k < 100; ++k) g[i].publish(now, 900);
            g[i].ring->flush(true, now);
        };
    g.run_for(Duration::milliseconds(200));
    for (unsigned i = 0; i < 3; ++i) {
        EXPECT_EQ(g[i].published.size(), 202u);
        g.expect_delivered(i);
    }
}

TEST(Ring, RoomIsWhatTheSlowestFollowerLeaves) {
    RingOptions o;
    o.slots = 64;
    Group g(2, 1, o);
    g.run_for(Duration::milliseconds(50));
    EXPECT_EQ(g[0].ring->room(), 63u);
    g.cut = NodeSet::of({1});
    while (g[0].ring->room() > 0) {
        g[0].publish(g.now());
        g[0].ring->flush(false, g.now());
    }
    EXPECT_TRUE(g[0].lagging.empty());
    g[0].publish(g.now());
    EXPECT_TRUE(g[0].lagging.empty());
    g[0].ring->flush(false, g.now());
    g[0].publish(g.now());
    EXPECT_EQ(g[0].lagging[{1}], 1);
}

TEST(Ring, RotatesItsDataKeyWithoutAGap) {
    RingOptions o;
    o.first_position = {(1u << DataKeys::kGenerationBits) - 30};
    Group g(2, 1, o);
    g.weather.loss = 0.2;
    g.run_for(Duration::milliseconds(100));
    for (int i = 0; i < 60; ++i) {
        g[0].publish(g.now());
        g[0].ring->flush(true, g.now());
        g.run_for(Duration::microseconds(100));
    }
    g.run_for(Duration::milliseconds(100));
    g.expect_delivered(0);
}

}  // namespace
}  // namespace holdfast::testing
