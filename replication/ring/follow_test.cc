#include "replication/ring/follow.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

constexpr Instant us(int64_t n) { return {n * 1000}; }
using Verdict = Follow::Verdict;

class FollowTest : public ::testing::Test {
protected:
    void join(Position start) {
        follow.start(us(0));
        follow.on_stamp(1, us(0));
        ASSERT_TRUE(follow.follow_due(us(0)));
        auto body = follow.make_follow(Duration::milliseconds(1), us(0));
        ASSERT_TRUE(follow.on_follow_ok({{}, body.join, start}, us(10)));
        follow.make_status(us(10));
    }
    Follow follow{{.window = 64, .heartbeat = Duration::milliseconds(20)}};
};

TEST_F(FollowTest, AsksUntilItIsToldWhereToStart) {
    EXPECT_EQ(follow.next_deadline(), Instant::max());
    follow.start(us(0));
    int64_t expected[] = {0, 1000, 3000, 7000, 15000, 31000, 51000, 71000};  // at most a heartbeat
    for (int64_t t : expected) {
        EXPECT_EQ(follow.next_deadline(), us(t));
        EXPECT_EQ(follow.make_follow(Duration::milliseconds(1), us(t)).join, 1u);
    }
    EXPECT_EQ(follow.judge({100}), Verdict::not_following);
    EXPECT_FALSE(follow.on_follow_ok({{}, 2, {100}}, us(80'000)));
    EXPECT_TRUE(follow.on_follow_ok({{}, 1, {100}}, us(80'000)));
    EXPECT_EQ(follow.contiguous(), Position{99});
    EXPECT_TRUE(follow.status_due(us(80'000)));
}

TEST_F(FollowTest, JudgesPositionsBeforeTheyAreUnsealed) {
    join({100});
    EXPECT_EQ(follow.judge({99}), Verdict::duplicate);
    EXPECT_EQ(follow.judge({100}), Verdict::wanted);
    EXPECT_EQ(follow.judge({163}), Verdict::wanted);
    EXPECT_EQ(follow.judge({164}), Verdict::beyond);
    follow.on_data({105}, false, 2, us(20));
    EXPECT_EQ(follow.judge({105}), Verdict::duplicate);
}

TEST_F(FollowTest, AnswersAnAskAtOnceAndAgainWhenTheGapBeforeItIsFilled) {
    join({100});
    follow.on_data({101}, true, 2, us(20));
    EXPECT_TRUE(follow.status_due(us(20)));
    EXPECT_TRUE(follow.nak_due(us(20)));
    EXPECT_EQ(follow.make_status(us(20)).contiguous, Position{99});
    EXPECT_FALSE(follow.status_due(us(30)));
    follow.on_data({100}, false, 2, us(40));
    EXPECT_TRUE(follow.status_due(us(40)));
    EXPECT_EQ(follow.make_status(us(40)).contiguous, Position{101});
}

TEST_F(FollowTest, SaysWhereItIsEveryEighthOfTheWindowAndEveryHeartbeat) {
    join({100});
    for (uint64_t p = 100; p < 107; ++p) follow.on_data({p}, false, p, us(20));
    EXPECT_FALSE(follow.status_due(us(20)));
    follow.on_data({107}, false, 107, us(20));
    EXPECT_TRUE(follow.status_due(us(20)));
    follow.make_status(us(20));
    EXPECT_EQ(follow.next_deadline(), us(20'020));
}

// The sender may have stopped because its window is full: it must not wait for a heartbeat.
TEST_F(FollowTest, SaysWhereItIsWhenARepairJoinsALongStretch) {
    join({100});
    for (uint64_t p = 101; p < 106; ++p) follow.on_data({p}, false, 2, us(20));
    EXPECT_FALSE(follow.status_due(us(20)));
    follow.make_status(us(20));
    for (uint64_t p = 106; p < 109; ++p) follow.on_data({p}, false, 2, us(30));
    EXPECT_FALSE(follow.status_due(us(30)));
    follow.on_data({100}, false, 2, us(40));
    EXPECT_TRUE(follow.status_due(us(40)));
    EXPECT_EQ(follow.make_status(us(40)).contiguous, Position{108});
}

TEST_F(FollowTest, EchoesTheNewestStampAndHowLongItHasHeldIt) {
    join({100});
    follow.on_data({100}, false, 500, us(20));
    follow.on_data({101}, false, 400, us(30));  // a repair carries its old stamp
    StatusBody s = follow.make_status(us(50));
    EXPECT_EQ(s.echo, 500u);
    EXPECT_EQ(s.hold_ns, 30'000u);
}

TEST_F(FollowTest, AHeartbeatShowsALostTail) {
    join({100});
    EXPECT_TRUE(follow.on_heartbeat({.stamp = 3, .last = {102}, .oldest = {50}, .body = {}}, false,
                                    us(20)));
    NakBody nak;
    Random random(1);
    ASSERT_TRUE(follow.make_nak(nak, Duration::microseconds(200), random, us(20)));
    EXPECT_EQ(nak.used()[0], (NakRange{{100}, 3}));
}

TEST_F(FollowTest, JoinsAgainWhenWhatItMissesIsGone) {
    join({100});
    follow.on_data({110}, false, 2, us(20));
    EXPECT_FALSE(follow.on_gone(9, us(30)));  // about another join
    EXPECT_TRUE(follow.on_gone(1, us(30)));
    EXPECT_FALSE(follow.nak_due(us(1000)));
    EXPECT_EQ(follow.judge({111}), Verdict::wanted);  // still delivered meanwhile
    EXPECT_EQ(follow.make_follow(Duration::milliseconds(1), us(30)).join, 2u);
    EXPECT_TRUE(follow.on_follow_ok({{}, 2, {140}}, us(40)));
    EXPECT_EQ(follow.contiguous(), Position{139});
    // A heartbeat that says so does as well.
    follow.on_heartbeat({.stamp = 3, .last = {300}, .oldest = {200}, .body = {}}, false, us(50));
    EXPECT_FALSE(follow.following());
    EXPECT_EQ(follow.join(), 3u);
}

TEST_F(FollowTest, WhatWasReceivedWhileJoiningAgainIsKept) {
    join({100});
    follow.on_data({102}, false, 2, us(20));
    follow.on_gone(1, us(30));
    follow.on_data({105}, false, 3, us(31));
    follow.on_follow_ok({{}, 2, {104}}, us(40));
    EXPECT_EQ(follow.contiguous(), Position{103});
    NakBody nak;
    Random random(1);
    ASSERT_TRUE(follow.make_nak(nak, Duration::microseconds(200), random, us(40)));
    EXPECT_EQ(nak.count, 1u);
    EXPECT_EQ(nak.used()[0], (NakRange{{104}, 1}));
}

}  // namespace
}  // namespace holdfast
