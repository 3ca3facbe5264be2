// What begins and ends connections without an endpoint: initial numbers, cookies, TIME-WAIT.
#include <gtest/gtest.h>

#include "dataplane/tcp/syn_cookie.h"
#include "dataplane/tcp/testing.h"
#include "dataplane/tcp/time_wait.h"

namespace holdfast {
namespace {

using testing::endpoint;
using testing::TcpWorld;

SipKey key_of(uint8_t first) {
    SipKey key;
    for (size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::byte>(first + i);
    return key;
}
const TcpTuple kTuple{endpoint("198.51.100.1:80"), endpoint("192.0.2.1:40000")};

TEST(SipHash, ReferenceVectors) {
    // The vectors of the reference implementation: key 00..0f, messages 00, 00 01, ...
    std::array<std::byte, 15> message;
    for (size_t i = 0; i < message.size(); ++i) message[i] = static_cast<std::byte>(i);
    EXPECT_EQ(siphash(key_of(0), {}), 0x726fdb47dd0e0e31u);
    EXPECT_EQ(siphash(key_of(0), Bytes(message).first(1)), 0x74f839c593dc67fdu);
    EXPECT_EQ(siphash(key_of(0), Bytes(message).first(8)), 0x93f5f5799a932462u);
    EXPECT_EQ(siphash(key_of(0), message), 0xa129ca6149be45e5u);
}

TEST(InitialSequence, FollowsTheClockAndTheSecret) {
    const auto at = [](const SipKey& k, int64_t us) {
        return initial_sequence(k, kTuple, Duration::microseconds(us));
    };
    EXPECT_EQ(at(key_of(0), 4'000'000) - at(key_of(0), 0), 1'000'000);
    EXPECT_NE(at(key_of(0), 0), at(key_of(1), 0));
    TcpTuple other = kTuple;
    ++other.remote.port;
    EXPECT_NE(initial_sequence(key_of(0), other, {}), at(key_of(0), 0));
    // Nodes whose clocks began at different moments say the same timestamp.
    const Duration wall = Duration::seconds(1'000'000);
    const Instant here{5'000'000'000}, there{77'000'000'000};
    EXPECT_EQ(timestamp_offset(key_of(0), kTuple, here, wall) + timestamp_ms(here),
              timestamp_offset(key_of(0), kTuple, there, wall) + timestamp_ms(there));
}

TEST(SynCookie, ProvesItselfForAMinuteOrTwo) {
    const CookieKeys keys{key_of(1), key_of(2)};
    const Duration wall = Duration::seconds(1'000'000);
    for (const auto& [mss, kept] : {std::pair<uint16_t, uint16_t>{1460, 1460},
                                    {1459, 1440},
                                    {536, 536},
                                    {9000, 8960},
                                    {100, 216}}) {
        const SeqNum cookie = make_cookie(keys.current, kTuple, {77}, mss, wall);
        EXPECT_EQ(check_cookie(keys, kTuple, {77}, cookie, wall), kept);
        EXPECT_EQ(check_cookie(keys, kTuple, {77}, cookie, wall + Duration::seconds(64)), kept);
        EXPECT_FALSE(check_cookie(keys, kTuple, {77}, cookie, wall + Duration::seconds(129)));
        EXPECT_FALSE(check_cookie(keys, kTuple, {78}, cookie, wall));
        EXPECT_FALSE(check_cookie({key_of(3), key_of(4)}, kTuple, {77}, cookie, wall));
    }
    const SeqNum old = make_cookie(keys.previous, kTuple, {77}, 1460, wall);
    EXPECT_TRUE(check_cookie(keys, kTuple, {77}, old, wall));
    Random random(1);
    int guessed = 0;
    for (int i = 0; i < 100'000; ++i)
        guessed += check_cookie(keys, kTuple, {77}, {static_cast<uint32_t>(random.next())}, wall)
                       .has_value();
    EXPECT_EQ(guessed, 0);
}

// The listener keeps nothing; the ACK alone makes the endpoint, with every option.
TEST(SynCookie, ConnectionFromACookie) {
    for (const bool timestamps : {true, false}) {
        TcpConfig config;
        config.timestamps = timestamps;
        config.ecn = true;
        TcpWorld w(config);
        w.b_listens = false;
        const CookieKeys keys{key_of(1), key_of(2)};
        const Duration wall = Duration::seconds(1'000'000);
        std::optional<TcpSegment> syn;
        TcpOptions syn_options;
        w.filter = [&](const testing::TcpSide& from, const TcpSegment& s, Bytes) {
            if (&from == &w.a && !syn) syn = s;
            return false;
        };
        w.connect();
        ASSERT_TRUE(syn);
        syn_options.mss = config.mss;
        syn_options.window_scale = config.window_scale();
        syn_options.sack_permitted = true;
        if (timestamps) syn_options.timestamps = {1234, 0};
        const uint32_t clock = timestamp_ms(w.now) + 99;
        const CookieAnswer answer =
            answer_with_cookie(config, keys, kTuple, *syn, syn_options, clock, wall);
        EXPECT_EQ(answer.options.sack_permitted, timestamps);
        std::optional<TcpSegment> ack;
        TcpOptions ack_options;
        w.filter = [&](const testing::TcpSide& from, const TcpSegment& s, Bytes) {
            if (&from == &w.a && !ack) {
                ack = s;
                return false;
            }
            return ack.has_value();
        };
        w.a.end->on_segment({answer.segment, answer.options, {}}, w.now, w.a);
        w.a.end->flush(w.now, w.a);
        ASSERT_TRUE(ack);
        if (timestamps) ack_options.timestamps = {1234, answer.options.timestamps->value};
        const auto cookie = open_cookie(config, keys, kTuple, *ack, ack_options, wall);
        ASSERT_TRUE(cookie);
        EXPECT_EQ(cookie->sack, timestamps);
        EXPECT_EQ(cookie->window_scale.has_value(), timestamps);
        w.b.end->accept_cookie({*ack, ack_options, {}}, *cookie, {ack->ack - 1, 99}, w.now, w.b);
        EXPECT_EQ(w.b.end->state().state, TcpState::established);
        EXPECT_EQ(w.b.end->state().rcv_wscale, w.a.end->state().snd_wscale);
        EXPECT_EQ(w.b.end->state().snd_wscale, w.a.end->state().rcv_wscale);
        w.a.to_say = w.b.to_say = 10'000;
        w.settle(w.a);
        w.settle(w.b);
        w.run_for(Duration::seconds(5));
        EXPECT_EQ(w.a.heard, w.b.to_say);
        EXPECT_EQ(w.b.heard, w.a.to_say);
    }
}

TimeWait waiting(bool timestamps) {
    TimeWait t;
    t.snd_nxt = {1000};
    t.rcv_nxt = {5000};
    t.ts_recent = 70;
    t.timestamps = timestamps;
    t.expires = {60};
    return t;
}

TEST(TimeWait, AnswersAndReopens) {
    using enum TimeWait::Verdict;
    const Duration wait = Duration::seconds(60);
    TcpSegment s;
    TcpOptions o;
    TimeWait t = waiting(false);
    s.flags = tcp_flag::rst;
    EXPECT_EQ(t.on_segment(s, o, wait, {0}), nothing);
    s.flags = tcp_flag::syn;
    s.seq = {5001};
    EXPECT_EQ(t.on_segment(s, o, wait, {0}), reopen);
    s.seq = {4999};
    EXPECT_EQ(t.on_segment(s, o, wait, {0}), acknowledge);
    s.flags = tcp_flag::fin | tcp_flag::ack;
    EXPECT_EQ(t.on_segment(s, o, wait, {100}), acknowledge);
    EXPECT_EQ(t.expires, Instant{100} + wait);
    s.flags = tcp_flag::ack;
    s.seq = {5000};
    EXPECT_EQ(t.on_segment(s, o, wait, {0}), nothing);

    t = waiting(true);
    s.flags = tcp_flag::syn;
    s.seq = {4000};
    o.timestamps = {71, 0};
    EXPECT_EQ(t.on_segment(s, o, wait, {0}), reopen);
    o.timestamps = {69, 0};
    s.seq = {6000};
    EXPECT_EQ(t.on_segment(s, o, wait, {0}), acknowledge);
    EXPECT_GT(t.next_iss({900}), t.snd_nxt);
}

TEST(TimeWait, TheTableForgetsTheOldestFirst) {
    TimeWaitTable table(3, key_of(0));
    const auto tuple = [](uint16_t port) {
        TcpTuple t = kTuple;
        t.remote.port = port;
        return t;
    };
    for (uint16_t p = 1; p <= 5; ++p) {
        TimeWait t = waiting(false);
        t.expires = {p};
        table.insert(tuple(p), t);
    }
    EXPECT_EQ(table.size(), 3u);
    EXPECT_EQ(table.evicted(), 2u);
    EXPECT_EQ(table.find(tuple(2)), nullptr);
    ASSERT_NE(table.find(tuple(3)), nullptr);
    EXPECT_EQ(table.next_deadline(), Instant{3});
    table.erase(tuple(4));
    table.expire({3});
    EXPECT_EQ(table.size(), 1u);
    EXPECT_EQ(table.next_deadline(), Instant{5});
    table.expire({5});
    EXPECT_EQ(table.size(), 0u);
    EXPECT_EQ(table.next_deadline(), Instant::max());
}

}  // namespace
}  // namespace holdfast
