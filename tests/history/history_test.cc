// The judge is seen to judge: captures forged so that one thing is wrong with each.
#include <gtest/gtest.h>

#include <deque>

#include "tests/history/forged.h"

namespace holdfast::history {
namespace {

using testing::Tape;
using testing::text;
constexpr Side kUp = Side::client, kDown = Side::server;

std::string all(const std::vector<std::string>& lines) {
    std::string s;
    for (const std::string& line : lines) s += line + "\n";
    return s;
}

// Both ends of some connections through something that behaves as `between` says.
class World {
public:
    explicit World(Between how, bool six = false) : between(how), v6(six) {}

    struct Pair {
        testing::End client, backend;
    };
    Pair& open() {
        const auto n = static_cast<uint16_t>(++opened);
        const auto at = [&](uint8_t host, unsigned port) {
            return v6 ? testing::v6(host, static_cast<uint16_t>(port))
                      : testing::v4(host, static_cast<uint16_t>(port));
        };
        const uint32_t up = 0xffff'fe00 + n, down = 0x7fff'ff00 + n;
        const uint32_t shift = between == Between::forward ? 0 : 77'777;
        pairs.push_back({{clients, at(1, 40'000u + n), at(80, 80), up, down},
                         {backends, at(200, 10'000u + n), at(10, 80), up + shift, down - shift}});
        pairs.back().client.hello();
        pairs.back().backend.hello();
        return pairs.back();
    }
    // Octets as they are sent, arrive and are acknowledged. What arrives may be another text.
    static void pass(Pair& p, Side by, uint32_t offset, std::string_view sent,
                     std::string_view arrived) {
        sender(p, by).octets(by, offset, sent);
        receiver(p, by).octets(by, offset, arrived);
        acknowledge(p, by, offset + static_cast<uint32_t>(arrived.size()));
    }
    static void pass(Pair& p, Side by, uint32_t offset, std::string_view octets) {
        pass(p, by, offset, octets, octets);
    }
    static void acknowledge(Pair& p, Side by, uint32_t offset) {
        receiver(p, by).acknowledged(by, offset);
        sender(p, by).acknowledged(by, offset);
    }
    static void fin(Pair& p, Side by, uint32_t sent, uint32_t arrived) {
        sender(p, by).fin(by, sent);
        receiver(p, by).fin(by, arrived);
        acknowledge(p, by, arrived + 1);
    }
    static testing::End& sender(Pair& p, Side by) { return by == kUp ? p.client : p.backend; }
    static testing::End& receiver(Pair& p, Side by) { return by == kUp ? p.backend : p.client; }

    Judgement judged() {
        History c, b;
        const auto counted_c =
            read_capture(clients.file, [&](const Segment& s) { c.on_segment(s); });
        const auto counted_b =
            read_capture(backends.file, [&](const Segment& s) { b.on_segment(s); });
        EXPECT_TRUE(counted_c && counted_b);
        return judge({c, missed + counted_c->cut}, {b, counted_b->cut}, between);
    }
    void expect_wrong(std::string_view what) {
        const Judgement j = judged();
        EXPECT_NE(all(j.wrong).find(what), std::string::npos) << "said: " << all(j.wrong);
    }
    void expect_well(uint64_t connections) {
        const Judgement j = judged();
        EXPECT_TRUE(j.wrong.empty()) << all(j.wrong);
        EXPECT_EQ(j.connections, connections);
        EXPECT_EQ(j.judged, connections);
    }

    Between between;
    bool v6;
    Tape clients, backends;
    std::deque<Pair> pairs;
    uint64_t missed = 0;
    unsigned opened = 0;
};

const std::string kAsked = text(700, 1), kAnswer = text(1400, 2), kMore = text(1400, 3);

class BothModes : public ::testing::TestWithParam<Between> {
protected:
    World w{GetParam()};
    // A question, two segments of answer.
    World::Pair& exchange() {
        World::Pair& p = w.open();
        World::pass(p, kUp, 0, kAsked);
        World::pass(p, kDown, 0, kAnswer);
        return p;
    }
};
INSTANTIATE_TEST_SUITE_P(History, BothModes, ::testing::Values(Between::forward, Between::proxy),
                         [](const auto& p) {
                             return p.param == Between::forward ? "forward" : "proxy";
                         });

TEST_P(BothModes, WholeConversationsAreWell) {
    for (int i = 0; i < 3; ++i) {
        World::Pair& p = exchange();
        World::pass(p, kDown, 1400, kMore);
        World::fin(p, kDown, 2800, 2800);
        World::fin(p, kUp, 700, 700);
    }
    w.expect_well(3);
    EXPECT_EQ(w.judged().ended, 3u);
    EXPECT_EQ(w.judged().octets, 3u * 3500u);
}

TEST_P(BothModes, AnOctetChanged) {
    std::string other = kMore;
    other[1000] ^= 1;
    World::pass(exchange(), kDown, 1400, kMore, other);
    w.expect_wrong("backend's stream: octet 2400 arrived as another");
}

TEST_P(BothModes, AnOctetOfTheClientChanged) {
    World::Pair& p = w.open();
    World::pass(p, kUp, 0, "GET /a", "GET /b");
    w.expect_wrong("client's stream: octet 5 arrived as another");
}

TEST_P(BothModes, ABlockLost) {
    World::Pair& p = exchange();
    p.backend.octets(kDown, 1400, kMore);
    World::pass(p, kDown, 2800, text(1400, 4));  // acknowledged with what was before it
    w.expect_wrong("4200 octets were acknowledged, of which only the first 1400 were ever there");
}

TEST_P(BothModes, ABlockLostAndTheRestMovedUp) {
    World::Pair& p = exchange();
    p.backend.octets(kDown, 1400, kMore);
    p.backend.octets(kDown, 2800, text(1400, 4));
    p.client.octets(kDown, 1400, text(1400, 4));
    World::acknowledge(p, kDown, 2800);
    w.expect_wrong("octet 1400 arrived as another");
}

TEST_P(BothModes, ABlockDoubled) {
    World::Pair& p = exchange();
    p.client.octets(kDown, 1400, kAnswer);
    p.client.acknowledged(kDown, 2800);
    w.expect_wrong("2800 octets arrived, 1400 were sent");
}

TEST_P(BothModes, ABlockDoubledInTheMiddle) {
    World::Pair& p = exchange();
    World::pass(p, kDown, 1400, kMore, kAnswer);
    w.expect_wrong("arrived as another");
}

TEST_P(BothModes, FinEarly) {
    World::Pair& p = exchange();
    p.backend.octets(kDown, 1400, kMore);
    World::fin(p, kDown, 2800, 1400);
    w.expect_wrong("ended after 1400 octets where it arrived, after 2800 where it was sent");
}

TEST_P(BothModes, AFinThatNobodySent) {
    World::Pair& p = exchange();
    p.client.fin(kDown, 1400);
    w.expect_wrong("ended after 1400 octets where it arrived, but not where it was sent");
}

TEST_P(BothModes, FinBeforeOctetsThatFollow) {
    World::Pair& p = exchange();
    World::fin(p, kDown, 1400, 1400);
    World::pass(p, kDown, 1400, kMore);
    w.expect_wrong("ended after 1400 octets, and went on to 2800");
}

TEST_P(BothModes, AcknowledgedToTheSenderOnly) {
    World::Pair& p = exchange();
    p.client.octets(kUp, 700, kMore);
    p.client.acknowledged(kUp, 2100);
    w.expect_wrong("2100 octets were acknowledged to who sent them, 700 by who got them");
}

TEST_P(BothModes, AFinAcknowledgedToTheSenderOnly) {
    World::Pair& p = exchange();
    p.client.fin(kUp, 700);
    p.client.acknowledged(kUp, 701);
    w.expect_wrong("its end was acknowledged to who sent it");
}

TEST_P(BothModes, AResetThatNobodySent) {
    World::Pair& p = exchange();
    p.client.reset(kDown, 1400);
    w.expect_wrong("the client was reset, and not by the other end");
}

TEST_P(BothModes, AResetOutsideTheWindowIsNotObeyed) {
    World::Pair& p = exchange();
    p.client.reset(kDown, 700);
    w.expect_well(1);
}

TEST_P(BothModes, AResetFromTheOtherEndIsWell) {
    World::Pair& p = exchange();
    p.client.reset(kUp, 700);
    p.backend.reset(kUp, 700);
    p.client.reset(kDown, 1400);  // by whoever is in between: it is over already
    w.expect_well(1);
    EXPECT_EQ(w.judged().reset, 1u);
}

TEST_P(BothModes, HalfOfAConversationIsWell) {
    World::Pair& p = exchange();
    p.backend.octets(kDown, 1400, kMore);  // on its way
    p.client.octets(kUp, 700, "quit");
    p.client.reset(kUp, 704);
    w.expect_well(1);
}

TEST_P(BothModes, ABackendThatGotWhatNobodySent) {
    exchange();
    World::Pair& p = w.open();
    p.backend.octets(kUp, 0, "DROP TABLE");
    p.backend.acknowledged(kUp, 10);
    w.expect_wrong("no client had this connection");
}

TEST_P(BothModes, AClientAnsweredByNobody) {
    World::Pair& p = w.open();
    p.client.octets(kDown, 0, "hello");
    p.client.acknowledged(kDown, 5);
    w.expect_wrong("no backend had this connection");
}

TEST_P(BothModes, ABackendAskedTwice) {
    World::Pair& p = exchange();
    World::fin(p, kUp, 700, 700);
    World::Pair& again = w.open();
    again.backend.octets(kUp, 0, kAsked);
    again.backend.acknowledged(kUp, 700);
    w.expect_wrong("no client had this connection");
}

TEST_P(BothModes, AnswersThatWentToEachOther) {
    World::Pair &p = w.open(), &q = w.open();
    World::pass(p, kUp, 0, "one");
    World::pass(q, kUp, 0, "two");
    World::pass(p, kDown, 0, "answer one", "answer two");
    World::pass(q, kDown, 0, "answer two", "answer one");
    w.expect_wrong("octet 7 arrived as another");
}

TEST_P(BothModes, WhatNeverSpokeIsNoConnection) {
    exchange();
    w.open();
    w.expect_well(1);
}

TEST_P(BothModes, WhatTheCaptureMissedIsNotWell) {
    World::Pair& p = exchange();
    p.backend.octets(kDown, 1400, kMore);
    World::acknowledge(p, kDown, 2800);
    exchange();
    w.missed = 1;
    const Judgement j = w.judged();
    EXPECT_TRUE(j.wrong.empty()) << all(j.wrong);
    EXPECT_EQ(j.connections, 2u);
    EXPECT_EQ(j.judged, 1u);
}

TEST_P(BothModes, AMissedFrameDoesNotExcuseEverything) {
    for (int i = 0; i < 3; ++i) {
        World::Pair& p = exchange();
        p.backend.octets(kDown, 1400, kMore);
        World::acknowledge(p, kDown, 2800);
    }
    w.missed = 1;
    w.expect_wrong("1 missed frames do not explain why 3 connections cannot be judged");
}

TEST(Proxied, MatchesHalfConversationsOfWhichOneFitsOnlyOnePartner) {
    World w(Between::proxy);
    World::Pair &p = w.open(), &q = w.open();
    World::pass(p, kUp, 0, "ab");    // fits both backends
    World::pass(q, kUp, 0, "abcd");  // only its own
    p.client.octets(kUp, 2, "cd");   // not arrived
    w.expect_well(2);
}

TEST(Forwarded, AnotherOctetIsWrongWhateverWasMissed) {
    World w(Between::forward);
    World::Pair& p = w.open();
    World::pass(p, kDown, 0, kMore, kAnswer);
    w.missed = 1;
    w.expect_wrong("arrived as another");
}

TEST(Forwarded, SixIsLikeFour) {
    World w(Between::forward, true);
    World::Pair& p = w.open();
    World::pass(p, kUp, 0, kAsked);
    World::pass(p, kDown, 0, kAnswer);
    w.expect_well(1);
    World::pass(p, kDown, 1400, "x", "y");
    w.expect_wrong("octet 1400 arrived as another");
}

TEST(Terminated, EndsAreJudgedAlone) {
    World w(Between::tls);
    World::Pair& p = w.open();
    World::pass(p, kUp, 0, "ciphertext", "plain text");
    World::pass(p, kDown, 0, "plain text", "ciphertext");
    w.expect_well(2);
    p.client.octets(kDown, 0, "cIphertext");
    w.expect_wrong("at the client: backend's stream: octet 1 came again as another");
}

TEST(Terminated, AGapIsOne) {
    World w(Between::tls);
    World::Pair& p = w.open();
    p.client.octets(kDown, 5, "behind");
    p.client.acknowledged(kDown, 11);
    w.expect_wrong("11 octets were acknowledged, of which only the first 0 were ever there");
}

TEST(Reader, OutOfOrderAndOverlapping) {
    World w(Between::forward);
    World::Pair& p = w.open();
    const std::string s = text(100, 5);
    World::pass(p, kUp, 0, s);
    for (const auto& [at, size] :
         {std::pair{60, 40}, {20, 10}, {25, 20}, {10, 30}, {0, 15}, {40, 35}, {0, 100}})
        p.backend.octets(
            kUp, static_cast<uint32_t>(at),
            std::string_view(s).substr(static_cast<size_t>(at), static_cast<size_t>(size)));
    w.expect_well(1);
}

TEST(Reader, OneOldOctetIsAQuestion) {
    World w(Between::forward);
    World::Pair& p = w.open();
    World::pass(p, kUp, 0, "asked");
    p.backend.octets(kUp, 2, std::string_view("\0", 1));
    w.expect_well(1);
    p.backend.octets(kUp, 2, std::string_view("\0\0", 2));
    w.expect_wrong("octet 2 came again as another");
}

TEST(Reader, AKernelDoesNotTakeWhatIsDamaged) {
    World w(Between::forward);
    World::Pair& p = w.open();
    p.client.octets(kUp, 0, "asked");
    p.backend.octets(kUp, 0, "asked");
    w.backends.damage_last();
    World::acknowledge(p, kUp, 5);
    w.expect_wrong("of which only the first 0 were ever there");
}

TEST(Reader, ACutFrameIsAMissedOne) {
    World w(Between::forward);
    World::Pair& p = w.open();
    World::pass(p, kUp, 0, "asked");
    p.backend.octets(kUp, 5, "again");
    w.backends.cut_last();
    w.expect_well(1);
    World::acknowledge(p, kUp, 10);
    EXPECT_EQ(w.judged().judged, 0u);
}

TEST(Reader, ANewConnectionFromTheSamePort) {
    Tape tape;
    const Socket client = testing::v4(1, 40'000), server = testing::v4(80, 80);
    testing::End one(tape, client, server, 5, 6), two(tape, client, server, 70'000, 80'000);
    one.hello();
    one.octets(kUp, 0, "one");
    two.hello();
    two.octets(kUp, 0, "two");
    History h;
    ASSERT_TRUE(read_capture(tape.file, [&](const Segment& s) { h.on_segment(s); }));
    ASSERT_EQ(h.connections().size(), 2u);
    for (const Connection& c : h.connections()) EXPECT_EQ(c.of(kUp).whole().size(), 3u);
}

TEST(Reader, AFlowWhoseSynWasNotSeenIsAStranger) {
    Tape tape;
    testing::End end(tape, testing::v4(1, 40'000), testing::v4(80, 80), 5, 6);
    testing::End asked(tape, testing::v4(2, 40'000), testing::v4(80, 80), 5, 6);
    end.octets(kUp, 100, "on and on");
    asked.octets(kUp, 100, "?");  // after its end, where it is: no stranger
    History h;
    ASSERT_TRUE(read_capture(tape.file, [&](const Segment& s) { h.on_segment(s); }));
    EXPECT_EQ(h.strangers(), 1u);
    const History nothing;
    const Judgement j = judge({h}, {nothing}, Between::forward);
    EXPECT_EQ(j.connections, 1u);
    EXPECT_EQ(j.judged, 0u);
}

TEST(Reader, RefusesWhatIsNoCapture) {
    const auto nothing = [](const Segment&) {};
    EXPECT_FALSE(read_capture({}, nothing));
    testing::File file = Tape().file;
    EXPECT_TRUE(read_capture(file, nothing));
    file[20] = std::byte{113};  // LINKTYPE_LINUX_SLL
    EXPECT_FALSE(read_capture(file, nothing));
    file[0] = std::byte{0};
    EXPECT_FALSE(read_capture(file, nothing));
}

}  // namespace
}  // namespace holdfast::history
