// Two nodes' rings over net_ring devices: what one sends, the other takes.
#include "dataplane/port/port_transport.h"

#include <gtest/gtest.h>

#include "dataplane/port/port_testing.h"
#include "dataplane/wire/testing.h"

namespace holdfast {
namespace {

struct Sink final : DatagramSink {
    void on_datagram(Bytes d, Instant) override {
        got.emplace_back(reinterpret_cast<const char*>(d.data()), d.size());
    }
    std::vector<std::string> got;
};

Bytes text(std::string_view s) { return std::as_bytes(std::span(s)); }

struct Node {
    Node(const char* name, const char* local, const char* peer, const char* group, ManualClock& c)
        : wire(name),
          out(0, *Environment::pool, c, Duration::seconds(1)),
          ring({.local = *parse_ip(local),
                .group = *parse_ip(group),
                .peers = {{NodeId{1}, *parse_ip(peer)}},
                .port = 5000},
               *wire.port, out) {
        out.attach(Side::ring, *wire.port);
    }
    // Sends what is batched and returns the frames.
    std::vector<std::string> flush() {
        out.flush();
        std::vector<std::string> frames;
        for (std::string f = wire.sent(); !f.empty(); f = wire.sent()) frames.push_back(f);
        return frames;
    }
    bool take(std::string_view bytes) {
        rte_mbuf* m = wire.make(bytes);
        bool taken = ring.take(
            {rte_pktmbuf_mtod(m, std::byte*), static_cast<uint32_t>(bytes.size()), Side::ring}, m);
        if (!taken) rte_pktmbuf_free(m);
        return taken;
    }
    std::vector<std::string> received() {
        Sink sink;
        ring.receive(sink, 1000, {});
        return sink.got;
    }
    Wire wire;
    Transmitter out;
    PortTransport ring;
};

class PortTransportTest : public ::testing::TestWithParam<bool> {
protected:
    bool v4 = GetParam();
    const char* address_a = v4 ? "192.0.2.1" : "2001:db8::1";
    const char* address_b = v4 ? "192.0.2.2" : "2001:db8::2";
    const char* group = v4 ? "239.255.0.1" : "ff02::4801";
    ManualClock clock;
    Node a{"ra", address_a, address_b, group, clock};
    Node b{"rb", address_b, address_a, group, clock};
};

std::string mac_of(const std::string& frame) { return frame.substr(0, 6); }

TEST_P(PortTransportTest, MulticastReachesWhoListens) {
    a.ring.multicast(text("hello"));
    auto frames = a.flush();
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(mac_of(frames[0]), v4 ? std::string("\x01\x00\x5e\x7f\x00\x01", 6)
                                    : std::string("\x33\x33\x00\x00\x48\x01", 6));
    EXPECT_TRUE(b.take(frames[0]));
    EXPECT_EQ(b.received(), std::vector<std::string>{"hello"});
    EXPECT_TRUE(b.received().empty());
}

TEST_P(PortTransportTest, UnicastLearnsWhereToGo) {
    b.ring.unicast(NodeId{1}, text("blind"));
    auto blind = b.flush();
    EXPECT_EQ(mac_of(blind.at(0)), std::string(6, '\xff'));
    EXPECT_EQ(b.ring.counters().sent_to_unknown_mac, 1u);
    EXPECT_TRUE(a.take(blind[0]));
    EXPECT_FALSE(b.take(blind[0]));  // not addressed to b

    a.ring.unicast(NodeId{1}, text("straight"));
    EXPECT_EQ(mac_of(a.flush().at(0)), blind[0].substr(6, 6));
    EXPECT_EQ(a.ring.counters().sent_to_unknown_mac, 0u);
}

TEST_P(PortTransportTest, WhatIsNotOursStaysOnItsWay) {
    a.ring.multicast(text("hello"));
    std::string frame = a.flush().at(0);
    size_t port = v4 ? 14 + 20 + 3 : 14 + 40 + 3;
    std::string other_port = frame;
    other_port[port] = static_cast<char>(other_port[port] + 1);
    EXPECT_FALSE(b.take(other_port));
    for (size_t n = 0; n < frame.size(); ++n) EXPECT_FALSE(b.take(frame.substr(0, n))) << n;
    EXPECT_TRUE(b.received().empty());
}

TEST_P(PortTransportTest, TooManyInOnePollAreCounted) {
    uint32_t had = Environment::pool->available();
    a.ring.multicast(text("x"));
    std::string frame = a.flush().at(0);
    for (int i = 0; i < 300; ++i) EXPECT_TRUE(b.take(frame));
    EXPECT_EQ(b.ring.counters().receive_overflows, 44u);
    EXPECT_EQ(b.received().size(), 256u);
    EXPECT_EQ(Environment::pool->available(), had);
}

TEST_P(PortTransportTest, ManyInOnePollAllLeave) {
    for (int i = 0; i < 200; ++i) a.ring.multicast(text(std::to_string(i)));
    auto frames = a.flush();
    ASSERT_EQ(frames.size(), 200u);
    for (const std::string& f : frames) EXPECT_TRUE(b.take(f));
    auto got = b.received();
    EXPECT_EQ(got.front(), "0");
    EXPECT_EQ(got.back(), "199");
}

INSTANTIATE_TEST_SUITE_P(Families, PortTransportTest, ::testing::Values(true, false),
                         [](const auto& i) { return i.param ? "IPv4" : "IPv6"; });

}  // namespace
}  // namespace holdfast
