#include "dataplane/neighbor/neighbor_cache.h"

#include <gtest/gtest.h>

#include "dataplane/wire/arp.h"
#include "dataplane/wire/nd.h"
#include "dataplane/wire/testing.h"

namespace holdfast {
namespace {

using namespace holdfast::testing;

PortOptions port() {
    PortOptions p;
    p.mac = mac(0xb0);
    p.own_v4 = ip("198.51.100.2");
    p.own_v6 = ip("2001:db8:2::2");
    return p;
}

class Cache : public ::testing::Test {
protected:
    void advance(Duration d) {
        const Instant until = now + d;
        while (cache.next_deadline() <= until) {
            now = std::max(now, cache.next_deadline());
            cache.on_deadline(now, out);
        }
        now = until;
    }
    Instant now{1'000'000'000};
    RecordingOutlet out;
    NeighborCache cache{port(), Side::back, 2};
};

TEST_F(Cache, AsksAndLearns) {
    const uint32_t v4 = cache.pin(ip("198.51.100.10"), now);
    const uint32_t v6 = cache.pin(ip("2001:db8:2::10"), now);
    EXPECT_EQ(cache.mac(v4), nullptr);
    advance(Duration::milliseconds(1));
    ASSERT_EQ(out.sent.size(), 2u);
    const auto arp = parse_arp(Bytes(out.sent[0].frame).subspan(14));
    ASSERT_TRUE(arp);
    EXPECT_EQ(arp->operation, ArpPacket::kRequest);
    EXPECT_EQ(arp->sender, ip("198.51.100.2"));
    EXPECT_EQ(arp->target, ip("198.51.100.10"));
    const Bytes packet = Bytes(out.sent[1].frame).subspan(14);
    const auto h = parse_ipv6(packet);
    ASSERT_TRUE(h);
    EXPECT_EQ(h->destination, solicited_node_multicast(ip("2001:db8:2::10")));
    EXPECT_EQ(parse_nd(*h, packet.subspan(40))->target, ip("2001:db8:2::10"));
    EXPECT_TRUE(cache.learn(ip("198.51.100.10"), mac(1), now));
    EXPECT_TRUE(cache.learn(ip("2001:db8:2::10"), mac(2), now));
    EXPECT_EQ(*cache.mac(v4), mac(1));
    EXPECT_EQ(*cache.mac(v6), mac(2));
    EXPECT_FALSE(cache.learn(ip("198.51.100.11"), mac(3), now));
}

TEST_F(Cache, RetriesAreBoundedAndPinnedEntriesComeBack) {
    cache.pin(ip("198.51.100.10"), now);
    advance(Duration::seconds(1));
    EXPECT_EQ(out.sent.size(), 4u);
    advance(Duration::seconds(60));
    EXPECT_LT(out.sent.size(), 90u);  // four every three seconds or so
    EXPECT_GT(out.sent.size(), 40u);
}

TEST_F(Cache, RefreshesBeforeItExpiresAndKeepsWhatItHas) {
    const uint32_t h = cache.pin(ip("198.51.100.10"), now);
    cache.learn(ip("198.51.100.10"), mac(1), now);
    advance(Duration::seconds(24));
    EXPECT_EQ(out.sent.size(), 0u);
    advance(Duration::seconds(2));
    EXPECT_GE(out.sent.size(), 1u);
    advance(Duration::seconds(100));
    ASSERT_NE(cache.mac(h), nullptr);
    EXPECT_EQ(*cache.mac(h), mac(1));
    cache.learn(ip("198.51.100.10"), mac(7), now);
    EXPECT_EQ(*cache.mac(h), mac(7));
    EXPECT_EQ(cache.counters().moved, 1u);
}

TEST_F(Cache, OthersAreBoundedAndForgotten) {
    const uint32_t a = cache.find_or_add(ip("198.51.100.20"), now);
    EXPECT_EQ(cache.find_or_add(ip("198.51.100.20"), now), a);
    EXPECT_NE(cache.find_or_add(ip("198.51.100.21"), now), NeighborCache::kNone);
    EXPECT_EQ(cache.find_or_add(ip("198.51.100.22"), now), NeighborCache::kNone);
    EXPECT_EQ(cache.counters().full, 1u);
    advance(Duration::seconds(5));
    EXPECT_NE(cache.find_or_add(ip("198.51.100.22"), now), NeighborCache::kNone);
    EXPECT_EQ(cache.mac(NeighborCache::kNone), nullptr);
}

TEST(NextHop, OffLinkGoesToTheGateway) {
    PortOptions p = port();
    EXPECT_EQ(next_hop(p, ip("203.0.113.1")), ip("203.0.113.1"));
    p.gateway_v4 = ip("198.51.100.1");
    p.prefix_v4 = 25;
    EXPECT_EQ(next_hop(p, ip("203.0.113.1")), ip("198.51.100.1"));
    EXPECT_EQ(next_hop(p, ip("198.51.100.127")), ip("198.51.100.127"));
    EXPECT_EQ(next_hop(p, ip("198.51.100.128")), ip("198.51.100.1"));
    p.gateway_v6 = ip("fe80::1");
    EXPECT_EQ(next_hop(p, ip("2001:db8:2::99")), ip("2001:db8:2::99"));
    EXPECT_EQ(next_hop(p, ip("2001:db8:3::99")), ip("fe80::1"));
}

}  // namespace
}  // namespace holdfast
