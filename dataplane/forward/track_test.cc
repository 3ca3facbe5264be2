// What may and may not move a session's state.
#include <gtest/gtest.h>

#include "dataplane/forward/testing.h"

namespace holdfast {
namespace {

using namespace holdfast::testing;
using V = Step::Verdict;
constexpr uint8_t kAck = tcp_flag::ack, kFin = tcp_flag::fin | tcp_flag::ack, kRst = tcp_flag::rst;

class Track : public ::testing::Test {
protected:
    World w;
    Connection c{w, "203.0.113.7:40000", "192.0.2.80:80"};
    SessionState state() const { return c.session().state; }
};

TEST_F(Track, ARstThatHitsTheExpectedNumberEndsTheSession) {
    c.establish();
    const Step s = c.from_backend(kRst, 0, 0);
    EXPECT_EQ(s.verdict, V::transmit);
    EXPECT_TRUE(s.closed);
    EXPECT_TRUE(s.ends);
    EXPECT_EQ(state(), SessionState::reset);
}

TEST_F(Track, ARstBehindUnacknowledgedDataEndsItToo) {
    c.establish();
    c.from_client(kAck, 0, 0, "not yet acknowledged");
    EXPECT_TRUE(c.from_client(kRst, 20, 0).closed);
}

TEST_F(Track, ARstInsideTheWindowIsTheEndpointsToJudge) {
    c.establish();
    const Step s = c.from_client(kRst, 100, 0);
    EXPECT_EQ(s.verdict, V::transmit);
    EXPECT_EQ(state(), SessionState::established);
    // The backend's challenge ACK brings the exact one.
    c.from_backend(kAck, 0, 0);
    EXPECT_TRUE(c.from_client(kRst, 0, 0).closed);
}

TEST_F(Track, ARstOutsideTheWindowIsDropped) {
    c.establish();
    EXPECT_EQ(c.from_client(kRst, 70000, 0).reason, DropReason::rst_out_of_window);
    EXPECT_EQ(c.from_client(kRst, uint32_t(-1), 0).reason, DropReason::rst_out_of_window);
    EXPECT_EQ(c.from_backend(kRst, 0x40000000, 0).reason, DropReason::rst_out_of_window);
    EXPECT_EQ(state(), SessionState::established);
    EXPECT_EQ(w.f.drops().of(DropReason::rst_out_of_window), 3u);
}

TEST_F(Track, AFinOutsideTheWindowChangesNothing) {
    c.establish();
    c.from_client(kFin, 200000, 0);
    c.from_client(kFin, 0, 500000);
    c.from_backend(kFin, uint32_t(-200000), 0);
    EXPECT_EQ(state(), SessionState::established);
    EXPECT_EQ(w.f.counters().out_of_window, 3u);
    c.from_client(kFin, 0, 0);
    EXPECT_EQ(state(), SessionState::client_fin);
}

TEST_F(Track, OutOfWindowSegmentsDoNotKeepASessionAlive) {
    c.establish();
    w.advance(Duration::seconds(7000));
    c.from_client(kAck, 0x40000000, 0, "forged");
    w.advance(Duration::seconds(500));
    EXPECT_FALSE(c.exists());
}

TEST_F(Track, HalfCloseGoesOnForTheOtherSide) {
    c.establish();
    c.from_client(kFin, 0, 0);
    for (uint32_t at = 0; at < 100'000; at += 1000) {
        c.from_backend(kAck, at, 1, std::string(1000, 'x'));
        c.from_client(kAck, 1, at + 1000);
    }
    EXPECT_EQ(state(), SessionState::client_fin);
    EXPECT_EQ(w.f.counters().out_of_window, 0u);
    c.from_backend(kFin, 100'000, 1);
    EXPECT_EQ(state(), SessionState::both_fin);
    EXPECT_TRUE(c.from_client(kAck, 1, 100'001).closed);
    EXPECT_EQ(state(), SessionState::time_wait);
}

TEST_F(Track, BothSidesFinAtOnce) {
    c.establish();
    c.from_client(kFin, 0, 0);
    c.from_backend(kFin, 0, 0);
    EXPECT_EQ(state(), SessionState::both_fin);
    c.from_client(kAck, 1, 1);
    EXPECT_EQ(state(), SessionState::both_fin);
    c.from_backend(kAck, 1, 1);
    EXPECT_EQ(state(), SessionState::time_wait);
}

TEST_F(Track, ARefusedConnectionIsOver) {
    c.syn();
    EXPECT_TRUE(c.from_backend(kRst | kAck, 0, 0).closed);
    EXPECT_EQ(state(), SessionState::reset);
}

TEST_F(Track, ARstThatDoesNotAnswerTheSynIsPassedOnly) {
    c.syn();
    c.from_backend(kRst | kAck, 0, 99);
    EXPECT_EQ(state(), SessionState::syn_sent);
}

TEST_F(Track, ASynAckThatDoesNotAnswerTheSynIsDropped) {
    c.syn();
    EXPECT_EQ(w.back({c.backend, c.pool, tcp_flag::syn | kAck, 1, c.c0 + 5}).reason,
              DropReason::invalid_state);
    EXPECT_EQ(state(), SessionState::syn_sent);
}

TEST_F(Track, AChallengeAckOfAnOldConnectionReachesTheClientAndItsRstTheBackend) {
    c.syn();
    EXPECT_EQ(c.from_backend(kAck, 555, 4444).verdict, V::transmit);
    EXPECT_EQ(c.from_client(kRst, 4444, 0).verdict, V::transmit);
    EXPECT_EQ(state(), SessionState::syn_sent);
    EXPECT_EQ(c.syn().verdict, V::transmit);
    EXPECT_EQ(c.syn_ack().verdict, V::gate);
}

TEST_F(Track, AGuessedAckDoesNotEstablish) {
    c.syn();
    c.syn_ack();
    c.from_client(kAck, 0, uint32_t(-30000));
    c.from_client(kAck, 0, 30000);
    EXPECT_EQ(state(), SessionState::syn_received);
    EXPECT_EQ(w.f.sessions().embryonic(), 1u);
    c.from_client(kAck, 0, 0);
    EXPECT_EQ(state(), SessionState::established);
    EXPECT_EQ(w.f.sessions().embryonic(), 0u);
}

TEST_F(Track, ASynInAnEstablishedConnectionIsForTheBackendToChallenge) {
    c.establish();
    Step s = w.front({c.client, c.vip, tcp_flag::syn, 999999});
    EXPECT_EQ(s.verdict, V::transmit);
    EXPECT_FALSE(s.created);
    EXPECT_EQ(state(), SessionState::established);
    EXPECT_EQ(w.back({c.backend, c.pool, tcp_flag::syn}).reason, DropReason::invalid_state);
}

TEST_F(Track, WindowsAreScaledOnlyWhenBothOffered) {
    TcpOptions scaled;
    scaled.window_scale = 4;
    c.establish(scaled);
    // The backend's window of 65535 << 4 lets the client be a megabyte ahead.
    c.from_backend(kAck, 0, 0);
    c.from_client(kAck, 1'000'000, 0, "far");
    EXPECT_EQ(w.f.counters().out_of_window, 0u);
    c.from_client(kAck, 1'100'000, 0, "too far");
    EXPECT_EQ(w.f.counters().out_of_window, 1u);

    Connection plain(w, "203.0.113.7:40001", "192.0.2.80:80");
    plain.syn(scaled);
    plain.syn_ack();
    plain.from_client(kAck, 0, 0);
    plain.from_backend(kAck, 0, 0);
    plain.from_client(kAck, 70'000, 0, "too far");
    EXPECT_EQ(w.f.counters().out_of_window, 2u);
}

TEST_F(Track, GigabytesWrapTheSequenceSpace) {
    TcpOptions scaled;
    scaled.window_scale = 14;
    c.establish(scaled);
    uint32_t at = 0;
    for (int i = 0; i < 12'000; ++i) {  // 12,000 * 500,000 bytes: once round and a half
        c.from_client(kAck, 0, at);
        at += 500'000;
        c.from_backend(kAck, at - 1000, 0, std::string(1000, 'x'));
    }
    EXPECT_EQ(w.f.counters().out_of_window, 0u);
    EXPECT_EQ(c.session().from_backend.end.value, c.b0 + at);
}

}  // namespace
}  // namespace holdfast
