// A relay that dies at any moment, and another that carries on from what was published at some
// moment before: what the peers read is whole, nothing is reset, and it comes to its end.
#include <gtest/gtest.h>

#include <cstdlib>
#include <utility>

#include "dataplane/relay/align.h"
#include "dataplane/relay/testing.h"
#include "dataplane/takeover/relay_capture.h"

namespace holdfast {
namespace {

using namespace holdfast::testing;

Buffer write(const RelayState& state, Instant shared_now) {
    Buffer b(kRelayStateSize);
    b.resize(write_relay_state(state, shared_now, b));
    return b;
}
RelayState read(Bytes bytes, Instant shared_now) {
    return read_relay_state(bytes, shared_now).value();
}

struct Options : RelayWorldOptions {
    Options() {
        peers.time_wait = relay.time_wait = Duration::seconds(5);
        write = holdfast::write;
        read = holdfast::read;
    }
};

class RelayTakeoverTest : public ::testing::Test {
protected:
    RelayWorld& start(const RelayWorldOptions& options = Options()) {
        w = std::make_unique<RelayWorld>(options);
        return *w;
    }
    // Another node has what is held, if anything is; sessions nobody knows begin anew.
    void adopt_newest(Duration after = Duration::milliseconds(30)) {
        w->kill();
        w->run_for(after);
        w->headers.empty() ? w->adopt_nothing() : w->adopt_newest();
    }
    bool ended() const { return w->heard_all() && w->at_peace(); }
    void expect_end(Duration limit = Duration::seconds(120)) {
        w->run_until([&] { return ended() || reset(); }, limit);
        EXPECT_TRUE(ended()) << w->describe();
        EXPECT_FALSE(reset()) << w->describe();
    }
    bool reset() const { return w->client->was_reset() || (w->server && w->server->was_reset()); }

    std::unique_ptr<RelayWorld> w;
};

struct Shape {
    uint64_t client_says, server_says;
    bool client_closes_first;
};
constexpr Shape kShapes[] = {
    {3000, 3000, true}, {20'000, 0, true}, {0, 20'000, false}, {100, 40'000, true}, {0, 0, true}};

// The same conversation again and again, killed after its first event, its second, ...
TEST_F(RelayTakeoverTest, AKillAfterEveryEvent) {
    unsigned adopted = 0;
    for (const Shape& shape : kShapes)
        for (unsigned moment = 1; !HasFailure(); ++moment) {
            SCOPED_TRACE(std::to_string(&shape - kShapes) + ", killed after event " +
                         std::to_string(moment));
            start();
            w->exchange(shape.client_says, shape.server_says);
            unsigned events = 0;
            while (events < moment && !ended() && w->step(Instant::max())) ++events;
            if (ended()) break;
            adopted += !w->headers.empty();
            adopt_newest();
            expect_end();
        }
    EXPECT_GT(adopted, 200u);
}

// The same with a header before the client's first octet, in one segment or in several: the
// backend has none of it, a part, or all when the node dies, and reads it once.
TEST_F(RelayTakeoverTest, AKillAfterEveryEventWithAProxyHeader) {
    unsigned parts = 0;
    for (const uint16_t mss : {uint16_t{1460}, uint16_t{48}})
        for (const Shape& shape : {Shape{3000, 3000, true}, Shape{0, 2000, false}})
            for (unsigned moment = 1; !HasFailure(); ++moment) {
                SCOPED_TRACE(std::to_string(mss) + ", " + std::to_string(shape.client_says) +
                             ", killed after event " + std::to_string(moment));
                Options o;
                o.proxy_protocol = ProxyProtocol::v2;
                start(o);
                w->server_mss = mss;
                w->exchange(shape.client_says, shape.server_says);
                unsigned events = 0;
                while (events < moment && !ended() && w->step(Instant::max())) ++events;
                if (ended()) break;
                const size_t came = w->server ? w->server->preface.size() : 0;
                parts += came > 0 && came < w->expected_preface().size();
                adopt_newest();
                expect_end();
            }
    EXPECT_GT(parts, 0u);
}

// Sequence numbers come round after 4 GiB: the header does not.
TEST_F(RelayTakeoverTest, AProxyHeaderIsNotSaidAgainAfterAWrap) {
    for (const uint32_t beyond : {0u, 1u, 30u, 62u, 63u, 1000u}) {
        RelayState s;
        s.stage = RelayStage::open;
        s.preface = {63, true};
        s.client.irs = s.backend.iss = {77};
        s.backend.snd_una = s.backend.snd_max = s.backend.iss + 1 + beyond;
        EXPECT_EQ(align(s).client.rcv_nxt, s.client.irs + 1 + beyond - 63);
    }
}

// A session that began with a cookie; the first of its nodes dies before anybody knows of it, or
// after.
TEST_F(RelayTakeoverTest, AKillAfterEveryEventOfASessionBegunByACookie) {
    unsigned unknown = 0, carried = 0;
    for (unsigned moment = 1; !HasFailure(); ++moment) {
        SCOPED_TRACE(moment);
        Options o;
        o.embryonic_limit = 4;
        start(o);
        w->flood(20);
        w->run_for(Duration::milliseconds(10));
        w->headers.clear();
        w->exchange(3000, 3000);
        unsigned events = 0;
        while (events < moment && !ended() && w->step(Instant::max())) ++events;
        if (ended()) break;
        const auto found =
            w->node->forwarder.sessions().find_client(w->client->self, w->client->other);
        (w->headers.empty() ? unknown : carried) += static_cast<bool>(found);
        adopt_newest();
        expect_end();
    }
    EXPECT_GT(unknown, 0u);
    EXPECT_GT(carried, 10u);
}

// A limit of a session's life counts on from where it was.
TEST_F(RelayTakeoverTest, ALifetimeEndsOnAnotherNodeAsItWouldHaveHere) {
    for (const bool dies : {false, true}) {
        SCOPED_TRACE(dies);
        Options o;
        o.max_lifetime = Duration::seconds(100);
        start(o);
        w->exchange(5000, 5000, false, false);
        w->run_for(Duration::seconds(60));
        EXPECT_TRUE(w->heard_all() && !reset());
        if (dies) adopt_newest();
        w->run_for(Duration::seconds(38));
        EXPECT_FALSE(reset());
        w->run_for(Duration::seconds(4));
        EXPECT_TRUE(w->client->was_reset() && w->server->was_reset());
        EXPECT_EQ(w->node->forwarder.counters().sessions_expired, 1u);
        EXPECT_EQ(w->node->relay.sessions(), 0u);
        EXPECT_EQ(w->node->relay.memory().used(), 0u);
    }
}

// And its successor dies as well, after each of its own first events.
TEST_F(RelayTakeoverTest, ASecondKillSoonAfterTheFirst) {
    for (unsigned moment = 8; moment < 80; moment += 5)
        for (unsigned second = 0; second < 40 && !HasFailure(); second += 3) {
            SCOPED_TRACE(std::to_string(moment) + " " + std::to_string(second));
            start();
            w->exchange(20'000, 20'000);
            for (unsigned i = 0; i < moment; ++i) w->step(Instant::max());
            adopt_newest(Duration::milliseconds(5));
            for (unsigned i = 0; i < second; ++i) w->step(Instant::max());
            adopt_newest(Duration::milliseconds(5));
            expect_end();
        }
}

// A segment fragment that is older than the header it is found with takes nothing back.
TEST_F(RelayTakeoverTest, AnOlderSegmentTakesNothingBack) {
    start();
    w->exchange(200'000, 200'000);
    w->filter = [](const Parsed& p, bool from_relay) {
        return from_relay || p.from().port != 8080;
    };
    w->run_until([&] { return w->server != nullptr; });
    w->publish_segment();  // while we connect to a backend that takes its time
    EXPECT_EQ(w->node->state().stage, RelayStage::connecting);
    w->filter = nullptr;
    w->run_until([&] { return w->client->heard > 20'000; });
    w->kill();
    w->run_for(Duration::milliseconds(30));
    w->adopt_newest();
    w->node->update(w->segments[0]);
    w->settle_node();
    expect_end();
}

// Not even where the header tells of a FIN.
TEST_F(RelayTakeoverTest, AnOlderSegmentDoesNotForgetAFin) {
    start();
    w->exchange(5000, 5000, true, false);
    w->run_until([&] { return w->server && w->server->heard == 5000; });
    w->publish_segment();
    w->run_until([&] { return w->client->saw(TcpEvent::fin_acked); });
    ASSERT_TRUE(w->client->saw(TcpEvent::fin_acked));
    w->kill();
    w->run_for(Duration::milliseconds(30));
    w->adopt_newest();
    for (const Snapshot& s : w->segments) w->node->update(s);
    w->settle_node();
    w->run_for(Duration::seconds(1));
    w->server->then_close = true;
    w->server->settle(w->now);
    expect_end();
    w->run_for(Duration::seconds(60));
    EXPECT_EQ(w->node->relay.sessions(), 0u);
}

// A FIN that was passed on, and acknowledged to the node that died only.
TEST_F(RelayTakeoverTest, AFinAcknowledgedToTheDead) {
    for (const bool by_client : {true, false}) {
        SCOPED_TRACE(by_client);
        start();
        w->exchange(5000, 5000, false, false);
        w->run_until([&] { return w->heard_all(); });
        w->run_for(Duration::seconds(1));
        Peer& closer = by_client ? *w->client : *w->server;
        Peer& far = by_client ? *w->server : *w->client;
        w->filter = [&](const Parsed& p, bool) { return p.from() != far.self; };
        closer.then_close = true;
        closer.settle(w->now);
        w->run_until([&] { return far.saw(TcpEvent::peer_fin); });
        w->kill();
        w->run_for(Duration::milliseconds(30));
        w->filter = nullptr;
        w->adopt_newest();
        w->run_for(Duration::seconds(3));
        EXPECT_TRUE(closer.saw(TcpEvent::fin_acked)) << w->describe();
        far.then_close = true;
        far.settle(w->now);
        w->run_until([&] { return w->at_peace(); });
        EXPECT_TRUE(w->at_peace()) << w->describe();
        w->run_for(Duration::seconds(30));
        EXPECT_EQ(w->node->relay.sessions(), 0u);
    }
}

// A reader that reads nothing, across a death; and one that begins to read while nobody is there.
TEST_F(RelayTakeoverTest, ASlowReaderWithAClosedWindow) {
    for (const bool slow_client : {true, false})
        for (const bool reads_meanwhile : {true, false}) {
            SCOPED_TRACE(slow_client * 2 + reads_meanwhile);
            Options o;
            o.peers.receive_buffer = 8000;
            o.relay.receive_buffer = o.relay.send_buffer = 32'000;
            start(o);
            if (slow_client) w->client->capacity = 8000;
            if (!slow_client) w->server_capacity = 8000;
            w->exchange(slow_client ? 0 : 100'000, slow_client ? 100'000 : 0);
            w->run_for(Duration::seconds(10));
            Peer& reader = slow_client ? *w->client : *w->server;
            EXPECT_LE(reader.heard, 8000u);
            w->kill();
            if (reads_meanwhile) reader.read(8000, w->now);
            w->run_for(Duration::milliseconds(200));
            w->adopt_newest();
            w->run_for(Duration::seconds(10));
            for (int i = 0; i < 1000 && !ended() && !HasFailure(); ++i) {
                reader.read(4000, w->now);
                w->run_for(Duration::milliseconds(20));
            }
            expect_end();
        }
}

// Nobody has anything to say, and nothing says so: after a death both ends are still there.
TEST_F(RelayTakeoverTest, AnIdleSessionIsAskedWhereItIs) {
    start();
    w->exchange(5000, 5000, false, false);
    w->run_until([&] { return w->heard_all(); });
    w->run_for(Duration::seconds(100));
    adopt_newest();
    w->run_for(Duration::seconds(100));
    w->client->to_say = 10'000;
    w->client->then_close = true;
    w->client->settle(w->now);
    w->server->then_close = true;
    w->server->settle(w->now);
    expect_end();
}

// What the owner knew when it published may be long ago.
TEST_F(RelayTakeoverTest, ARecordFromTheVeryBeginning) {
    start();
    w->exchange(2'000'000, 2'000'000);
    w->run_until([&] { return w->client->heard > 1'500'000 && w->server->heard > 1'000'000; });
    adopt_newest();  // the header: nothing was published since the backend answered
    EXPECT_LT(w->headers[0].number, 4u);
    expect_end();
}

// And a header is never so old that what the peers say seems to lie behind it.
TEST_F(RelayTakeoverTest, AHeaderFollowsALongStream) {
    Options o;
    o.header_every = 100'000;
    start(o);
    w->exchange(1'000'000, 1'000'000);
    for (uint64_t n = 1; n < 9; ++n) {
        w->run_until([&] { return w->client->heard >= 100'000 * n + 50'000; });
        const RelayState told = read(w->headers.back().relay, w->now);
        const RelayState is = w->node->state();
        EXPECT_LE(is.client.snd_una - told.client.snd_una, 101'000);
        EXPECT_LE(is.backend.snd_una - told.backend.snd_una, 101'000);
    }
    expect_end();
    EXPECT_LE(w->snapshots, 2u + 10 + 10 + 8);
}

// The SYN-ACK of an adopter reveals what perhaps only the adopter knows.
TEST_F(RelayTakeoverTest, AnAdoptersSynAckWaitsToo) {
    start();
    w->exchange(1000, 1000);
    w->run_until([&] { return !w->headers.empty(); });
    w->filter = [](const Parsed&, bool from_relay) { return from_relay; };
    adopt_newest(Duration::milliseconds(1));
    w->run_for(Duration::milliseconds(5));
    w->filter = nullptr;
    const auto waited = w->sent(Reveals::session);
    EXPECT_EQ(waited.size(), 2u);  // the first was the dead node's
    for (const RelayFrame& f : w->frames)
        EXPECT_TRUE(f.reveals == Reveals::session || !f.parsed.tcp.has(tcp_flag::syn));
    expect_end();
}

// The client has all but the first segment, which the server sends again after long: then the
// client acknowledges all of it, of which the adopter has sent the first only.
TEST_F(RelayTakeoverTest, WhatLiesOutOfOrderIsBelievedForLong) {
    start();
    w->exchange(1000, 10'000, false, false);
    w->filter = [&](const Parsed& p, bool from_relay) {
        return !from_relay || p.to() != w->client->self || p.payload.empty() ||
               p.tcp.seq != w->client->end.state().irs + 1;
    };
    w->run_for(Duration::milliseconds(50));
    EXPECT_EQ(w->client->heard, 0u);
    w->kill();
    w->filter = [](const Parsed& p, bool from_relay) { return from_relay || p.payload.empty(); };
    w->run_for(Duration::milliseconds(100));
    w->adopt_newest();
    w->run_for(Duration::seconds(20));
    w->filter = nullptr;
    w->run_until([&] { return w->heard_all(); });
    EXPECT_TRUE(w->heard_all()) << w->describe();
    w->run_for(Duration::seconds(1));
    EXPECT_EQ(w->client->end.state().rcv_nxt, w->node->state().client.snd_una);
}

// The backend is slow to answer; acknowledgements since have offered the client the whole buffer.
TEST_F(RelayTakeoverTest, TheWindowOfASessionThatIsConnectingStaysOffered) {
    start();
    w->exchange(200'000, 1000);
    w->filter = [](const Parsed& p, bool) { return p.from().port != 8080; };
    w->run_for(Duration::seconds(3));
    EXPECT_EQ(w->node->state().stage, RelayStage::connecting);
    adopt_newest();
    w->run_for(Duration::seconds(3));
    w->filter = nullptr;
    expect_end();
}

// By SACK, or where they know none, by ICMP.
TEST_F(RelayTakeoverTest, BothPeersAreAskedAndWoken) {
    for (const bool sack : {true, false}) {
        Options o;
        o.peers.sack = sack;
        start(o);
        w->exchange(500'000, 500'000);
        w->run_until([&] { return w->client->heard > 100'000; });
        adopt_newest(Duration::milliseconds(100));
        EXPECT_EQ(w->wakes + w->node->relay.counters().urged, 0u);
        w->run_for(Duration::milliseconds(20));
        EXPECT_EQ(w->wakes, sack ? 0u : 2u);
        EXPECT_EQ(w->node->relay.counters().urged, sack ? 2u : 0u);
        expect_end();
    }
}

// ---- At random

struct Chance {
    unsigned takeovers = 0;
    unsigned resets = 0;
};

class Storm {
public:
    explicit Storm(uint64_t seed) : random(seed * 7 + 1) {
        Options o;
        o.seed = seed;
        o.v4 = random.chance(0.7);
        o.loss = random.chance(0.5) ? 0 : 0.02;
        o.delay = Duration::microseconds(100 + static_cast<int64_t>(random.below(10'000)));
        o.jitter = Duration::microseconds(static_cast<int64_t>(random.below(4'000)));
        o.gate = Duration::microseconds(50 + static_cast<int64_t>(random.below(2'000)));
        o.publish_loss = random.chance(0.5) ? 0 : 0.2;
        for (TcpConfig* c : {&o.peers, &o.relay}) {
            c->sack = random.chance(0.7);
            c->timestamps = random.chance(0.8);
            c->user_timeout = c->connect_timeout = {};
        }
        if (random.chance(0.3)) o.peers.receive_buffer = 8000;
        if (random.chance(0.3)) o.relay.receive_buffer = o.relay.send_buffer = 16'000;
        w = std::make_unique<RelayWorld>(o);
        w->client->to_say = random.below(150'000);
        w->server_says = random.below(200'000);
        w->client->then_close = w->server_closes = true;
        w->connect();
    }
    bool ended() const { return w->heard_all() && w->at_peace(); }
    bool reset() const { return w->client->was_reset() || (w->server && w->server->was_reset()); }
    void run(unsigned takeovers_wanted) {
        const double chance = random.chance(0.5) ? 0.003 : 0.03;
        for (unsigned steps = 0; steps < 400'000 && !ended() && !reset(); ++steps) {
            if (!w->step(Instant::max()) || ::testing::Test::HasFailure()) return;
            if (random.chance(0.02)) w->publish_segment();
            if (!late_.empty() && random.chance(0.1)) apply_late();
            if (takeovers < takeovers_wanted && random.chance(chance)) take_over();
        }
    }

    Random random;
    std::unique_ptr<RelayWorld> w;
    unsigned takeovers = 0;

private:
    void take_over() {
        ++takeovers;
        w->kill();
        w->run_for(Duration::microseconds(2'000 + static_cast<int64_t>(random.below(300'000))));
        const Duration clock = Duration::microseconds(static_cast<int64_t>(random.below(1u << 31)));
        if (w->headers.empty()) return w->adopt_nothing();
        const Snapshot header = w->headers[random.below(w->headers.size())];
        // Wall clocks are up to 300 ms apart; then what an adopter publishes must have arrived
        // before it dies, or the next one's timestamps would be no later than its own.
        const auto apart = static_cast<int64_t>(random.below(600)) - 300;
        late_ = std::exchange(w->segments, {});
        w->adopt(header, clock, Duration::milliseconds(agree_ ? 0 : apart));
        w->headers = {w->node->snapshot(w->node->index())};
        if (agree_) w->headers.push_back(header);
        if (random.chance(0.5)) apply_late();
    }
    // A segment fragment comes when it comes, and may be older than the header.
    void apply_late() {
        const std::vector<Snapshot> late = std::exchange(late_, {});
        if (!w->node || late.empty() || !w->node->index()) return;
        const size_t last = late.size() - 1;
        w->node->update(late[last - random.below(std::min<size_t>(last + 1, 3))]);
        w->settle_node();
        w->headers = {w->node->snapshot(w->node->index())};
        w->segments.clear();
    }
    std::vector<Snapshot> late_;
    bool agree_ = random.chance(0.5);
};

TEST(RelayStorm, ManyDeathsWholeStreams) {
    unsigned takeovers = 0;
    const char* more = std::getenv("HOLDFAST_SEEDS");
    const uint64_t seeds = more ? std::strtoull(more, nullptr, 10) : 300;
    for (uint64_t seed = 0; seed < seeds && !::testing::Test::HasFailure(); ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        Storm storm(seed);
        storm.run(20);
        takeovers += storm.takeovers;
        EXPECT_TRUE(storm.ended()) << storm.w->describe();
        EXPECT_FALSE(storm.reset()) << storm.w->describe();
    }
    EXPECT_GT(takeovers, 1000u);
}

}  // namespace
}  // namespace holdfast
