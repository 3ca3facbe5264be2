#include "dataplane/port/port_set.h"

#include <algorithm>
#include <vector>

#include "dataplane/port/port_testing.h"

namespace holdfast {
namespace {

class Recorder final : public FrameSink {
public:
    void on_frame(unsigned port, Bytes frame) override {
        got.emplace_back(port,
                         std::string(reinterpret_cast<const char*>(frame.data()), frame.size()));
    }
    std::vector<std::pair<unsigned, std::string>> got;
};

class PortSetTest : public ::testing::Test {
protected:
    void compose(unsigned port, std::string_view text) {
        const MutableBytes room = ports.compose(port, text.size());
        ASSERT_EQ(room.size(), text.size());
        std::memcpy(room.data(), text.data(), text.size());
    }
    Wire left{"set_left"}, right{"set_right"};
    PortSet ports{*Environment::pool};
    unsigned l = ports.add(*left.port), r = ports.add(*right.port);
    Recorder sink;
};

TEST_F(PortSetTest, TellsWhichPortAFrameCameFrom) {
    left.push("one");
    right.push("two");
    left.push("three", 2);  // in two pieces
    EXPECT_EQ(ports.receive(sink), 3u);
    ASSERT_EQ(sink.got.size(), 3u);
    EXPECT_EQ(sink.got[0], std::make_pair(l, std::string("one")));
    EXPECT_EQ(sink.got[1], std::make_pair(l, std::string("threexxxxxxxxxx")));
    EXPECT_EQ(sink.got[2], std::make_pair(r, std::string("two")));
    EXPECT_EQ(ports.receive(sink), 0u);
}

TEST_F(PortSetTest, FramesLeaveInOrderAtTheFlush) {
    compose(l, "a");
    compose(r, "b");
    compose(l, "c");
    EXPECT_EQ(left.sent(), "");
    ports.flush();
    EXPECT_EQ(left.sent(), "a");
    EXPECT_EQ(left.sent(), "c");
    EXPECT_EQ(right.sent(), "b");
    EXPECT_EQ(ports.counters().sent, 3u);
}

TEST_F(PortSetTest, CountsAnew) {
    compose(l, "a");
    ports.flush();
    EXPECT_EQ(left.port->stats().tx_packets, 1u);
    ports.clear_counters();
    EXPECT_EQ(ports.counters().sent, 0u);
    EXPECT_EQ(left.port->stats().tx_packets, 0u);
    compose(l, "b");
    ports.flush();
    EXPECT_EQ(left.port->stats().tx_packets, 1u);
}

TEST_F(PortSetTest, AFullBatchGoesBeforeTheNextFrame) {
    for (unsigned i = 0; i <= PortSet::kBurst; ++i)
        compose(l, std::string(1, static_cast<char>('a' + i)));
    for (unsigned i = 0; i < PortSet::kBurst; ++i)
        EXPECT_EQ(left.sent()[0], static_cast<char>('a' + i));
    EXPECT_EQ(left.sent(), "");
    ports.flush();
    EXPECT_EQ(left.sent()[0], static_cast<char>('a' + PortSet::kBurst));
}

TEST_F(PortSetTest, WhatADeviceDoesNotTakeIsCountedAndFreed) {
    const uint32_t before = Environment::pool->available();
    for (int i = 0; i < 300; ++i) compose(l, "x");  // the wire holds 255
    ports.flush();
    EXPECT_EQ(ports.counters().sent, 255u);
    EXPECT_EQ(ports.counters().unsent, 45u);
    EXPECT_TRUE(ports.compose(l, 100'000).empty());
    EXPECT_EQ(ports.counters().oversize, 1u);
    while (!left.sent().empty()) {
    }
    EXPECT_EQ(Environment::pool->available(), before);
}

TEST_F(PortSetTest, WithoutABufferThereIsNoRoom) {
    std::vector<rte_mbuf*> all(Environment::pool->available());
    unsigned taken = 0;
    while ((all[taken] = rte_pktmbuf_alloc(Environment::pool->handle())) != nullptr)
        if (++taken == all.size()) break;
    EXPECT_TRUE(ports.compose(l, 60).empty());
    EXPECT_EQ(ports.counters().no_buffer, 1u);
    for (unsigned i = 0; i < taken; ++i) rte_pktmbuf_free(all[i]);
    compose(l, "x");
    ports.flush();
    EXPECT_EQ(left.sent(), "x");
}

}  // namespace
}  // namespace holdfast
