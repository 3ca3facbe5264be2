#include "replication/ring/nak_schedule.h"

#include <gtest/gtest.h>

#include <vector>

namespace holdfast {
namespace {

constexpr Instant us(int64_t n) { return {n * 1000}; }
constexpr Duration kTimeout = Duration::microseconds(200);

class NakScheduleTest : public ::testing::Test {
protected:
    NakScheduleTest() { tracker.restart({10}); }
    void arrive(uint64_t p, Instant now) {
        if (auto gap = tracker.mark({p})) naks.add(*gap, now);
    }
    std::vector<NakRange> collect(Instant now, size_t room = 100) {
        std::vector<NakRange> out(room);
        out.resize(naks.collect(tracker, kTimeout, random, now, out));
        return out;
    }
    GapTracker tracker{1024};
    NakSchedule naks;
    Random random{1};
};

TEST_F(NakScheduleTest, AsksForAllGapsAtOnce) {
    EXPECT_EQ(naks.next_deadline(), Instant::max());
    arrive(13, us(5));
    arrive(16, us(5));
    EXPECT_EQ(naks.next_deadline(), us(5));
    EXPECT_EQ(collect(us(5)), (std::vector<NakRange>{{{11}, 2}, {{14}, 2}}));
    EXPECT_TRUE(collect(us(6)).empty());
}

TEST_F(NakScheduleTest, AsksAgainWithGrowingPatience) {
    arrive(12, us(0));
    int64_t last = 0;
    Duration expected = kTimeout;
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(collect(us(last)).size(), 1u);
        int64_t next = naks.next_deadline().ns / 1000;
        EXPECT_GE(next - last, expected.ns * 3 / 4 / 1000 - 1);
        EXPECT_LE(next - last, expected.ns * 5 / 4 / 1000 + 1);
        EXPECT_TRUE(collect(us(next - 1)).empty());
        expected = std::min(expected * 3 / 2, NakSchedule::kMaxPatience);
        last = next + 1;
    }
}

TEST_F(NakScheduleTest, AsksOnlyForWhatIsStillMissing) {
    arrive(20, us(0));
    arrive(12, us(0));
    arrive(15, us(0));
    EXPECT_EQ(collect(us(0)), (std::vector<NakRange>{{{11}, 1}, {{13}, 2}, {{16}, 4}}));
    for (uint64_t p : {11, 13, 14, 16, 17, 18, 19}) arrive(p, us(1));
    EXPECT_TRUE(collect(us(1'000'000)).empty());
    EXPECT_EQ(naks.gaps(), 0u);
    EXPECT_EQ(naks.next_deadline(), Instant::max());
}

TEST_F(NakScheduleTest, WhatDoesNotFitStaysDue) {
    for (uint64_t p = 12; p < 32; p += 2) arrive(p, us(0));
    EXPECT_EQ(collect(us(0), 4).size(), 4u);
    EXPECT_EQ(naks.next_deadline(), us(0));
    EXPECT_EQ(collect(us(0)).size(), 6u);
}

TEST_F(NakScheduleTest, AFullTableStillCoversEverything) {
    for (uint64_t p = 12; p < 1012; p += 2) arrive(p, us(0));  // 500 gaps
    EXPECT_EQ(naks.gaps(), NakSchedule::kMaxGaps);
    // The last gap has grown over the others, and is asked for as its beginning is filled.
    Instant now = us(0);
    for (int i = 0; i < 10; ++i, now = now + Duration::milliseconds(20))
        for (int frame = 0; frame < 3; ++frame)
            for (NakRange r : collect(now)) {
                EXPECT_EQ(r.count, 1u);
                arrive(r.first.value, now);
            }
    EXPECT_EQ(tracker.contiguous(), Position{1010});
    EXPECT_EQ(naks.next_deadline(), Instant::max());
}

}  // namespace
}  // namespace holdfast
