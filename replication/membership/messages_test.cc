#include "replication/membership/messages.h"

#include <gtest/gtest.h>

using namespace holdfast;

TEST(MembershipMessages, ParseOfEmitIsTheSameAndTruncationsAreRefused) {
    std::array<std::byte, 512> buffer;
    Vote vote{{3},
              {7},
              {9},
              true,
              VoteAnswer::newer_claim,
              {{6}, {2}, {123}, 4, NodeSet(0b1010), {}, 3, NodeSet(0b10)}};
    vote.claim.incarnations[1] = 11;
    vote.claim.incarnations[3] = 33;
    const Bytes v = Bytes(buffer).first(emit(vote, buffer));
    EXPECT_EQ(parse_vote(v), vote);
    for (size_t n = 0; n < v.size(); ++n) EXPECT_FALSE(parse_vote(v.first(n)));
    const Adopt adopt{{3}, {7}, false, {6}};
    const Bytes a = Bytes(buffer).first(emit(adopt, buffer));
    EXPECT_EQ(parse_adopt(a), adopt);
    for (size_t n = 0; n < a.size(); ++n) EXPECT_FALSE(parse_adopt(a.first(n)));
    const Promise promise{{12}, vote.claim};
    const Bytes p = Bytes(buffer).first(emit(promise, buffer));
    EXPECT_EQ(parse_promise(p), promise);
    for (size_t n = 0; n < p.size(); ++n) EXPECT_FALSE(parse_promise(p.first(n)));
    MemberHeartbeat hb;
    hb.view_number = 5;
    hb.members = NodeSet(0b110);
    hb.incarnations[1] = 1;
    hb.claims[kMaxGroups - 1] = {{8}, true, true};
    const Bytes h = Bytes(buffer).first(emit(hb, buffer));
    ASSERT_TRUE(parse_heartbeat_body(h));
    EXPECT_EQ(parse_heartbeat_body(h)->claims, hb.claims);
    for (size_t n = 0; n < h.size(); ++n) EXPECT_FALSE(parse_heartbeat_body(h.first(n)));
}
