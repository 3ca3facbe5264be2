#include "controlplane/config/units.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(Units, DurationsNeedAUnit) {
    EXPECT_EQ(parse_duration("20ms"), Duration::milliseconds(20));
    EXPECT_EQ(parse_duration("124m"), Duration::seconds(7'440));
    EXPECT_EQ(parse_duration("0s"), Duration{});
    for (const char* bad : {"", "20", "ms", "-1s", "1.5s", "20 ms", "20MS", "1s1s", "+1s"})
        EXPECT_EQ(parse_duration(bad), std::nullopt) << bad;
}

TEST(Units, WhatDoesNotFitIsRefused) {
    EXPECT_TRUE(parse_duration("9223372036854775807ns"));
    EXPECT_FALSE(parse_duration("9223372036854775808ns"));
    EXPECT_FALSE(parse_duration("9223372036854775807us"));
    EXPECT_FALSE(parse_duration("99999999999999999999s"));
}

TEST(Units, Sizes) {
    EXPECT_EQ(parse_size("128MiB"), 128u << 20);
    EXPECT_EQ(parse_size("7B"), 7u);
    EXPECT_EQ(parse_size("128MB"), std::nullopt);
    EXPECT_EQ(parse_size("128"), std::nullopt);
}

TEST(Units, PortRanges) {
    using Range = std::pair<uint16_t, uint16_t>;
    EXPECT_EQ(parse_port_range("1024-65535"), Range(1024, 65535));
    EXPECT_EQ(parse_port_range("80"), Range(80, 80));
    for (const char* bad : {"", "-", "1-", "-1", "2-1", "0-10", "1-65536", "1-2-3", "a-b"})
        EXPECT_EQ(parse_port_range(bad), std::nullopt) << bad;
}

TEST(Units, TextIsTheLargestExactUnitAndReadsBack) {
    EXPECT_EQ(duration_text(Duration::milliseconds(1'500)), "1500ms");
    EXPECT_EQ(duration_text(Duration::seconds(7'440)), "124m");
    EXPECT_EQ(duration_text(Duration{}), "0ns");
    EXPECT_EQ(size_text(128u << 20), "128MiB");
    for (int64_t ns : {1, 999, 1'000, 60'000'000, 3'600'000})
        EXPECT_EQ(parse_duration(duration_text({ns})), Duration{ns});
}

}  // namespace
}  // namespace holdfast
