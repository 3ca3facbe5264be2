#include "dataplane/forward/plain.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "dataplane/forward/testing.h"

namespace holdfast::testing {
namespace {

// Two forwarders that are told the same; only one of them knows the short way.
class BothWays {
public:
    explicit BothWays(bool verify) : long_(options(false, verify)), short_(options(true, verify)) {
        TcpOptions offered;
        offered.mss = 1460;
        offered.window_scale = 7;
        for (World* w : {&long_, &short_}) {
            auto& c = w == &long_ ? long_connections_ : short_connections_;
            for (const char* from : {"203.0.113.7:4000", "203.0.113.8:4001"})
                c.push_back({*w, from, "192.0.2.80:80"});
            for (const char* from : {"[2001:db8:9::7]:4000", "[2001:db8:9::8]:4001"})
                c.push_back({*w, from, "[2001:db8:1::80]:80"});
            for (Connection& each : c) each.establish(offered);
        }
    }
    const std::vector<Connection>& connections() const { return long_connections_; }

    void hand(Bytes frame, Side in, bool prefetch) {
        Received a(frame, in), b(frame, in);
        if (prefetch) short_.f.prefetch({&b.frame(), 1});
        const Step x = long_.f.on_frame(a.frame(), long_.now, long_.outlet);
        const Step y = short_.f.on_frame(b.frame(), short_.now, short_.outlet);
        ASSERT_EQ(x.verdict, y.verdict);
        ASSERT_EQ(x.out, y.out);
        ASSERT_EQ(x.reason, y.reason);
        ASSERT_EQ(x.direction, y.direction);
        ASSERT_EQ(x.group, y.group);
        ASSERT_EQ(std::tie(x.created, x.header_changed, x.closed, x.ends, x.session, x.key),
                  std::tie(y.created, y.header_changed, y.closed, y.ends, y.session, y.key));
        ASSERT_TRUE(std::ranges::equal(a.bytes(), b.bytes()));
        passed += x.verdict == Step::Verdict::transmit;
        compare_sessions();
    }
    void advance(Duration d) {
        long_.advance(d);
        short_.advance(d);
    }
    void compare_counters() {
        for (const auto& c : kForwardCounters)
            EXPECT_EQ(long_.f.counters().*c.member, short_.f.counters().*c.member) << c.name;
        EXPECT_EQ(long_.f.drops().dropped, short_.f.drops().dropped);
        EXPECT_EQ(long_.f.dirty(), short_.f.dirty());
    }
    unsigned passed = 0;

private:
    static ForwardOptions options(bool plain_path, bool verify) {
        ForwardOptions o = small_options();
        o.plain_path = plain_path;
        o.verify_checksums = verify;
        o.dirty_limit = 3;
        return o;
    }
    void compare_sessions() {
        const SessionTable& a = long_.f.sessions();
        const SessionTable& b = short_.f.sessions();
        ASSERT_EQ(a.size(), b.size());
        for (SessionIndex i = a.next(0); i; i = a.next(i.slot + 1))
            ASSERT_EQ(std::memcmp(a.get(i), b.get(i), sizeof(Session)), 0);
    }

    World long_, short_;
    std::vector<Connection> long_connections_, short_connections_;
};

// Mostly what honest ends send; now and then anything.
Seg random_segment(Random& random, const Connection& c, bool from_client) {
    constexpr uint8_t kFlags[] = {tcp_flag::syn, tcp_flag::fin | tcp_flag::ack, tcp_flag::rst,
                                  tcp_flag::psh, tcp_flag::syn | tcp_flag::ack, 0};
    Seg s{from_client ? c.client : c.backend, from_client ? c.vip : c.pool};
    s.flags = random.chance(0.005) ? kFlags[random.below(std::size(kFlags))]
                                   : static_cast<uint8_t>(tcp_flag::ack | random.below(2) * 8);
    const auto near = [&] {
        const uint64_t range = random.chance(0.1) ? 1u << 31 : 3000;
        return static_cast<uint32_t>(random.below(range)) - static_cast<uint32_t>(range / 3);
    };
    s.seq = (from_client ? c.c0 : c.b0) + near();
    s.ack = (from_client ? c.b0 : c.c0) + near();
    s.payload = std::string(random.below(64), 'x');
    s.window = static_cast<uint16_t>(random.below(65536));
    if (random.chance(0.1)) s.options.timestamps = {7, 8};
    if (random.chance(0.05)) s.ttl = static_cast<uint8_t>(random.below(3));
    if (random.chance(0.1)) s.vlan = static_cast<uint16_t>(random.below(3));
    s.source_mac = from_client ? kClientMac : backend_mac(static_cast<int>(random.below(4)));
    s.destination_mac = random.chance(0.01) ? kBroadcastMac : kVirtualMac;
    return s;
}

void damage(Random& random, Buffer& frame) {
    if (random.chance(0.5))
        frame[random.below(frame.size())] ^= static_cast<std::byte>(1 + random.below(255));
    if (random.chance(0.2)) frame.resize(random.below(frame.size()));
    if (random.chance(0.2)) frame.resize(frame.size() + random.below(20));
}

TEST(PlainPath, DoesWhatTheLongWayDoes) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
        Random random(seed);
        BothWays both(seed % 2 == 0);
        for (int n = 0; n < 2000 && !::testing::Test::HasFatalFailure(); ++n) {
            const auto& all = both.connections();
            const Connection& c = all[random.below(all.size())];
            const bool from_client = random.chance(0.5);
            Buffer frame = frame_of(random_segment(random, c, from_client));
            if (random.chance(0.1)) damage(random, frame);
            SCOPED_TRACE(::testing::Message() << "seed " << seed << ", frame " << n);
            both.hand(frame, from_client ? Side::front : Side::back, random.chance(0.5));
            if (random.chance(0.01)) both.advance(Duration::milliseconds(1));
        }
        both.compare_counters();
        EXPECT_GT(both.passed, 500u) << "or nothing was compared";
    }
}

// A hint is where a session was a moment ago; it may be another's by now, or nobody's.
TEST(PlainPath, DoesNotBelieveAHint) {
    World w;
    Connection a(w, "203.0.113.7:4000", "192.0.2.80:80"), b(w, "203.0.113.8:4000", "192.0.2.80:80");
    a.establish();
    b.establish();
    const auto segment = [](const Connection& c) {
        return frame_of({c.client,
                         c.vip,
                         tcp_flag::ack,
                         c.c0,
                         c.b0,
                         "x",
                         65535,
                         {},
                         64,
                         kClientMac,
                         kVirtualMac});
    };
    Received of_a(segment(a)), of_b(segment(b));
    w.f.prefetch({&of_a.frame(), 1});
    Step s = w.f.on_frame(of_b.frame(), w.now, w.outlet);
    EXPECT_EQ(s.session, b.index());
    w.f.prefetch({&of_a.frame(), 1});
    w.f.drop(a.index(), w.now);
    s = w.f.on_frame(of_a.frame(), w.now, w.outlet);
    EXPECT_EQ(s.verdict, Step::Verdict::unknown);
}

}  // namespace
}  // namespace holdfast::testing
