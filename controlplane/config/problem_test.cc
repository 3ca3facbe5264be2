#include "controlplane/config/problem.h"

#include <gtest/gtest.h>

#include <array>

namespace holdfast {
namespace {

TEST(Problem, TheCaretStandsUnderTheCulprit) {
    const Problem problem{Problem::Severity::error, {2, 3, 4}, "no"};
    EXPECT_EQ(render(problem, "f.toml", "a = 1\n\tb = 22\nc"),
              "f.toml:2:3: error: no\n"
              "    2 |  b = 22\n"
              "      |   ^~~~\n");
}

TEST(Problem, AWholeFileHasNoCaret) {
    EXPECT_EQ(render({Problem::Severity::warning, {}, "hm"}, "f", "x"), "f: warning: hm\n");
}

TEST(Problem, AMarkBeyondTheFileIsHarmless) {
    EXPECT_EQ(render({Problem::Severity::error, {9, 9, 9}, "no"}, "f", "x\n"),
              "f:9:9: error: no\n");
}

TEST(Problem, SortedByPlace) {
    Problems problems;
    problems.error({5, 1, 1}, "later");
    problems.warning({2, 7, 1}, "earlier");
    ASSERT_EQ(problems.sorted().size(), 2u);
    EXPECT_EQ(problems.sorted()[0].message, "earlier");
    EXPECT_EQ(problems.errors(), 1u);
}

TEST(Problem, OnlySoManyAreKept) {
    Problems problems;
    for (size_t i = 0; i < 2 * Problems::kMaxProblems; ++i) problems.error({1, 1, 1}, "x");
    EXPECT_EQ(problems.sorted().size(), Problems::kMaxProblems);
    EXPECT_EQ(problems.errors(), 2 * Problems::kMaxProblems);
}

TEST(Problem, NearestTakesASlipAndNotAnotherWord) {
    const std::array<std::string_view, 3> words{"heartbeat", "misses", "stall"};
    EXPECT_EQ(nearest("hartbeat", words), "heartbeat");
    EXPECT_EQ(nearest("missse", words), "misses");
    EXPECT_EQ(nearest("stal", words), "stall");
    EXPECT_EQ(nearest("colour", words), "");
    EXPECT_EQ(nearest("", words), "");
    EXPECT_EQ(nearest("s", std::array<std::string_view, 1>{"t"}), "");
}

}  // namespace
}  // namespace holdfast
