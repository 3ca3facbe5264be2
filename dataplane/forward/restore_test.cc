// Sessions that come from elsewhere, and RSTs made here.
#include <gtest/gtest.h>

#include "dataplane/forward/testing.h"

namespace holdfast {
namespace {

using namespace holdfast::testing;
using V = Step::Verdict;
constexpr uint8_t kAck = tcp_flag::ack, kFin = tcp_flag::fin | tcp_flag::ack;

// The same connection, carried on by a second node.
struct Pair {
    World first, second;
    Connection c{first, "203.0.113.7:40000", "192.0.2.80:80"};
    Connection carried{second, "203.0.113.7:40000", "192.0.2.80:80"};

    void move() {
        ASSERT_TRUE(second.f.restore(c.session(), second.now));
        carried.pool = c.pool;
        carried.backend = c.backend;
    }
};

TEST(Restore, TheOtherNodeCarriesOn) {
    Pair p;
    p.c.establish();
    p.move();
    EXPECT_EQ(p.carried.from_client(kAck, 0, 0, "hello").verdict, V::transmit);
    EXPECT_EQ(p.second.parsed().from(), p.c.pool);
    EXPECT_EQ(p.carried.from_backend(kAck, 0, 5, "hi").verdict, V::transmit);
    EXPECT_TRUE(p.carried.session().has(Session::kAdopted));
    EXPECT_EQ(p.second.f.counters().out_of_window, 0u);
}

TEST(Restore, ProgressThatWasNeverPublishedIsCaughtUpWith) {
    Pair p;
    p.c.establish();
    p.move();  // and then much goes on at the first node
    p.carried.from_backend(kAck, 90'000'000, 40'000, "far ahead");
    p.carried.from_client(kAck, 40'000, 90'000'009);
    p.carried.from_backend(kAck, 90'000'009, 40'000, "and on");
    EXPECT_EQ(p.second.f.counters().out_of_window, 0u);
    EXPECT_TRUE(p.carried.from_client(kFin, 40'000, 90'000'015).header_changed);
}

TEST(Restore, ARetransmissionFirstDoesNotMislead) {
    Pair p;
    p.c.establish();
    p.move();
    // The backend repeats an old segment, the client acknowledges what is far beyond it.
    p.carried.from_backend(kAck, 1000, 0, "old");
    p.carried.from_client(kAck, 0, 60'000);
    p.carried.from_backend(kAck, 60'000, 0, "new");
    p.carried.from_client(kAck, 0, 60'003);
    EXPECT_EQ(p.second.f.counters().out_of_window, 0u);
}

TEST(Restore, ARstBeforeTheWindowIsKnownChangesNothing) {
    Pair p;
    p.c.establish();
    p.move();
    EXPECT_EQ(p.carried.from_client(tcp_flag::rst, 123456, 0).verdict, V::transmit);
    EXPECT_EQ(p.carried.session().state, SessionState::established);
}

TEST(Restore, AnEndThatHasForgottenTheConnectionEndsIt) {
    Pair p;
    p.c.establish();
    p.move();
    EXPECT_EQ(p.carried.from_backend(tcp_flag::rst, 0, 0).verdict, V::transmit);
    EXPECT_EQ(p.carried.session().state, SessionState::reset);
}

TEST(Restore, EveryStateCanBeCarriedOn) {
    for (uint8_t state = 0; state < kSessionStates; ++state) {
        Pair p;
        p.c.establish();
        p.c.session().state = static_cast<SessionState>(state);
        p.c.session().from_client.flags = 0xff;  // whatever a fragment may say
        p.c.session().from_backend.flags = state % 2 ? 0xff : 0;
        p.move();
        for (uint8_t flags : {kAck, kFin, uint8_t{tcp_flag::rst}, uint8_t{tcp_flag::syn}}) {
            p.carried.from_client(flags, 0, 0, "x");
            p.carried.from_backend(flags | kAck, 0, 1, "y");
            p.carried.from_client(flags, 1, 1);
        }
    }
}

TEST(Restore, WhatMakesNoSenseIsRefused) {
    Pair p;
    p.c.establish();
    Session s = p.c.session();
    s.service = 7;
    EXPECT_EQ(p.second.f.restore(s, p.second.now).error(), DropReason::invalid_state);
    s = p.c.session();
    s.state = static_cast<SessionState>(99);
    EXPECT_EQ(p.second.f.restore(s, p.second.now).error(), DropReason::invalid_state);
    p.move();
    EXPECT_EQ(p.second.f.restore(p.c.session(), p.second.now).error(), DropReason::tuple_in_use);
}

TEST(Restore, ABackendThatIsNoLongerConfiguredIsStillReached) {
    Pair p;
    p.c.establish();
    p.c.session().backend = p.c.backend = endpoint("198.51.100.77:8080");
    // The table's index is stale for the first node, which is not used again.
    const Session s = p.c.session();
    ASSERT_TRUE(p.second.f.restore(s, p.second.now));
    EXPECT_EQ(p.carried.from_client(kAck, 0, 0, "x").reason, DropReason::neighbor_unresolved);
    p.second.f.learn_neighbor(Side::back, s.backend.address, mac(0x77), p.second.now);
    EXPECT_EQ(p.carried.from_client(kAck, 0, 0, "x").verdict, V::transmit);
    EXPECT_EQ(p.second.parsed().ethernet.destination, mac(0x77));
}

TEST(Reset, OfASessionIsWhatTheReceiverExpects) {
    World w;
    Connection c(w, "203.0.113.7:40000", "192.0.2.80:80");
    c.establish();
    c.from_client(kAck, 0, 0, "hello");
    c.from_backend(kAck, 0, 5, "answer");
    c.from_client(kAck, 5, 6);
    std::byte buffer[100];
    size_t n = w.f.make_reset(c.session(), Direction::from_client, buffer);
    Parsed p = parse_frame(Bytes(buffer).first(n));
    EXPECT_EQ(p.from(), c.vip);
    EXPECT_EQ(p.to(), c.client);
    EXPECT_EQ(p.tcp.seq.value, c.b0 + 6);
    EXPECT_TRUE(p.tcp.has(tcp_flag::rst));
    EXPECT_EQ(p.ethernet.destination, kClientMac);
    n = w.f.make_reset(c.session(), Direction::from_backend, buffer);
    p = parse_frame(Bytes(buffer).first(n));
    EXPECT_EQ(p.from(), c.pool);
    EXPECT_EQ(p.tcp.seq.value, c.c0 + 5);
}

TEST(Reset, OfAnUnknownSegmentFollowsRfc9293) {
    World w;
    std::byte buffer[100];
    const Endpoint a = endpoint("[2001:db8:9::7]:40000"), b = endpoint("[2001:db8:1::80]:80");
    size_t n = w.f.make_reset(frame_of({a, b, kAck, 100, 200, "abc"}), buffer);
    Parsed p = parse_frame(Bytes(buffer).first(n));
    EXPECT_EQ(p.from(), b);
    EXPECT_EQ(p.tcp.seq.value, 200u);
    EXPECT_EQ(p.tcp.flags, tcp_flag::rst);
    n = w.f.make_reset(frame_of({a, b, tcp_flag::syn, 100, 0}), buffer);
    p = parse_frame(Bytes(buffer).first(n));
    EXPECT_EQ(p.tcp.seq.value, 0u);
    EXPECT_EQ(p.tcp.ack.value, 101u);
    EXPECT_EQ(p.tcp.flags, tcp_flag::rst | tcp_flag::ack);
    EXPECT_EQ(w.f.make_reset(frame_of({a, b, tcp_flag::rst, 100, 0}), buffer), 0u);
}

}  // namespace
}  // namespace holdfast
