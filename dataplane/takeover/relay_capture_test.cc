#include "dataplane/takeover/relay_capture.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace holdfast {
namespace {

constexpr Instant kShared{Duration::seconds(1'700'000'000).ns};
using Buffer = std::vector<std::byte>;

// What travels, at random; the rest as a restored block has it.
Tcb random_tcb(Random& r) {
    Tcb t;
    t.state = static_cast<TcpState>(r.below(kTcpStates));
    t.snd_wscale = static_cast<uint8_t>(r.below(15));
    t.rcv_wscale = static_cast<uint8_t>(r.below(15));
    for (const uint32_t flag :
         {Tcb::timestamps, Tcb::sack, Tcb::ecn, Tcb::passive, Tcb::ts_recent_valid, Tcb::rtt_valid,
          Tcb::fin_queued, Tcb::fin_received, Tcb::peer_closed_told})
        if (r.chance(0.5)) t.set(flag);
    for (SeqNum* s : {&t.iss, &t.irs, &t.snd_una, &t.snd_wl1, &t.snd_wl2, &t.fin_seq, &t.rcv_nxt,
                      &t.last_ack_sent, &t.rcv_offered})
        s->value = static_cast<uint32_t>(r.next());
    t.snd_nxt = t.snd_una;
    t.snd_max = t.snd_una + static_cast<uint32_t>(r.below(1 << 20));
    t.rcv_edge = t.rcv_offered;
    t.snd_wnd = static_cast<uint32_t>(r.next());
    t.snd_max_wnd = static_cast<uint32_t>(r.next());
    t.peer_mss = static_cast<uint16_t>(r.next());
    t.mss = static_cast<uint16_t>(r.next() | 1);
    t.ts_offset = static_cast<uint32_t>(r.next());
    t.ts_recent = static_cast<uint32_t>(r.next());
    t.ts_recent_at = Instant{-static_cast<int64_t>(r.below(1u << 30)) * 1000};
    t.srtt_us = static_cast<uint32_t>(r.next());
    t.rttvar_us = static_cast<uint32_t>(r.next());
    t.rto_us = static_cast<uint32_t>(r.next());
    t.min_rtt_us = static_cast<uint32_t>(r.next());
    t.cwnd = static_cast<uint32_t>(r.next());
    t.ssthresh = static_cast<uint32_t>(r.next());
    return t;
}

RelayState random_state(Random& r) {
    RelayState s;
    s.stage = static_cast<RelayStage>(r.below(kRelayStages));
    s.client = random_tcb(r);
    s.backend = random_tcb(r);
    s.preface = {static_cast<uint16_t>(r.below(kMaxProxyHeader + 1)), r.chance(0.5)};
    s.age = Duration::milliseconds(static_cast<int64_t>(r.below(1u << 30)));
    return s;
}

Buffer written(const RelayState& s, Instant at) {
    Buffer b(kRelayStateSize);
    b.resize(write_relay_state(s, at, b));
    return b;
}

void expect_same(const Tcb& a, const Tcb& b) {
    EXPECT_EQ(a.state, b.state);
    EXPECT_EQ(a.snd_wscale, b.snd_wscale);
    EXPECT_EQ(a.rcv_wscale, b.rcv_wscale);
    EXPECT_EQ(a.flags, b.flags);
    EXPECT_EQ(a.iss, b.iss);
    EXPECT_EQ(a.irs, b.irs);
    EXPECT_EQ(a.snd_una, b.snd_una);
    EXPECT_EQ(a.snd_nxt, b.snd_nxt);
    EXPECT_EQ(a.snd_max, b.snd_max);
    EXPECT_EQ(a.snd_wl1, b.snd_wl1);
    EXPECT_EQ(a.snd_wl2, b.snd_wl2);
    EXPECT_EQ(a.fin_seq, b.fin_seq);
    EXPECT_EQ(a.rcv_nxt, b.rcv_nxt);
    EXPECT_EQ(a.last_ack_sent, b.last_ack_sent);
    EXPECT_EQ(a.rcv_offered, b.rcv_offered);
    EXPECT_EQ(a.rcv_edge, b.rcv_edge);
    EXPECT_EQ(a.snd_wnd, b.snd_wnd);
    EXPECT_EQ(a.snd_max_wnd, b.snd_max_wnd);
    EXPECT_EQ(a.peer_mss, b.peer_mss);
    EXPECT_EQ(a.mss, b.mss);
    EXPECT_EQ(a.ts_offset, b.ts_offset);
    EXPECT_EQ(a.ts_recent, b.ts_recent);
    EXPECT_EQ(a.ts_recent_at.ns, b.ts_recent_at.ns);
    EXPECT_EQ(a.srtt_us, b.srtt_us);
    EXPECT_EQ(a.rttvar_us, b.rttvar_us);
    EXPECT_EQ(a.rto_us, b.rto_us);
    EXPECT_EQ(a.min_rtt_us, b.min_rtt_us);
    EXPECT_EQ(a.cwnd, b.cwnd);
    EXPECT_EQ(a.ssthresh, b.ssthresh);
}

TEST(RelayCapture, WhatIsWrittenIsRead) {
    Random r(1);
    for (int i = 0; i < 2000 && !HasFailure(); ++i) {
        const RelayState s = random_state(r);
        const Buffer b = written(s, kShared);
        EXPECT_LE(b.size(), kRelayStateSize);
        const auto back = read_relay_state(b, kShared);
        ASSERT_TRUE(back.has_value());
        EXPECT_EQ(back->stage, s.stage);
        EXPECT_EQ(back->age, s.age);
        EXPECT_EQ(back->preface.size, s.preface.size);
        EXPECT_EQ(back->preface.acknowledged, s.preface.acknowledged);
        expect_same(back->client, s.client);
        expect_same(back->backend, s.backend);
    }
}

// TSval counts on as if the one who wrote it had gone on counting, whoever reads it and when; and
// the peer's timestamp is as old as it is.
TEST(RelayCapture, TimesDoNotDependOnWhoseClockReadsThem) {
    Random r(2);
    for (int i = 0; i < 200 && !HasFailure(); ++i) {
        const RelayState s = random_state(r);
        const Instant at =
            kShared + Duration::microseconds(static_cast<int64_t>(r.below(1u << 30)));
        const Duration later = Duration::milliseconds(static_cast<int64_t>(r.below(1u << 22)));
        const auto back = read_relay_state(written(s, at), at + later);
        ASSERT_TRUE(back.has_value());
        const uint32_t passed = timestamp_ms(at + later) - timestamp_ms(at);
        EXPECT_EQ(back->client.ts_offset, s.client.ts_offset + passed);
        EXPECT_EQ(back->backend.ts_offset, s.backend.ts_offset + passed);
        EXPECT_EQ(back->client.ts_recent_at.ns, (s.client.ts_recent_at - later).ns);
    }
}

// Read by a clock that is behind: nothing comes out of the future.
TEST(RelayCapture, NothingIsFromTheFuture) {
    RelayState s;
    s.client.mss = s.backend.mss = 1460;
    s.client.ts_recent_at = s.backend.ts_recent_at = Instant{0};
    const auto back = read_relay_state(written(s, kShared), kShared - Duration::seconds(5));
    ASSERT_TRUE(back.has_value());
    EXPECT_LE(back->client.ts_recent_at.ns, 0);
    EXPECT_LE(back->backend.ts_recent_at.ns, 0);
}

TEST(RelayCapture, EveryTruncationIsRefused) {
    Random r(3);
    const Buffer b = written(random_state(r), kShared);
    for (size_t n = 0; n < b.size(); ++n)
        EXPECT_FALSE(read_relay_state(Bytes(b).first(n), kShared).has_value()) << n;
    Buffer longer = b;
    longer.push_back({});
    EXPECT_FALSE(read_relay_state(longer, kShared).has_value());
}

// Whatever a byte becomes: refused, or a state that can be written, read and within its bounds.
TEST(RelayCapture, EveryByteChanged) {
    Random r(4);
    const Buffer b = written(random_state(r), kShared);
    for (size_t at = 0; at < b.size(); ++at)
        for (unsigned bits = 1; bits < 256; ++bits) {
            Buffer c = b;
            c[at] ^= static_cast<std::byte>(bits);
            const auto s = read_relay_state(c, kShared);
            if (!s) continue;
            EXPECT_LT(static_cast<unsigned>(s->stage), kRelayStages);
            for (const Tcb* t : {&s->client, &s->backend}) {
                EXPECT_LT(static_cast<unsigned>(t->state), kTcpStates);
                EXPECT_LE(t->snd_wscale, 14);
                EXPECT_LE(t->rcv_wscale, 14);
                EXPECT_LE(t->snd_una, t->snd_max);
                EXPECT_GT(t->mss, 0);
                EXPECT_LE(t->ts_recent_at.ns, 0);
            }
            EXPECT_EQ(written(*s, kShared).size(), b.size());
        }
}

TEST(RelayCapture, NoiseIsRefusedOrSound) {
    Random r(5);
    const size_t size = written(random_state(r), kShared).size();
    for (int i = 0; i < 20'000; ++i) {
        Buffer b(size);
        for (std::byte& x : b) x = static_cast<std::byte>(r.next());
        b[0] = std::byte{2};
        b[1] = static_cast<std::byte>(r.below(kRelayStages));
        const auto s = read_relay_state(b, kShared);
        EXPECT_TRUE(!s || s->client.snd_una <= s->client.snd_max);
    }
}

}  // namespace
}  // namespace holdfast
