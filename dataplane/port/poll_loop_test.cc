// Poll loops on net_ring devices, one EAL for all tests, no privileges. Time is the test's own.
#include "dataplane/port/poll_loop.h"

#include <gtest/gtest.h>

#include "dataplane/port/port_testing.h"
#include "dataplane/wire/testing.h"

namespace holdfast {
namespace {

const auto* environment = ::testing::AddGlobalTestEnvironment(new Environment);

// Does what the test says with each frame, and remembers what it was told.
struct Script final : PollTarget {
    explicit Script(Outlet& o) : out(o) {}
    void on_burst(std::span<Frame> frames, std::span<Disposition> decisions, Instant) override {
        for (size_t i = 0; i < frames.size(); ++i) {
            seen.emplace_back(reinterpret_cast<char*>(frames[i].data), frames[i].length);
            sides.push_back(frames[i].in);
            decisions[i] = decide;
            if (grow) {
                frames[i].data -= 4;
                frames[i].length += 4;
                std::memcpy(frames[i].data, "grow", 4);
            }
        }
        if (clock != nullptr) clock->t = clock->t + think;
        for (const std::string& s : replies) out.transmit(Side::front, std::as_bytes(std::span(s)));
    }
    void on_ring_datagram(Bytes, Instant) override {}
    void on_burst_end(Instant) override { ++ends; }
    Instant next_deadline() const override { return deadline; }
    void on_deadline(Instant) override {
        deadline = Instant::max();
        ++deadlines;
    }
    void on_stall(Duration gap, Instant) override { stalls.push_back(gap); }

    Outlet& out;
    Disposition decide = Disposition::drop;
    bool grow = false;
    std::vector<std::string> seen, replies;
    std::vector<Side> sides;
    std::vector<Duration> stalls;
    int ends = 0, deadlines = 0;
    Instant deadline = Instant::max();
    ManualClock* clock = nullptr;
    Duration think{};
};

class PollLoopTest : public ::testing::Test {
protected:
    PollLoopTest()
        : before(Environment::pool->available()),
          front("front"),
          back("back"),
          out(0, *Environment::pool, clock, kBound),
          target(out),
          loop({.stall_bound = kBound}, clock, out, target) {
        loop.add_port(Side::front, *front.port);
        loop.add_port(Side::back, *back.port);
        out.attach(Side::front, *front.port);
        out.attach(Side::back, *back.port);
        target.clock = &clock;
    }
    static constexpr Duration kBound = Duration::milliseconds(50);
    uint32_t before;
    ManualClock clock;
    Wire front, back;
    Transmitter out;
    Script target;
    PollLoop loop;
};

TEST_F(PollLoopTest, NothingToDoIsAnIdlePoll) {
    EXPECT_FALSE(loop.poll());
    EXPECT_EQ(loop.counters().polls, 1u);
    EXPECT_EQ(loop.counters().busy_polls, 0u);
    EXPECT_EQ(target.ends, 0);
}

TEST_F(PollLoopTest, FrontToBackInOrderInPlace) {
    target.decide = Disposition::transmit_back;
    front.push("one");
    front.push("two");
    EXPECT_TRUE(loop.poll());
    EXPECT_EQ(target.sides, (std::vector{Side::front, Side::front}));
    EXPECT_EQ(target.ends, 1);
    EXPECT_EQ(back.sent(), "one");
    EXPECT_EQ(back.sent(), "two");
    EXPECT_EQ(front.sent(), "");
}

TEST_F(PollLoopTest, BackToFrontGrownIntoTheHeadroom) {
    target.decide = Disposition::transmit_front;
    target.grow = true;
    back.push("frame");
    loop.poll();
    EXPECT_EQ(target.sides, std::vector{Side::back});
    EXPECT_EQ(front.sent(), "growframe");
}

TEST_F(PollLoopTest, DroppedFramesGoBackToThePool) {
    for (int i = 0; i < 20; ++i) front.push("x");
    loop.poll();
    EXPECT_EQ(loop.counters().dropped_by_target, 20u);
    EXPECT_EQ(rte_mempool_avail_count(Environment::pool->handle()), before);
}

TEST_F(PollLoopTest, OwnFramesAreCopiedAndTooLongOnesCounted) {
    target.replies = {"reply", std::string(5000, 'x')};
    front.push("ask");
    loop.poll();
    EXPECT_EQ(front.sent(), "reply");
    EXPECT_EQ(front.sent(), "");
    EXPECT_EQ(out.counters().tx_oversize, 1u);
}

TEST_F(PollLoopTest, SegmentsAreMadeOne) {
    target.decide = Disposition::transmit_back;
    front.push("head", 3);
    loop.poll();
    EXPECT_EQ(back.sent(), "headxxxxxxxxxxxxxxxxxxxx");
    EXPECT_EQ(loop.counters().rx_linearized, 1u);
}

TEST_F(PollLoopTest, DeadlinesAreServedOnce) {
    target.deadline = clock.t;
    EXPECT_TRUE(loop.poll());
    EXPECT_FALSE(loop.poll());
    EXPECT_EQ(target.deadlines, 1);
}

TEST_F(PollLoopTest, GapBetweenPollsIsToldBeforeAnyFrame) {
    loop.poll();
    clock.t = clock.t + Duration::milliseconds(51);
    target.decide = Disposition::transmit_back;
    front.push("x");
    loop.poll();
    ASSERT_EQ(target.stalls.size(), 1u);
    EXPECT_EQ(target.stalls[0], Duration::milliseconds(51));
    EXPECT_EQ(back.sent(), "x");  // decided after the target was told
    loop.poll();
    EXPECT_EQ(target.stalls.size(), 1u);
}

TEST_F(PollLoopTest, StallBetweenStampAndTransmitDropsThePoll) {
    target.decide = Disposition::transmit_back;
    target.think = Duration::milliseconds(60);
    target.replies = {"reply"};
    front.push("x");
    loop.poll();
    EXPECT_EQ(back.sent(), "");
    EXPECT_EQ(front.sent(), "");
    EXPECT_EQ(out.counters().tx_stalled, 2u);
    ASSERT_EQ(target.stalls.size(), 1u);

    // The next poll is a new one.
    target.think = {};
    front.push("y");
    loop.poll();
    EXPECT_EQ(back.sent(), "y");
    EXPECT_EQ(target.stalls.size(), 1u);
    EXPECT_EQ(loop.counters().longest_stall_ns, 60'000'000u);
}

TEST_F(PollLoopTest, APortThatTakesNoMoreIsCountedAndNothingLeaks) {
    target.decide = Disposition::transmit_back;
    for (int round = 0; round < 20; ++round) {
        for (int i = 0; i < 16; ++i) front.push("x");
        loop.poll();
    }
    EXPECT_EQ(out.counters().tx_frames, 255u);  // what a ring of 256 holds
    EXPECT_EQ(out.counters().tx_unsent, 65u);
    EXPECT_EQ(rte_mempool_avail_count(Environment::pool->handle()), before - 255);
}

// Two workers, one queue: what worker 0 reads finds its owner.
class TwoWorkersTest : public PollLoopTest {
protected:
    TwoWorkersTest()
        : handover(2, 64),
          out1(1, *Environment::pool, clock, kBound),
          target1(out1),
          first({.worker = 0, .workers = 2, .stall_bound = kBound}, clock, out, target),
          second({.worker = 1, .workers = 2, .stall_bound = kBound}, clock, out1, target1) {
        out1.attach(Side::back, *back.port);
        for (PollLoop* l : {&first, &second}) {
            l->add_port(Side::front, *front.port);
            l->set_handover(handover);
        }
    }
    Handover handover;
    Transmitter out1;
    Script target1;
    PollLoop first, second;
};

std::string segment(uint16_t client_port) {
    testing::Seg s{testing::endpoint("192.0.2.1:1"), testing::endpoint("198.51.100.1:80")};
    s.from.port = client_port;
    testing::Buffer b = testing::frame_of(s);
    return {reinterpret_cast<char*>(b.data()), b.size()};
}

TEST_F(TwoWorkersTest, FlowsFindTheirOwner) {
    FlowSorter sorter(2, kDefaultRssKey);
    target1.decide = Disposition::transmit_back;
    unsigned of_first = 0;
    for (uint16_t p = 1000; p < 1020; ++p) {
        std::string frame = segment(p);
        of_first += sorter.owner_of(std::as_bytes(std::span(frame))) == 0;
        front.push(frame);
    }
    first.poll();
    second.poll();
    EXPECT_EQ(target.seen.size(), of_first);
    EXPECT_EQ(target1.seen.size(), 20 - of_first);
    EXPECT_GT(of_first, 0u);
    EXPECT_LT(of_first, 20u);
    EXPECT_EQ(first.counters().handed_over, 20 - of_first);
    EXPECT_EQ(second.counters().taken_over, 20 - of_first);
    EXPECT_EQ(target1.sides, std::vector<Side>(20 - of_first, Side::front));
    EXPECT_EQ(back.sent(), target1.seen[0]);  // a queue that both share
}

TEST_F(TwoWorkersTest, AFullQueueIsCountedAndNothingLeaks) {
    uint32_t had = Environment::pool->available();
    for (int round = 0; round < 10; ++round) {
        for (uint16_t p = 1000; p < 1030; ++p) front.push(segment(p));
        first.poll();
    }
    EXPECT_EQ(first.counters().handed_over, 63u);  // what a ring of 64 holds
    EXPECT_GT(first.counters().handover_full, 0u);
    EXPECT_EQ(Environment::pool->available(), had - 63);
}

TEST_F(TwoWorkersTest, NeighboursAreTaughtToAll) {
    std::string reply(42, '\0');
    reply[12] = 8, reply[13] = 6, reply[21] = 2, reply[31] = 1;
    front.push(reply);
    first.poll();
    second.poll();
    EXPECT_EQ(target.seen, std::vector{reply});
    EXPECT_EQ(target1.seen, std::vector{reply});
}

TEST_F(PollLoopTest, CommandsRunInTheLoopAndStopEndsIt) {
    Environment::eal->launch(0, [&] { loop.run(); });
    uint64_t polls = 0;
    EXPECT_TRUE(loop.mailbox().run([&] { polls = loop.counters().polls; }));
    loop.stop();
    Environment::eal->join(0);
    EXPECT_GE(loop.counters().commands, 1u);
    EXPECT_FALSE(loop.mailbox().run([] {}));
}

// net_af_xdp registers as much memory from the pool's start as its frames take side by side.
TEST(FramePool, FramesLieSideBySideInOnePiece) {
    rte_mempool* pool = Environment::pool->handle();
    ASSERT_EQ(pool->nb_mem_chunks, 1u);
    const auto* start = static_cast<const std::byte*>(STAILQ_FIRST(&pool->mem_list)->addr);
    const size_t end = size_t{pool->populated_size} *
                       rte_mempool_calc_obj_size(pool->elt_size, pool->flags, nullptr);
    struct Span {
        const std::byte* start;
        size_t furthest = 0;
    } span{start};
    rte_mempool_obj_iter(
        pool,
        [](rte_mempool* p, void* to, void* frame, unsigned) {
            auto& s = *static_cast<Span*>(to);
            auto* last = static_cast<const std::byte*>(frame) + p->elt_size;
            s.furthest = std::max(s.furthest, static_cast<size_t>(last - s.start));
        },
        &span);
    EXPECT_LE(span.furthest, end);
}

}  // namespace
}  // namespace holdfast
