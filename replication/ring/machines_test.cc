// The smallest machines: replay window, token bucket, round-trip time, heartbeat ladder, repair
// policy, gap tracker.
#include <gtest/gtest.h>

#include <set>

#include "base/random.h"
#include "replication/ring/gap_tracker.h"
#include "replication/ring/heartbeat_ladder.h"
#include "replication/ring/repair.h"
#include "replication/ring/replay_window.h"
#include "replication/ring/rtt.h"
#include "replication/ring/token_bucket.h"

namespace holdfast {
namespace {

constexpr Instant us(int64_t n) { return {n * 1000}; }

TEST(ReplayWindow, AgreesWithASetOfNumbers) {
    for (uint64_t first : {uint64_t{1}, (uint64_t{1} << 32) - 500, uint64_t{1} << 63}) {
        Random random(first);
        ReplayWindow window;
        window.restart(first);
        std::set<uint64_t> seen;
        uint64_t top = first;
        for (int i = 0; i < 20'000; ++i) {
            uint64_t n = top + random.below(40) - std::min<uint64_t>(top, random.below(1100));
            if (random.chance(0.001)) n = top + random.below(5000);
            bool expected = n >= first && !seen.contains(n) &&
                            (seen.empty() || *seen.rbegin() < n ||
                             *seen.rbegin() + 1 - n <= ReplayWindow::kSize);
            ASSERT_EQ(window.fresh(n), expected) << n;
            if (!expected) continue;
            window.accept(n);
            seen.insert(n);
            top = std::max(top, n);
        }
    }
}

TEST(TokenBucket, GivesItsRateAndNoMore) {
    TokenBucket bucket(1000, 10);
    int taken = 0;
    for (int i = 0; i < 100'000; ++i) taken += bucket.take(us(i * 10));  // one second
    EXPECT_NEAR(taken, 1010, 1);
    EXPECT_FALSE(bucket.take(us(0)));  // time going back gives nothing
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(bucket.take(us(1'000'000'000)));
    EXPECT_FALSE(bucket.take(us(1'000'000'000)));
}

TEST(Rtt, SmoothsAndHasAFloor) {
    RttEstimator rtt;
    EXPECT_EQ(rtt.smoothed(), Duration::milliseconds(1));
    for (int i = 0; i < 100; ++i) rtt.sample(Duration::microseconds(40));
    EXPECT_NEAR(static_cast<double>(rtt.smoothed().ns), 40'000, 100);
    EXPECT_EQ(rtt.timeout(), Duration::microseconds(200));
    rtt.sample(Duration{-1});
    rtt.sample(Duration::milliseconds(4));
    EXPECT_GT(rtt.timeout(), Duration::milliseconds(1));
}

TEST(HeartbeatLadder, DoublesUpToTheInterval) {
    HeartbeatLadder ladder(Duration::milliseconds(2), Duration::microseconds(200));
    EXPECT_LT(ladder.due(false), us(-1'000'000));  // the first one at once
    ladder.on_sent(us(0));
    EXPECT_EQ(ladder.due(false), us(2000));
    EXPECT_EQ(ladder.due(true), us(500));
    ladder.on_data(us(1000));
    int64_t expected[] = {1200, 1600, 2400, 4000, 6000, 8000};
    for (int64_t at : expected) {
        EXPECT_EQ(ladder.due(false), us(at));
        ladder.on_sent(us(at));
    }
}

TEST(HeartbeatLadder, SteadyTrafficDoesNotSilenceIt) {
    HeartbeatLadder ladder(Duration::milliseconds(2), Duration::microseconds(200));
    ladder.on_sent(us(0));
    for (int t = 0; t < 2000; t += 100) ladder.on_data(us(t));
    EXPECT_EQ(ladder.due(false), us(2000));
}

TEST(RepairPolicy, HoldsOffWhileOneIsInFlight) {
    RepairPolicy policy(64, 1000);
    Duration hold = Duration::microseconds(50);
    EXPECT_EQ(policy.decide({5}, {1}, hold, us(0)), Repair::unicast);
    EXPECT_EQ(policy.decide({5}, {1}, hold, us(49)), Repair::held_off);
    EXPECT_EQ(policy.decide({5}, {2}, hold, us(49)), Repair::multicast);
    EXPECT_EQ(policy.decide({5}, {3}, hold, us(60)), Repair::held_off);
    EXPECT_EQ(policy.decide({5}, {1}, hold, us(99)), Repair::unicast);
    EXPECT_EQ(policy.decide({69}, {1}, hold, us(100)), Repair::unicast);  // the slot's next tenant
}

TEST(RepairPolicy, EachAskerHasABudgetAndAllTogetherTwoOfThem) {
    RepairPolicy policy(4096, 1000);  // bursts of 64
    auto served = [&](uint8_t asker, uint64_t from) {
        int n = 0;
        for (uint64_t p = from; p < from + 500; ++p)
            n += policy.decide({p}, {asker}, {}, us(0)) == Repair::unicast;
        return n;
    };
    EXPECT_EQ(served(1, 0), 64);
    EXPECT_EQ(served(2, 500), 64);
    EXPECT_EQ(served(3, 1000), 0);
}

TEST(GapTracker, AgreesWithASetOfPositions) {
    for (uint64_t base : {uint64_t{0}, (uint64_t{1} << 32) - 100, (uint64_t{1} << 63) - 100}) {
        Random random(base + 1);
        GapTracker tracker(256);
        tracker.restart({base});
        std::set<uint64_t> have;
        uint64_t contiguous = base, highest = base;
        for (int i = 0; i < 30'000; ++i) {
            Position p{contiguous + 1 + random.below(20) * random.below(15)};
            if (random.chance(0.01)) {
                p = {contiguous + random.below(30)};
                tracker.skip_to(p);
                contiguous = std::max(contiguous, p.value);
            } else if (random.chance(0.1)) {
                auto gap = tracker.learn(p);
                uint64_t to = std::min(p.value, contiguous + 256);
                ASSERT_EQ(gap.has_value(), to > highest);
                if (gap) {
                    ASSERT_EQ(*gap, (PositionRange{{highest + 1}, {to}}));
                }
                highest = std::max(highest, to);
            } else {
                ASSERT_EQ(tracker.have(p), p.value <= contiguous || have.contains(p.value));
                ASSERT_EQ(tracker.within(p), p.value <= contiguous + 256);
                if (tracker.have(p) || !tracker.within(p)) continue;
                auto gap = tracker.mark(p);
                ASSERT_EQ(gap.has_value(), p.value > highest + 1);
                have.insert(p.value);
                highest = std::max(highest, p.value);
            }
            while (have.contains(contiguous + 1)) ++contiguous;
            highest = std::max(highest, contiguous);
            ASSERT_EQ(tracker.contiguous(), Position{contiguous});
            ASSERT_EQ(tracker.highest(), Position{highest});
            auto run = tracker.missing({{base}, {UINT64_MAX}});
            ASSERT_EQ(run.has_value(), contiguous < highest);
            if (run) {
                ASSERT_EQ(run->first, Position{contiguous + 1});
            }
        }
    }
}

}  // namespace
}  // namespace holdfast
