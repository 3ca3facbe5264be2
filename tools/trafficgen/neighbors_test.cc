#include "tools/trafficgen/neighbors.h"

#include <gtest/gtest.h>

#include "dataplane/wire/arp.h"
#include "tools/trafficgen/testing.h"

namespace holdfast::gen {
namespace {

class Recorder final : public FrameOut {
public:
    MutableBytes compose(unsigned port, size_t size) override {
        sent.push_back({port, Buffer(size)});
        return sent.back().second;
    }
    std::deque<std::pair<unsigned, Buffer>> sent;
};

class NeighborsTest : public ::testing::Test {
protected:
    void hear(unsigned port, const MacAddress& source, const ArpPacket& arp) {
        Buffer body(kArpSize);
        ByteWriter w(body);
        emit_arp(arp, w);
        neighbors.on_source(port, source);
        neighbors.on_arp(port, {kBroadcastMac, source, 0, kEtherTypeArp, 14}, body);
    }
    ArpPacket announcement(const MacAddress& who) const {
        return {ArpPacket::kRequest, who, vip, {}, vip};
    }

    const IpAddress vip = ip("198.51.100.10"), ours = ip("198.51.100.128");
    const MacAddress virtual_mac{{0, 0, 0x5e, 0, 1, 1}};
    Recorder out;
    GenCounters counters;
    Neighbors neighbors{{.ports = {0, 2, 4}, .mac = mac(1), .own_v4 = ours},
                        {.ports = {1, 3, 5}, .mac = mac(2)},
                        out,
                        counters,
                        [this](const IpAddress& a) { return a == ours; }};
    Instant now{1'000'000'000};
};

TEST_F(NeighborsTest, IsAskedForOnEveryPortOfItsSideAndNotTooOften) {
    const uint16_t n = neighbors.add(vip, Side::front);
    EXPECT_EQ(neighbors.add(vip, Side::front), n);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(neighbors.hop(n, now), nullptr);
    ASSERT_EQ(out.sent.size(), 3u);
    EXPECT_EQ(out.sent[0].first, 0u);
    EXPECT_EQ(out.sent[1].first, 2u);
    EXPECT_EQ(out.sent[2].first, 4u);
    const auto arp = parse_arp(Bytes(out.sent[0].second).subspan(14));
    ASSERT_TRUE(arp);
    EXPECT_EQ(arp->target, vip);
    EXPECT_EQ(arp->sender, ours);
    EXPECT_EQ(neighbors.hop(n, now + Neighbors::kAskAgain), nullptr);
    EXPECT_EQ(out.sent.size(), 6u);
}

TEST_F(NeighborsTest, AnAnnouncementFromAnotherPortMovesIt) {
    const uint16_t n = neighbors.add(vip, Side::front);
    hear(2, virtual_mac, {ArpPacket::kReply, virtual_mac, vip, mac(1), ours});
    ASSERT_NE(neighbors.hop(n, now), nullptr);
    EXPECT_EQ(neighbors.hop(n, now)->port, 2u);
    EXPECT_EQ(neighbors.hop(n, now)->to, virtual_mac);
    EXPECT_EQ(neighbors.hop(n, now)->from, mac(1));
    hear(4, virtual_mac, announcement(virtual_mac));
    EXPECT_EQ(neighbors.hop(n, now)->port, 4u);
    EXPECT_EQ(counters.moved, 1u);
    EXPECT_TRUE(out.sent.empty()) << "an announcement is not answered";
}

TEST_F(NeighborsTest, AnyFrameFromAnotherPortMovesItAsASwitchWould) {
    const uint16_t n = neighbors.add(vip, Side::front);
    hear(0, virtual_mac, announcement(virtual_mac));
    for (int i = 0; i < 3; ++i) neighbors.on_source(0, virtual_mac);
    neighbors.on_source(4, mac(9));
    EXPECT_EQ(neighbors.hop(n, now)->port, 0u);
    neighbors.on_source(4, virtual_mac);
    EXPECT_EQ(neighbors.hop(n, now)->port, 4u);
    neighbors.on_source(0, virtual_mac);
    EXPECT_EQ(neighbors.hop(n, now)->port, 0u) << "and back";
    neighbors.on_source(3, virtual_mac);
    EXPECT_EQ(neighbors.hop(n, now)->port, 0u) << "the other side is another switch";
}

TEST_F(NeighborsTest, AnswersForOursOnly) {
    hear(2, mac(7), {ArpPacket::kRequest, mac(7), vip, {}, ours});
    hear(2, mac(7), {ArpPacket::kRequest, mac(7), vip, {}, ip("198.51.100.99")});
    ASSERT_EQ(out.sent.size(), 1u);
    EXPECT_EQ(out.sent[0].first, 2u);
    const auto arp = parse_arp(Bytes(out.sent[0].second).subspan(14));
    EXPECT_EQ(arp->operation, ArpPacket::kReply);
    EXPECT_EQ(arp->sender_mac, mac(1));
    EXPECT_EQ(arp->sender, ours);
}

TEST_F(NeighborsTest, WhatAFrameShowedIsBelievedUntilSomethingIsSaid) {
    const IpAddress pool = ip("203.0.113.200");
    const uint16_t n = neighbors.learn(pool, Side::back, mac(7), 3);
    ASSERT_NE(neighbors.hop(n, now), nullptr);
    EXPECT_EQ(neighbors.hop(n, now)->port, 3u);
    EXPECT_EQ(neighbors.hop(n, now)->from, mac(2));
    EXPECT_EQ(neighbors.learn(pool, Side::back, mac(8), 5), n);
    EXPECT_EQ(neighbors.hop(n, now)->to, mac(7));
    hear(5, mac(8), {ArpPacket::kReply, mac(8), pool, kBroadcastMac, pool});
    EXPECT_EQ(neighbors.hop(n, now)->to, mac(8));
    EXPECT_EQ(neighbors.hop(n, now)->port, 5u);
}

}  // namespace
}  // namespace holdfast::gen
