#include "base/time.h"

#include <gtest/gtest.h>

using namespace holdfast;

TEST(Time, NeverStaysNever) {
    EXPECT_EQ(Instant::max() + Duration::seconds(1), Instant::max());
    EXPECT_EQ(Instant{5} + Duration::max(), Instant::max());
}

TEST(Time, UnitsAgree) {
    EXPECT_EQ(Duration::milliseconds(2), Duration::microseconds(2'000));
    EXPECT_EQ((Instant{7} - Instant{3}), Duration::nanoseconds(4));
    EXPECT_EQ(earlier(Instant{3}, Instant::max()), Instant{3});
}
