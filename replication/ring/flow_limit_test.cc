#include "replication/ring/flow_limit.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using Admission = FlowLimit::Admission;
constexpr NodeId kA{1}, kB{2};
constexpr Instant ms(int64_t n) { return {n * 1'000'000}; }

class FlowLimitTest : public ::testing::Test {
protected:
    FlowLimitTest() {
        flow.on_follow(kA, 1, {101}, ms(0), ms(0));
        flow.on_follow(kB, 1, {101}, ms(0), ms(0));
    }
    FlowLimit flow{Duration::milliseconds(60)};
};

TEST_F(FlowLimitTest, AdmitsOnceAndRepeatsTheAnswer) {
    EXPECT_EQ(flow.on_follow(kA, 1, {200}, ms(1), ms(1)), Admission::repeated);
    EXPECT_EQ(flow[kA].start, Position{101});
    EXPECT_EQ(flow[kA].acknowledged, Position{100});
    EXPECT_EQ(flow.on_follow(kA, 2, {200}, ms(1), ms(1)), Admission::admitted);
    EXPECT_EQ(flow.on_follow(kA, 1, {200}, ms(1), ms(1)), Admission::stale);
    EXPECT_EQ(flow[kA].start, Position{200});
}

TEST_F(FlowLimitTest, TheSlowestHoldsTheWindowUntilItIsOverrun) {
    EXPECT_TRUE(flow.on_status(kA, 1, {150}, ms(5)));
    EXPECT_TRUE(flow.on_status(kB, 1, {120}, ms(5)));
    EXPECT_EQ(flow.slowest({160}), Position{120});
    EXPECT_EQ(flow.missing({121}), NodeSet::of(kB));
    flow.evict(kB);
    EXPECT_EQ(flow.slowest({160}), Position{150});
    EXPECT_FALSE(flow.on_status(kB, 1, {125}, ms(6)));
    EXPECT_EQ(flow.on_follow(kB, 1, {161}, ms(6), ms(6)), Admission::evicted);
    EXPECT_EQ(flow.on_follow(kB, 2, {161}, ms(6), ms(6)), Admission::admitted);
}

TEST_F(FlowLimitTest, SilenceIsMeasuredByWhatWasHeard) {
    flow.on_status(kA, 1, {150}, ms(50));
    flow.on_status(kB, 1, {150}, ms(0));  // speaks, but has heard nothing new
    EXPECT_EQ(flow.next_eviction(), ms(60));
    EXPECT_EQ(flow.impatient_from(), ms(30));
    EXPECT_TRUE(flow.silent(ms(59)).empty());
    EXPECT_EQ(flow.silent(ms(60)), NodeSet::of(kB));
}

TEST_F(FlowLimitTest, TimeThatWeSleptIsNotHeldAgainstAnyone) {
    flow.on_awake(ms(3000));
    EXPECT_TRUE(flow.silent(ms(3059)).empty());
    EXPECT_EQ(flow.silent(ms(3060)).size(), 2u);
}

TEST_F(FlowLimitTest, OneThatStillHearsThePastMustCatchUpFirst) {
    flow.evict(kB);
    EXPECT_EQ(flow.on_follow(kB, 2, {161}, ms(900), ms(1000)), Admission::lagging);
    EXPECT_EQ(flow.on_follow(kB, 2, {161}, ms(945), ms(1000)), Admission::admitted);
}

TEST_F(FlowLimitTest, ANewProcessStartsFromNothing) {
    flow.on_follow(kA, 7, {200}, ms(1), ms(1));
    flow.forget(kA);
    EXPECT_FALSE(flow.counted().has(kA));
    EXPECT_EQ(flow.on_follow(kA, 1, {300}, ms(1), ms(1)), Admission::admitted);
}

}  // namespace
}  // namespace holdfast
