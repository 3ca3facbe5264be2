// An endpoint that is restored goes on: exactly as if nothing had happened where its queues come
// along, and byte for byte where only the record does.
#include <gtest/gtest.h>

#include <map>

#include "dataplane/tcp/testing.h"

namespace holdfast {
namespace {

using testing::TcpSide;
using testing::TcpWorld;
using testing::WireFaults;

WireFaults faults_for(Random& random) {
    WireFaults f;
    f.loss = random.chance(0.3) ? 0 : 0.05;
    f.duplicate = 0.05;
    f.delay = Duration::milliseconds(1 + static_cast<int64_t>(random.below(30)));
    f.jitter = Duration::milliseconds(static_cast<int64_t>(random.below(10)));
    return f;
}

TcpConfig config_for(Random& random) {
    TcpConfig c;
    c.sack = random.chance(0.7);
    c.timestamps = random.chance(0.8);
    c.receive_buffer = random.chance(0.3) ? 3000 : 256 * 1024;
    c.send_buffer = 64 * 1024;
    c.user_timeout = c.connect_timeout = {};
    c.time_wait = Duration::seconds(5);
    return c;
}

void prepare(TcpWorld& w, Random& random) {
    w.a.to_say = random.below(100'000);
    w.b.to_say = random.below(100'000);
    w.a.then_close = w.b.then_close = true;
}

bool finished(const TcpWorld& w) {
    return w.a.end->state().state == TcpState::closed && w.b.end->state().state == TcpState::closed;
}

TEST(Restore, WithItsQueuesIsAsIfNothingHadHappened) {
    for (uint64_t seed = 0; seed < 60; ++seed) {
        std::vector<std::string> traces[2];
        for (const bool replaced : {false, true}) {
            Random random(seed);
            const TcpConfig config = config_for(random);
            TcpWorld w(config, faults_for(random), seed);
            prepare(w, random);
            auto& trace = traces[replaced];
            w.filter = [&](const TcpSide& from, const TcpSegment& s, Bytes payload) {
                trace.push_back(std::string(from.name) + " " + std::to_string(w.now.ns) + " " +
                                std::to_string(s.seq.value) + " " + std::to_string(s.ack.value) +
                                " " + std::to_string(s.flags) + " " + std::to_string(s.window) +
                                " " + std::to_string(payload.size()));
                return true;
            };
            w.connect();
            const Instant limit = w.now + Duration::seconds(100'000);
            while (!finished(w) && !HasFailure() && w.step(limit)) {
                if (!replaced) continue;
                w.replace(w.a);
                w.replace(w.b);
            }
            EXPECT_TRUE(finished(w)) << w.a.describe() << "\n" << w.b.describe();
        }
        ASSERT_EQ(traces[0], traces[1]) << "seed " << seed;
    }
}

// The other node's clock is elsewhere; timestamps, acknowledgements and the right edge go on as the
// peer saw them last (TcpSide looks at every packet).
TEST(Restore, FromTheRecordInEveryState) {
    std::map<TcpState, int> states;
    for (uint64_t seed = 0; seed < 400; ++seed) {
        Random random(seed);
        const TcpConfig config = config_for(random);
        TcpWorld w(config, faults_for(random), seed);
        prepare(w, random);
        w.connect();
        const Instant limit = w.now + Duration::seconds(100'000);
        const double chance = random.chance(0.5) ? 0.01 : 0.2;
        int budget = 60;
        while (!finished(w) && !HasFailure() && w.step(limit)) {
            if (budget == 0 || !random.chance(chance)) continue;
            --budget;
            TcpSide& side = random.chance(0.5) ? w.a : w.b;
            ++states[side.end->state().state];
            w.take_over(side, Duration::microseconds(static_cast<int64_t>(random.below(1u << 31))));
        }
        EXPECT_TRUE(finished(w)) << w.a.describe() << "\n" << w.b.describe();
        EXPECT_EQ(w.a.heard, w.b.to_say);
        EXPECT_EQ(w.b.heard, w.a.to_say);
        EXPECT_EQ(w.pool.used(), 0u);
        if (HasFailure()) {
            ADD_FAILURE() << "seed " << seed;
            break;
        }
    }
    for (uint8_t s = 1; s < kTcpStates; ++s)
        EXPECT_GT(states[static_cast<TcpState>(s)], 3) << to_string(static_cast<TcpState>(s));
}

// The record is older than our FIN, which the peer has: the FIN is neither an octet nor sent where
// none belongs.
TEST(Restore, FromBeforeAFinThatWasAcknowledged) {
    for (const bool peer_closed : {false, true}) {
        SCOPED_TRACE(peer_closed);
        TcpWorld w;
        w.a.to_say = 100;
        w.b.to_say = 50;
        w.b.then_close = peer_closed;
        w.connect();
        const auto said = [&] { return w.b.heard == 100 && w.a.heard == 50; };
        w.run_until([&] { return said() && w.a.end->in_flight() == 0; }, Duration::seconds(5));
        if (peer_closed)
            w.run_until([&] { return w.a.saw(TcpEvent::peer_fin); }, Duration::seconds(5));
        const Tcb before = w.a.end->record(w.now);
        ASSERT_FALSE(before.has(Tcb::fin_queued));
        w.a.then_close = true;
        w.settle(w.a);
        w.run_until([&] { return w.b.saw(TcpEvent::peer_fin); }, Duration::seconds(5));
        w.run_for(Duration::milliseconds(50));

        std::vector<SeqNum> fins;
        w.filter = [&](const TcpSide& from, const TcpSegment& s, Bytes payload) {
            if (&from == &w.a && s.has(tcp_flag::fin))
                fins.push_back(s.seq + static_cast<uint32_t>(payload.size()));
            return true;
        };
        w.a.remake();
        w.a.then_close = false;  // its own peer's end is not here again yet
        w.a.end->restore(before, {.relearn = true}, w.now);
        w.a.end->probe(w.now, w.a);
        w.run_until([&] { return w.a.end->state().snd_una == before.iss + 102; },
                    Duration::seconds(5));
        w.a.then_close = w.b.then_close = true;
        w.settle(w.a);
        w.settle(w.b);
        w.run_until([&] { return finished(w); }, Duration::seconds(300));
        EXPECT_TRUE(finished(w)) << w.a.describe() << "\n" << w.b.describe();
        EXPECT_TRUE(w.a.saw(TcpEvent::fin_acked));
        for (const SeqNum at : fins) EXPECT_EQ(at, before.iss + 101);
        EXPECT_FALSE(w.b.saw(TcpEvent::reset) || w.a.saw(TcpEvent::reset));
    }
}

}  // namespace
}  // namespace holdfast
