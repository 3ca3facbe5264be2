#include "dataplane/port/eal.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "dataplane/port/doorbell.h"

namespace holdfast {
namespace {

bool has(const std::vector<std::string>& args, const std::string& what) {
    return std::ranges::find(args, what) != args.end();
}

std::string after(const std::vector<std::string>& args, const std::string& what) {
    auto at = std::ranges::find(args, what);
    return at == args.end() ? "" : *(at + 1);
}

TEST(EalArguments, DefaultNeedsNoHugePagesNoPciAndLeavesNothing) {
    auto args = eal_arguments({.file_prefix = "p"}, {0, 1});
    EXPECT_TRUE(has(args, "--no-huge"));
    EXPECT_TRUE(has(args, "--no-shconf"));
    EXPECT_FALSE(has(args, "--in-memory"));  // the EAL refuses it with --no-huge
    EXPECT_TRUE(has(args, "--no-pci"));
    EXPECT_TRUE(has(args, "--no-telemetry"));
    EXPECT_EQ(after(args, "--file-prefix"), "p");
}

TEST(EalArguments, HugePagesAreNeverLeftBehind) {
    auto args = eal_arguments({.huge_pages = true}, {0});
    EXPECT_TRUE(has(args, "--in-memory"));
    EXPECT_FALSE(has(args, "--no-huge"));
}

TEST(EalArguments, WorkersArePinnedWhereToldAndFreeElsewhere) {
    auto args = eal_arguments({.workers = 3, .worker_cpus = {1, 0}}, {0, 1});
    EXPECT_EQ(after(args, "--lcores"), "0@(0,1),1@1,2@0,3@(0,1)");
}

TEST(EalArguments, PciDevicesAreAnAllowList) {
    auto args = eal_arguments({.pci_devices = {"0000:01:00.0"}}, {0});
    EXPECT_FALSE(has(args, "--no-pci"));
    EXPECT_EQ(after(args, "-a"), "0000:01:00.0");
}

TEST(Doorbell, OpenedBetweenIsTheDifference) {
    EXPECT_EQ(opened_between({3, 5}, {3, 5, 6, 9}), (std::vector<int>{6, 9}));
    EXPECT_TRUE(opened_between({3}, {3}).empty());
}

}  // namespace
}  // namespace holdfast
