// What bounds relayed sessions: how long they may be silent, and how many may be half open.
#include <gtest/gtest.h>

#include "dataplane/relay/testing.h"

namespace holdfast {
namespace {

using namespace holdfast::testing;

class RelayLimitsTest : public ::testing::Test {
protected:
    RelayWorld& start(const RelayWorldOptions& options = {}) {
        w = std::make_unique<RelayWorld>(options);
        return *w;
    }
    const RelayCounters& counters() const { return w->node->relay.counters(); }

    std::unique_ptr<RelayWorld> w;
};

// Nothing is heard for as long as the service allows: both ends are told.
TEST_F(RelayLimitsTest, AnIdleSessionEndsByResets) {
    start();
    w->exchange(100, 100, false, false);
    w->run_until([&] { return w->heard_all(); });
    w->run_for(w->service().idle.established - Duration::seconds(10));
    EXPECT_FALSE(w->client->was_reset());
    w->run_for(Duration::seconds(20));
    EXPECT_TRUE(w->client->was_reset() && w->server->was_reset());
    EXPECT_EQ(w->node->forwarder.counters().sessions_idle, 1u);
    EXPECT_EQ(w->node->relay.sessions(), 0u);
}

// ---- More half-open sessions than there is room for

struct Flooded : RelayWorldOptions {
    Flooded() { embryonic_limit = 8; }
};

// Who floods gets its share of half-open sessions and cookies for the rest; a client that answers
// its cookie has a session at once, whatever it negotiated, and nobody's is taken for it.
TEST_F(RelayLimitsTest, AClientConnectsThroughAFlood) {
    for (const bool timestamps : {true, false}) {
        Flooded o;
        o.peers.timestamps = timestamps;
        start(o);
        w->exchange(200'000, 200'000);
        w->run_until([&] { return w->server && w->server->heard > 0; });
        w->flood(100);  // does not harm who was there
        w->run_until([&] { return w->at_peace(); });
        EXPECT_TRUE(w->at_peace() && w->heard_all()) << w->describe();
        EXPECT_EQ(counters().cookies_sent, 92u);

        start(o);
        w->flood(100);
        w->exchange(200'000, 200'000);
        w->run_until([&] {
            w->flood(1);
            return w->at_peace();
        });
        EXPECT_TRUE(w->at_peace() && w->heard_all()) << w->describe();
        EXPECT_EQ(counters().cookies_accepted, 1u);
        EXPECT_EQ(w->node->forwarder.counters().sessions_evicted, 0u);
        EXPECT_EQ(w->node->forwarder.sessions().embryonic(), 8u);
        // The session was held before the backend heard of it, and nothing else waited.
        EXPECT_EQ(w->sent(Reveals::backend).size(), 1u);
    }
}

TEST_F(RelayLimitsTest, WhoGuessesACookieGetsNothing) {
    start(Flooded());
    w->flood(100);
    for (uint32_t guess = 0; guess < 10'000; ++guess) {
        Seg s{w->client->self, w->client->other, tcp_flag::ack, 5001, guess * 429'497};
        s.source_mac = w->client->mac;
        s.destination_mac = w->client->next_hop;
        w->node->on_frame(frame_of(s), Side::front);
    }
    EXPECT_EQ(counters().cookies_refused, 10'000u);
    EXPECT_EQ(counters().cookies_accepted, 0u);
    EXPECT_EQ(w->node->relay.sessions(), 8u);
}

}  // namespace
}  // namespace holdfast
