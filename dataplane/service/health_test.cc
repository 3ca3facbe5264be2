#include "dataplane/service/health.h"

#include <gtest/gtest.h>

#include "dataplane/wire/testing.h"

namespace holdfast {
namespace {

using namespace holdfast::testing;

struct Probe {
    Endpoint from, to;
    TcpSegment segment;
};

class Health : public ::testing::Test, protected ProbeOutput {
protected:
    void send_probe(const Endpoint& from, const Endpoint& to, const TcpSegment& s) override {
        probes.push_back({from, to, s});
    }
    static HealthOptions options() {
        HealthOptions o;
        o.own_v4 = ip("198.51.100.2");
        return o;
    }
    // Runs until the next probe has left.
    Probe next() {
        const size_t before = probes.size();
        while (probes.size() == before) {
            now = h.next_deadline();
            h.on_deadline(now, *this);
        }
        return probes.back();
    }
    void answer(const Probe& p, uint8_t flags, uint32_t ack_offset = 1) {
        TcpSegment s;
        s.flags = flags;
        s.seq = {77};
        s.ack = p.segment.seq + ack_offset;
        h.on_segment({p.to, p.from}, s, now, *this);
    }
    static constexpr uint8_t kSynAck = tcp_flag::syn | tcp_flag::ack,
                             kRstAck = tcp_flag::rst | tcp_flag::ack;

    Instant now{5'000'000'000};
    std::vector<Probe> probes;
    HealthChecker h{options(), {{0, 3, endpoint("198.51.100.10:80"), {}}}, now};
};

TEST_F(Health, ASynAckIsASuccessAndIsCleared) {
    const Probe p = next();
    EXPECT_EQ(p.from.address, ip("198.51.100.2"));
    EXPECT_EQ(p.segment.flags, tcp_flag::syn);
    answer(p, kSynAck);
    ASSERT_EQ(probes.size(), 2u);
    EXPECT_EQ(probes[1].segment.flags, tcp_flag::rst);
    EXPECT_EQ(probes[1].segment.seq, p.segment.seq + 1);
    EXPECT_EQ(h.counters().successes, 1u);
    EXPECT_TRUE(h.up(0, 3));
    EXPECT_FALSE(h.take_changed());
}

TEST_F(Health, FallAndRise) {
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(h.up(0, 3));
        answer(next(), kRstAck);
    }
    EXPECT_FALSE(h.up(0, 3));
    EXPECT_TRUE(h.take_changed());
    EXPECT_FALSE(h.take_changed());
    answer(next(), kSynAck);
    EXPECT_FALSE(h.up(0, 3));
    answer(next(), kSynAck);
    EXPECT_TRUE(h.up(0, 3));
    EXPECT_TRUE(h.take_changed());
    EXPECT_EQ(h.counters().refused, 3u);
}

TEST_F(Health, SilenceIsAFailureAndOneSuccessForgivesTwo) {
    next();
    next();
    answer(next(), kSynAck);
    EXPECT_EQ(h.counters().timeouts, 2u);
    next();
    next();
    EXPECT_TRUE(h.up(0, 3));
    next();
    next();  // the third timeout came before this one left
    EXPECT_FALSE(h.up(0, 3));
}

TEST_F(Health, ProbesKeepTheirInterval) {
    next();
    const Instant first = now;
    answer(probes.back(), kSynAck);
    next();
    EXPECT_EQ(now - first, Duration::seconds(2));
}

TEST_F(Health, ForgedAnswersChangeNothing) {
    const Probe p = next();
    answer(p, kSynAck, 2);
    answer(p, tcp_flag::rst);
    TcpSegment s;
    s.flags = kSynAck;
    s.ack = p.segment.seq + 1;
    h.on_segment({endpoint("198.51.100.10:81"), p.from}, s, now, *this);
    EXPECT_EQ(h.counters().successes, 0u);
    EXPECT_EQ(h.counters().refused, 0u);
    EXPECT_EQ(probes.size(), 1u);
}

TEST_F(Health, WithoutAnAddressOfTheFamilyThereIsNoProbe) {
    HealthChecker v6(options(), {{0, 0, endpoint("[2001:db8:2::10]:80"), {}}}, now);
    EXPECT_EQ(v6.next_deadline(), Instant::max());
    EXPECT_TRUE(v6.up(0, 0));
}

}  // namespace
}  // namespace holdfast
