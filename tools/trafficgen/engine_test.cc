// Clients and servers of one engine with nothing but a wire between them, in virtual time.
#include <gtest/gtest.h>

#include "tools/trafficgen/testing.h"

namespace holdfast::gen {
namespace {

constexpr Duration kSecond = Duration::seconds(1);

void expect_clean(const Engine& e) {
    const GenCounters& c = e.counters();
    EXPECT_EQ(c.wrong_octets, 0u);
    EXPECT_EQ(c.sessions_lost, 0u);
    EXPECT_EQ(c.requests_lost, 0u);
    EXPECT_EQ(c.tx_unresolved, 0u);
    EXPECT_EQ(c.stray, 0u);
    for (const DropInfo& d : kDropTable) EXPECT_EQ(e.drops().of(d.reason), 0u) << d.name;
}

TEST(EngineTest, SessionsAreOpenedAndAskedInTurn) {
    EngineOptions o = test_options("established");
    o.profile.sessions = 500;
    o.profile.rate = 10'000;
    World w(o);
    w.engine.start(w.now);
    ASSERT_TRUE(w.run_until([&] { return w.engine.phase() == Phase::running; }, kSecond));
    EXPECT_EQ(w.engine.clients().established(), 500u);
    EXPECT_EQ(w.engine.servers().size(), 500u);
    ASSERT_TRUE(w.run_until([&] { return w.engine.counters().requests == 10'000; }, kSecond * 2));
    w.engine.stop(w.now);
    w.run_for(kSecond);
    const GenCounters& c = w.engine.counters();
    EXPECT_EQ(c.answers, c.requests);
    EXPECT_EQ(c.payload_received, c.requests * 6);
    EXPECT_EQ(w.engine.detector().outstanding(), 0u);
    EXPECT_EQ(w.engine.latencies().answer.count(), c.answers);
    EXPECT_EQ(w.engine.latencies().answer.max(), Duration::microseconds(100));
    for (uint32_t s = 0; s < 500; ++s) ASSERT_EQ(w.engine.clients().at(s).answered, 20u);
    expect_clean(w.engine);
}

TEST(EngineTest, AFrameOfSixOctetsIsTheSmallestThereIs) {
    EngineOptions o = test_options("established");
    World w(o);
    w.record = true;
    w.engine.start(w.now);
    w.run_for(kSecond);
    for (const Buffer& frame : w.sent) ASSERT_EQ(frame.size(), 60u);
}

TEST(EngineTest, EverySegmentIsWellFormed) {
    EngineOptions o = test_options("verify");
    o.addresses.targets.push_back(endpoint("[2001:db8:1::10]:80"));
    o.addresses.servers = o.addresses.targets;
    o.profile.rate = 100;
    World w(o);
    w.record = true;
    w.engine.start(w.now);
    w.run_for(kSecond);
    unsigned v6 = 0, checked = 0;
    for (const Buffer& frame : w.sent) {
        const auto ethernet = parse_ethernet(frame);
        const bool tcp = ethernet->type == kEtherTypeIpv4 ||
                         (ethernet->type == kEtherTypeIpv6 && frame[20] == std::byte{kProtocolTcp});
        if (!tcp) continue;
        const auto p = holdfast::testing::parse_frame(frame);
        v6 += !p.ip.v4;
        ++checked;
    }
    EXPECT_GT(checked, 500u);
    EXPECT_GT(v6, checked / 3);
    expect_clean(w.engine);
}

TEST(EngineTest, ConnectionsComeAndGo) {
    struct Case {
        const char* profile;
        Close close;
    };
    for (const Case& t : {Case{"connect", Close::fin}, Case{"connect", Close::rst},
                          Case{"http", Close::fin}, Case{"http", Close::rst}}) {
        EngineOptions o = test_options(t.profile);
        o.profile.rate = 5000;
        o.profile.sessions = 64;  // slots are used again and again
        for (FlowClass& c : o.profile.classes) c.close = t.close;
        World w(o);
        w.engine.start(w.now);
        w.run_for(kSecond);
        w.engine.stop(w.now);
        w.run_for(kSecond);
        const GenCounters& c = w.engine.counters();
        EXPECT_NEAR(static_cast<double>(c.opened), 5000, 10) << t.profile;  // ARP came first
        EXPECT_EQ(c.established, c.opened);
        EXPECT_EQ(c.finished, c.opened);
        EXPECT_EQ(c.server_accepted, c.opened);
        EXPECT_EQ(c.server_closed + c.server_resets, c.opened);
        EXPECT_EQ(w.engine.servers().size(), 0u);
        EXPECT_EQ(w.engine.clients().established(), 0u);
        EXPECT_EQ(w.engine.latencies().connect.count(), c.opened);
        expect_clean(w.engine);
    }
}

TEST(EngineTest, MixedConnectionsBehaveAsTheirClassSays) {
    EngineOptions o = test_options("mixed");
    o.profile.classes = *parse_mix("m", "1 3 500 10000 fin\n1 1 6 0 silent\n2 2 3000 0 rst");
    o.profile.rate = 500;
    World w(o);
    w.engine.start(w.now);
    w.run_for(kSecond);
    w.engine.stop(w.now);
    w.run_for(kSecond);
    const GenCounters& c = w.engine.counters();
    EXPECT_EQ(c.finished, c.opened);
    EXPECT_EQ(c.answers, c.requests);
    EXPECT_NEAR(static_cast<double>(c.requests), 500 * (0.25 * 3 + 0.5 * 2), 100);
    expect_clean(w.engine);
}

TEST(EngineTest, WhatIsLostIsSentAgainAndNothingIsWrong) {
    EngineOptions o = test_options("verify");
    o.profile.sessions = 20;
    o.profile.rate = 2000;
    o.profile.classes = {{.request = 4000, .response = 3000}};
    World w(o);
    Random dice(3);
    w.wire = [&](unsigned port, Buffer&) {
        return dice.chance(0.02) ? std::nullopt : std::optional(port);
    };
    w.engine.start(w.now);
    w.run_for(kSecond * 5);
    w.engine.stop(w.now);
    ASSERT_TRUE(w.run_until([&] { return w.engine.detector().outstanding() == 0; }, kSecond * 20));
    const GenCounters& c = w.engine.counters();
    EXPECT_EQ(c.answers, c.requests);
    EXPECT_EQ(c.payload_received, c.requests * 7000);
    EXPECT_GT(c.retransmissions + c.fast_retransmissions, 100u);
    expect_clean(w.engine);
}

TEST(EngineTest, AFlippedOctetIsSeenThoughTheChecksumIsRight) {
    EngineOptions o = test_options("verify");
    o.profile.sessions = 1;
    World w(o);
    unsigned flipped = 0;
    w.wire = [&](unsigned port, Buffer& frame) {
        if (frame.size() > 1000 && flipped < 3) {
            frame[500] ^= std::byte{0xff};
            frame[501] ^= std::byte{0xff};  // together: the sum stays
            const uint16_t before = load_be<uint16_t>(&frame[500]);
            frame[50] = frame[51] = std::byte{0};
            const uint64_t sum =
                pseudo_header_sum(load_address(&frame[26], true), load_address(&frame[30], true),
                                  kProtocolTcp, static_cast<uint32_t>(frame.size() - 34));
            store_checksum(&frame[50], checksum_of(add_to_sum(sum, Bytes(frame).subspan(34))));
            flipped += before != 0;
        }
        return std::optional(port);
    };
    w.engine.start(w.now);
    w.run_for(kSecond);
    EXPECT_EQ(flipped, 3u);
    EXPECT_EQ(w.engine.counters().wrong_octets, 6u);
}

// A stall of the wire: latencies are counted from when requests were due, not from when the window
// let them go, so that nearly all of the second's requests show it.
TEST(EngineTest, AStallShowsInEveryLatencyItShouldShowIn) {
    EngineOptions o = test_options("established");
    o.profile.sessions = 10;
    o.profile.rate = 1000;
    World w(o);
    w.engine.start(w.now);
    ASSERT_TRUE(w.run_until([&] { return w.engine.counters().answers == 1000; }, kSecond * 3));
    bool cut = true;
    w.wire = [&](unsigned port, Buffer&) { return cut ? std::nullopt : std::optional(port); };
    w.run_for(kSecond);
    cut = false;
    w.run_for(kSecond);
    // What was due during the stall waited for its end, and on for the timer: evenly from nothing
    // to more than a second. That is more than a third of all.
    const Histogram& h = w.engine.latencies().answer;
    EXPECT_GE(h.count(), 2900u);
    EXPECT_LT(h.quantile(0.40), Duration::milliseconds(2));
    EXPECT_GT(h.quantile(0.84), Duration::milliseconds(400));
    EXPECT_GT(h.max(), kSecond);
    ASSERT_EQ(w.engine.detector().gaps(w.now).size(), 1u);
    const Gap gap = w.engine.detector().gaps(w.now)[0];
    EXPECT_GT(gap.length, kSecond);
    EXPECT_NEAR(static_cast<double>(gap.sent_during), static_cast<double>(gap.length.ns) / 1e6, 3);
    EXPECT_EQ(gap.sessions, 10u);
    expect_clean(w.engine);
}

TEST(EngineTest, AResetIsALostSessionAndOneThatIsGuessedIsNot) {
    EngineOptions o = test_options("verify");
    o.profile.sessions = 50;
    World w(o);
    w.engine.start(w.now);
    w.run_for(kSecond);
    const auto reset = [&](uint32_t session, uint32_t beside) {
        const auto& c = w.engine.clients().at(session);
        w.engine.on_frame(0,
                          holdfast::testing::frame_of({w.engine.addresses().target_of(session),
                                                       w.engine.addresses().client_of(session),
                                                       tcp_flag::rst, c.rcv_nxt().value + beside}),
                          w.now);
    };
    w.engine.stop(w.now);
    w.run_for(kSecond);
    for (uint32_t s = 0; s < 50; ++s) reset(s, s == 7 ? 0 : 1 + s);
    EXPECT_EQ(w.engine.counters().resets, 1u);
    EXPECT_EQ(w.engine.counters().sessions_lost, 1u);
    EXPECT_EQ(w.engine.counters().resets_ignored, 49u);
    EXPECT_EQ(w.engine.clients().established(), 49u);
    w.engine.start(w.now);
    w.run_for(kSecond);
    w.engine.stop(w.now);
    w.run_for(kSecond);
    EXPECT_GT(w.engine.counters().requests_lost, 10u) << "asked of who is gone";
    EXPECT_EQ(w.engine.counters().answers, w.engine.counters().requests);
}

TEST(EngineTest, WhoNeverAnswersIsGivenUp) {
    EngineOptions o = test_options("connect");
    o.profile.rate = 100;
    World w(o);
    w.wire = [](unsigned port, Buffer& frame) {
        const bool arp = load_be<uint16_t>(&frame[12]) == kEtherTypeArp;
        return arp ? std::optional(port) : std::nullopt;
    };
    w.engine.start(w.now);
    w.run_for(kSecond);
    w.engine.stop(w.now);
    w.run_for(kSecond * 40);
    const GenCounters& c = w.engine.counters();
    EXPECT_EQ(c.timeouts, c.opened);
    EXPECT_EQ(c.sessions_lost, c.opened);
    EXPECT_EQ(w.engine.clients().opening(), 0u);
    EXPECT_EQ(w.engine.detector().outstanding(), 0u);
}

TEST(EngineTest, HangingUpResetsEverySession) {
    EngineOptions o = test_options("established");
    o.profile.sessions = 300;
    World w(o);
    w.engine.start(w.now);
    w.run_for(kSecond);
    w.engine.stop(w.now);
    w.run_for(kSecond);
    while (w.engine.hang_up(w.now)) w.run_for(Duration::milliseconds(1));
    w.run_for(kSecond);
    EXPECT_EQ(w.engine.clients().established(), 0u);
    EXPECT_EQ(w.engine.servers().size(), 0u);
    expect_clean(w.engine);
}

TEST(EngineTest, NoiseIsCountedAndEndsNothing) {
    EngineOptions o = test_options("verify");
    World w(o);
    Random dice(11);
    w.engine.start(w.now);
    w.record = true;
    w.run_for(kSecond);
    const auto frames = std::move(w.sent);
    w.sent.clear();
    w.record = false;
    for (int i = 0; i < 20'000; ++i) {
        Buffer noise = frames[dice.below(frames.size())];
        for (int n = 0; n < 4; ++n)
            noise[dice.below(noise.size())] = static_cast<std::byte>(dice.next());
        if (dice.chance(0.3)) noise.resize(dice.below(noise.size()));
        w.engine.on_frame(0, noise, w.now);
        w.step();
    }
    // Checksums hold off nearly all of it: of 20,000 frames a few come through whose octets were
    // changed by as much up as down, and those are seen.
    EXPECT_LT(w.engine.counters().wrong_octets, 60u);
    EXPECT_EQ(w.engine.counters().sessions_lost, 0u);
    uint64_t dropped = 0;
    for (const DropInfo& d : kDropTable) dropped += w.engine.drops().of(d.reason);
    EXPECT_GT(dropped, 10'000u);
}

}  // namespace
}  // namespace holdfast::gen
