#include "replication/release_gate.h"

#include <gtest/gtest.h>

#include <string>

using namespace holdfast;

namespace {
Bytes bytes(const std::string& text) { return std::as_bytes(std::span(text)); }
GateNeed of_group(uint8_t id) {
    GateNeed need;
    need.group = {id};
    return need;
}
}  // namespace

TEST(ReleaseGate, HoldsUntilSatisfiedAndKeepsOrder) {
    ReleaseGate gate(4);
    const std::string packets[] = {"a", "b", "c"};
    for (uint64_t i = 0; i < 3; ++i)
        ASSERT_TRUE(gate.hold({{1}, Commit::all, {i + 1}, NodeSet(1)}, {i}, bytes(packets[i]),
                              Instant{100}));
    std::string out;
    auto release = [&](GateTag, Bytes p) { out += static_cast<char>(p[0]); };
    gate.open(
        Instant{150}, [](const GateNeed&) { return false; }, release);
    EXPECT_EQ(out, "");
    gate.open(
        Instant{160}, [](const GateNeed& n) { return n.position.value != 2; }, release);
    EXPECT_EQ(out, "ac");
    gate.open(
        Instant{170}, [](const GateNeed&) { return true; }, release);
    EXPECT_EQ(out, "acb");
    EXPECT_EQ(gate.counters().longest_wait_ns, 70u);
    EXPECT_EQ(gate.size(), 0u);
}

TEST(ReleaseGate, FullIsCountedAndRefused) {
    ReleaseGate gate(1);
    EXPECT_TRUE(gate.hold({}, {1}, bytes("x"), Instant{0}));
    EXPECT_FALSE(gate.hold({}, {2}, bytes("y"), Instant{0}));
    EXPECT_EQ(gate.counters().full, 1u);
}

TEST(ReleaseGate, ForgetsOnlyTheLostGroup) {
    ReleaseGate gate(2);
    gate.hold(of_group(1), {1}, bytes("x"), Instant{0});
    gate.hold(of_group(2), {2}, bytes("y"), Instant{0});
    gate.abandon({1});
    uint64_t seen = 0;
    gate.open(
        Instant{1}, [](const GateNeed&) { return true; },
        [&](GateTag tag, Bytes) { seen = tag.id; });
    EXPECT_EQ(seen, 2u);
    EXPECT_EQ(gate.counters().abandoned, 1u);
    EXPECT_EQ(gate.room(), 2u);
}

// The oldest leave in front of the others; room, order and bounds are as if nothing were kept back.
TEST(ReleaseGate, GoesRoundManyTimes) {
    ReleaseGate gate(3);
    const std::string packet = "p";
    uint64_t in = 0, out = 0;
    for (int round = 0; round < 100; ++round) {
        while (gate.room() > 0) {
            ++in;
            ASSERT_TRUE(gate.hold({{1}, Commit::all, {in}, NodeSet(1)}, {in}, bytes(packet), {}));
        }
        EXPECT_FALSE(gate.hold({}, {}, bytes(packet), Instant{1}));
        const uint64_t last = out + 1 + round % 3;
        gate.open(
            Instant{2}, [&](const GateNeed& n) { return n.position.value <= last; },
            [&](GateTag tag, Bytes) { EXPECT_EQ(tag.id, ++out); });
        EXPECT_EQ(out, last);
        EXPECT_EQ(gate.size(), in - out);
        uint64_t next = out;
        gate.renew([&](GateTag tag, GateNeed&) { EXPECT_EQ(tag.id, ++next); });
        EXPECT_EQ(next, in);
    }
}
