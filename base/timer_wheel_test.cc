#include "base/timer_wheel.h"

#include <gtest/gtest.h>

#include <vector>

using namespace holdfast;

namespace {
constexpr Duration kTick = Duration::milliseconds(10);
Instant at_ms(int64_t ms) { return Instant{ms * 1'000'000}; }

std::vector<uint32_t> expire(TimerWheel& wheel, Instant now, unsigned limit = 100) {
    std::vector<uint32_t> fired;
    wheel.expire(now, limit, [&](uint32_t h) { fired.push_back(h); });
    return fired;
}
}  // namespace

TEST(TimerWheel, FiresAtItsDeadlineAndNotBefore) {
    TimerWheel wheel(4, 16, kTick);
    wheel.start(at_ms(1000));
    wheel.arm(2, at_ms(1035));
    EXPECT_TRUE(expire(wheel, at_ms(1030)).empty());
    EXPECT_EQ(expire(wheel, at_ms(1040)), std::vector<uint32_t>{2});
    EXPECT_FALSE(wheel.armed(2));
}

TEST(TimerWheel, ADeadlineBeyondOneLapIsLookedAtEarly) {
    TimerWheel wheel(1, 16, kTick);
    wheel.start(at_ms(0));
    wheel.arm(0, at_ms(10'000));
    EXPECT_EQ(expire(wheel, at_ms(160)).size(), 1u);
}

TEST(TimerWheel, DisarmedNeverFires) {
    TimerWheel wheel(2, 16, kTick);
    wheel.start(at_ms(0));
    wheel.arm(0, at_ms(20));
    wheel.arm(1, at_ms(20));
    wheel.disarm(0);
    EXPECT_EQ(expire(wheel, at_ms(1000)), std::vector<uint32_t>{1});
}

TEST(TimerWheel, TheLimitLeavesTheRestForTheNextCall) {
    TimerWheel wheel(3, 16, kTick);
    wheel.start(at_ms(0));
    for (uint32_t h = 0; h < 3; ++h) wheel.arm(h, at_ms(20));
    EXPECT_EQ(expire(wheel, at_ms(20), 2).size(), 2u);
    EXPECT_EQ(expire(wheel, at_ms(20), 2).size(), 1u);
}

TEST(TimerWheel, MayBeArmedAgainFromWithin) {
    TimerWheel wheel(1, 16, kTick);
    wheel.start(at_ms(0));
    wheel.arm(0, at_ms(10));
    int fired = 0;
    for (int64_t t = 0; t <= 100; t += 10)
        wheel.expire(at_ms(t), 10, [&](uint32_t h) {
            ++fired;
            wheel.arm(h, at_ms(t + 20));
        });
    EXPECT_EQ(fired, 5);
}
