// Who is asked how far it is after an adoption, and until when.
#include "dataplane/takeover/nudge.h"

#include <gtest/gtest.h>

#include "dataplane/forward/testing.h"
#include "dataplane/takeover/session_flags.h"

namespace holdfast {
namespace {

using namespace holdfast::testing;

// A session whose client's stream was moving, carried on by a second node.
class Nudging : public ::testing::Test {
protected:
    Nudging() {
        connection.establish();
        connection.session().set(takeover_flag::kClientActive);
        restored = adopter.f.restore(connection.session(), adopter.now).value();
        adopter.f.sessions().get(restored)->segment_version = 1;
        adopter.f.learn_neighbor(Side::front, connection.client.address, kClientMac, adopter.now);
        adopter.outlet.sent.clear();
    }
    void step() {
        nudge.step(
            adopter.now, 100, [](GroupId) { return true; }, adopter.outlet);
    }

    const ForwardOptions options = small_options();
    World holder{options}, adopter{options};
    Connection connection{holder, "203.0.113.7:40000", "192.0.2.80:80"};
    SessionIndex restored;
    Nudge nudge{options.services, adopter.f};
};

TEST_F(Nudging, TheReceiverOfAMovingStreamIsAskedOnce) {
    nudge.begin(GroupId{0}, adopter.now);
    nudge.consider(restored, adopter.now);
    nudge.consider(restored, adopter.now);
    step();
    step();
    ASSERT_EQ(adopter.outlet.sent.size(), 1u);
    EXPECT_EQ(adopter.outlet.sent[0].side, Side::back);
    EXPECT_EQ(nudge.counters().probes, 1u);
}

TEST_F(Nudging, ASessionThatIsGatheredLateIsNotAsked) {
    nudge.begin(GroupId{0}, adopter.now);
    adopter.now = adopter.now + Nudge::kPatience + Duration::milliseconds(1);
    nudge.consider(restored, adopter.now);
    EXPECT_FALSE(nudge.waiting());
    EXPECT_EQ(nudge.counters().late, 1u);
}

TEST_F(Nudging, NorOneWhoseTurnComesLate) {
    nudge.begin(GroupId{0}, adopter.now);
    nudge.consider(restored, adopter.now);
    adopter.now = adopter.now + Nudge::kPatience + Duration::milliseconds(1);
    step();
    EXPECT_TRUE(adopter.outlet.sent.empty());
    EXPECT_EQ(nudge.counters().late, 1u);
    EXPECT_FALSE(nudge.waiting());
}

}  // namespace
}  // namespace holdfast
