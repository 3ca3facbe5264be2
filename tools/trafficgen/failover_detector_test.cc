#include "tools/trafficgen/failover_detector.h"

#include <gtest/gtest.h>

namespace holdfast::gen {
namespace {

constexpr Instant at(int64_t ms) { return {1'000'000'000 + ms * 1'000'000}; }
constexpr Duration ms(int64_t n) { return Duration::milliseconds(n); }

TEST(FailoverDetectorTest, ASteadyExchangeHasNoGap) {
    FailoverDetector d(ms(20));
    for (int64_t t = 0; t < 1000; t += 5) {
        d.on_sent(1, at(t));
        d.on_answered(1, at(t + 3));
    }
    EXPECT_EQ(d.count(), 0u);
    EXPECT_EQ(d.longest(at(1000)), ms(3));
    EXPECT_EQ(d.outstanding(), 0u);
}

TEST(FailoverDetectorTest, AGapTellsWhatWasInFlightAndWhatWasSentIntoIt) {
    FailoverDetector d(ms(20));
    d.on_sent(3, at(0));
    d.on_answered(1, at(1));  // two are in flight; then silence
    for (int64_t t = 2; t < 122; t += 10) d.on_sent(1, at(t));
    ASSERT_EQ(d.gaps(at(50)).size(), 1u) << "seen while it lasts";
    EXPECT_TRUE(d.gaps(at(50))[0].open);
    EXPECT_EQ(d.gaps(at(50))[0].length, ms(49));
    EXPECT_EQ(d.count(), 0u);
    d.on_answered(5, at(121));
    d.on_session_waited(ms(119));
    ASSERT_EQ(d.gaps(at(130)).size(), 1u);
    const Gap g = d.gaps(at(130))[0];
    EXPECT_FALSE(g.open);
    EXPECT_EQ(g.began, at(1));
    EXPECT_EQ(g.length, ms(120));
    EXPECT_EQ(g.in_flight, 2u);
    EXPECT_EQ(g.sent_during, 12u);
    EXPECT_EQ(g.sessions, 1u);
    EXPECT_EQ(d.outstanding(), 9u);
    EXPECT_EQ(d.longest(at(122)), ms(120));
    EXPECT_EQ(d.longest_session(), ms(119));
}

TEST(FailoverDetectorTest, WhoSendsNothingSeesNoGap) {
    FailoverDetector d(ms(20));
    d.on_sent(1, at(0));
    d.on_answered(1, at(1));
    EXPECT_TRUE(d.gaps(at(5000)).empty());
    d.on_sent(1, at(5000));
    d.on_answered(1, at(5019));
    EXPECT_EQ(d.count(), 0u);
    EXPECT_EQ(d.longest(at(9000)), ms(19));
}

TEST(FailoverDetectorTest, PartOfAnAnswerEndsTheSilence) {
    FailoverDetector d(ms(20));
    d.on_sent(1, at(0));
    for (int64_t t = 10; t <= 100; t += 10) d.on_answered(0, at(t));
    EXPECT_EQ(d.count(), 0u);
    EXPECT_EQ(d.outstanding(), 1u);
}

TEST(FailoverDetectorTest, TenGapsAreTenAndWhatIsForgottenIsNotWaitedFor) {
    FailoverDetector d(ms(20));
    for (int64_t i = 0; i < 10; ++i) {
        d.on_sent(2, at(i * 1000));
        d.on_answered(2, at(i * 1000 + 100 + i));
    }
    EXPECT_EQ(d.count(), 10u);
    EXPECT_EQ(d.longest(at(99'999)), ms(109));
    d.on_sent(4, at(20'000));
    d.forget(4);
    EXPECT_EQ(d.gaps(at(60'000)).size(), 10u);
    d.clear();
    EXPECT_EQ(d.count(), 0u);
    EXPECT_EQ(d.longest(at(60'000)), Duration{});
}

TEST(FailoverDetectorTest, ManyGapsAreCountedAndTheFirstKept) {
    FailoverDetector d(ms(20));
    for (int64_t i = 0; i < 1000; ++i) {
        d.on_sent(1, at(i * 1000));
        d.on_answered(1, at(i * 1000 + 50));
        d.on_session_waited(ms(50));
    }
    EXPECT_EQ(d.count(), 1000u);
    EXPECT_EQ(d.gaps(at(999'999)).size(), FailoverDetector::kKept);
    EXPECT_EQ(d.gaps(at(999'999)).back().sessions, 1u);
    EXPECT_EQ(d.sessions_waited(), 1000u);
}

}  // namespace
}  // namespace holdfast::gen
