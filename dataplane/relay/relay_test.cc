// A relay between a client and a server: what leaves when, what it says, and how it ends. Its death
// is dataplane/takeover/relay_takeover_test.cc's.
#include "dataplane/relay/relay.h"

#include <gtest/gtest.h>

#include "dataplane/relay/testing.h"

namespace holdfast {
namespace {

using namespace holdfast::testing;
constexpr auto kClient = Direction::from_client, kServer = Direction::from_backend;

TcpConfig quick() {
    TcpConfig c;
    c.time_wait = Duration::seconds(5);
    c.user_timeout = Duration::seconds(30);
    c.connect_timeout = Duration::seconds(10);
    return c;
}

struct Options : RelayWorldOptions {
    Options() { peers = relay = quick(); }
};

bool is_syn(const Parsed& p) { return p.tcp.has(tcp_flag::syn); }

class RelayTest : public ::testing::Test {
protected:
    RelayWorld& start(const RelayWorldOptions& options = Options()) {
        w = std::make_unique<RelayWorld>(options);
        return *w;
    }
    bool open() const { return w->node->index() && w->node->state().stage == RelayStage::open; }
    const RelayCounters& counters() const { return w->node->relay.counters(); }
    // Of frames that were put on the wire or into the gate: the first that fits.
    template <typename Fits>
    const RelayFrame* first(Fits&& fits) const {
        for (const RelayFrame& f : w->frames)
            if (fits(f)) return &f;
        return nullptr;
    }

    std::unique_ptr<RelayWorld> w;
};

TEST_F(RelayTest, StreamsPassWholeBothWaysAndEnd) {
    for (const bool v4 : {true, false})
        for (const uint64_t seed : {1, 2, 3}) {
            Options o;
            o.v4 = v4;
            o.seed = seed;
            start(o);
            w->exchange(300'000, 500'000);
            w->run_until([&] { return w->at_peace(); });
            ASSERT_TRUE(w->at_peace()) << w->describe();
            EXPECT_TRUE(w->heard_all());
            EXPECT_EQ(counters().finished, 1u);
            w->run_for(Duration::seconds(30));
            EXPECT_EQ(w->node->relay.sessions(), 0u);
            EXPECT_EQ(w->node->relay.memory().used(), 0u);
        }
}

TEST_F(RelayTest, OverAPoorWire) {
    for (uint64_t seed = 0; seed < 30 && !HasFailure(); ++seed) {
        SCOPED_TRACE(seed);
        Options o;
        o.seed = seed;
        o.loss = 0.03;
        o.jitter = Duration::milliseconds(3);
        start(o);
        w->exchange(100'000, 150'000);
        w->run_until([&] { return w->at_peace(); }, Duration::seconds(300));
        EXPECT_TRUE(w->heard_all()) << w->describe();
        for (const Peer* p : {w->client.get(), w->server.get()})
            EXPECT_TRUE(p->saw(TcpEvent::peer_fin) && !p->was_reset());
    }
}

// ---- Set-up: the order of things, and what each of them reveals

TEST_F(RelayTest, TheSynAckRevealsTheSessionAndWaits) {
    start();
    w->shut = true;
    w->exchange(100, 100);
    w->run_for(Duration::seconds(5));
    // It was made once, and held; what the client's own retransmissions would bring is withheld.
    ASSERT_EQ(w->frames.size(), 1u);
    EXPECT_EQ(w->frames[0].towards, kClient);
    EXPECT_EQ(w->frames[0].reveals, Reveals::session);
    EXPECT_TRUE(is_syn(w->frames[0].parsed) && w->frames[0].parsed.tcp.has(tcp_flag::ack));
    EXPECT_GE(counters().withheld, 2u);
    EXPECT_FALSE(w->client->opened());
    w->shut = false;
    w->run_until([&] { return w->at_peace(); });
    EXPECT_TRUE(w->at_peace());
    // Once it is known elsewhere it waits no more.
    EXPECT_EQ(w->sent(Reveals::session).size(), 1u);
}

TEST_F(RelayTest, TheBackendHearsNothingBeforeTheClientIsThere) {
    start();
    w->filter = [](const Parsed& p, bool from_relay) { return from_relay || is_syn(p); };
    w->exchange(100, 100);
    w->run_for(Duration::seconds(5));
    EXPECT_FALSE(first([](const RelayFrame& f) { return f.towards == kServer; }));
    w->filter = nullptr;
    w->run_until([&] { return w->at_peace(); });
    const RelayFrame* syn = first([](const RelayFrame& f) { return f.towards == kServer; });
    ASSERT_TRUE(syn);
    EXPECT_TRUE(is_syn(syn->parsed) && !syn->parsed.tcp.has(tcp_flag::ack));
    EXPECT_EQ(syn->reveals, Reveals::nothing);
    EXPECT_TRUE(w->at_peace());
}

TEST_F(RelayTest, WhatWasAgreedWithTheBackendIsHeldBeforeItHearsSo) {
    start();
    w->exchange(5000, 5000);
    w->run_until([&] { return w->server != nullptr; });
    w->shut = true;
    w->run_for(Duration::seconds(3));
    EXPECT_EQ(w->node->state().stage, RelayStage::committing);
    const std::vector<RelayFrame> held = w->sent(Reveals::backend);
    ASSERT_EQ(held.size(), 1u);
    EXPECT_TRUE(held[0].parsed.payload.empty()) << "data waits until the session is held";
    EXPECT_FALSE(w->server->opened());
    // To the backend nothing but its SYNs had left.
    for (const RelayFrame& f : w->frames)
        EXPECT_TRUE(f.towards == kClient || f.reveals != Reveals::nothing || is_syn(f.parsed));
    w->shut = false;
    w->run_until([&] { return w->at_peace(); });
    EXPECT_TRUE(w->at_peace());
    EXPECT_EQ(w->sent(Reveals::backend).size(), 1u);
    EXPECT_EQ(w->sent(Reveals::session).size(), 1u);
    EXPECT_TRUE(w->sent(Reveals::end).empty());
}

// A frame that found no room to wait is tried again; it does not count as waiting.
TEST_F(RelayTest, AFullGateIsTriedAgain) {
    start();
    w->gate_room = 0;
    w->exchange(100, 100);
    w->run_for(Duration::seconds(4));
    EXPECT_FALSE(w->client->opened());
    w->gate_room = 1000;
    w->run_until([&] { return w->node->state().stage == RelayStage::connecting; });
    w->gate_room = 0;
    w->run_for(Duration::seconds(2));
    EXPECT_FALSE(w->server->opened());
    w->gate_room = 1000;
    w->run_until([&] { return w->at_peace(); });
    EXPECT_TRUE(w->at_peace()) << w->describe();
}

// ---- End-to-end acknowledgement

TEST_F(RelayTest, NothingOfOneSideIsAcknowledgedThatTheOtherDidNotAcknowledge) {
    for (const bool deaf_client : {true, false}) {
        SCOPED_TRACE(deaf_client);
        start();
        w->exchange(300'000, 300'000, false, false);
        w->run_until([&] { return w->client->heard > 0 && w->server->heard > 0; });
        Peer& deaf = deaf_client ? *w->client : *w->server;
        Peer& writer = deaf_client ? *w->server : *w->client;
        w->filter = [&](const Parsed& p, bool) { return p.from() != deaf.self; };
        w->run_for(Duration::milliseconds(20));
        const SeqNum acked = writer.end.state().snd_una;
        w->run_for(Duration::seconds(5));
        EXPECT_EQ(writer.end.state().snd_una, acked);
        EXPECT_GT(writer.end.state().snd_max, acked);
        w->filter = nullptr;
        w->run_until([&] { return w->heard_all(); });
        EXPECT_TRUE(w->heard_all());
    }
}

TEST_F(RelayTest, AFinIsAcknowledgedWhenTheOtherSideHasAcknowledgedIt) {
    for (const bool by_client : {true, false}) {
        SCOPED_TRACE(by_client);
        start();
        w->exchange(1000, 1000, false, false);
        w->run_until([&] { return w->heard_all(); });
        Peer& closer = by_client ? *w->client : *w->server;
        Peer& far = by_client ? *w->server : *w->client;
        w->filter = [&](const Parsed& p, bool) { return p.from() != far.self; };
        closer.then_close = true;
        closer.settle(w->now);
        w->run_for(Duration::seconds(2));
        EXPECT_TRUE(far.saw(TcpEvent::peer_fin));
        EXPECT_FALSE(closer.saw(TcpEvent::fin_acked));
        w->filter = nullptr;
        w->run_until([&] { return closer.saw(TcpEvent::fin_acked); });
        EXPECT_TRUE(closer.saw(TcpEvent::fin_acked));
    }
}

// ---- Ends

TEST_F(RelayTest, AHalfClosedSessionGoesOnTheOtherWay) {
    for (const bool client_first : {true, false}) {
        SCOPED_TRACE(client_first);
        start();
        Options o;
        w->exchange(client_first ? 10'000 : 0, client_first ? 0 : 10'000, client_first,
                    !client_first);
        w->run_until([&] {
            return w->server && (client_first ? *w->client : *w->server).saw(TcpEvent::fin_acked);
        });
        w->run_for(Duration::seconds(60));  // nothing ends by itself
        EXPECT_EQ(w->node->forwarder.sessions().get(w->node->index())->state,
                  client_first ? SessionState::client_fin : SessionState::backend_fin);
        Peer& late = client_first ? *w->server : *w->client;
        ASSERT_TRUE(late.saw(TcpEvent::peer_fin));
        late.to_say = 200'000;
        late.then_close = true;
        late.settle(w->now);
        w->run_until([&] { return w->at_peace(); });
        EXPECT_TRUE(w->at_peace()) << w->describe();
        EXPECT_TRUE(w->heard_all());
    }
}

// RFC 9293 section 3.6, case 3. What is sent after a FIN of the other side that may not be
// acknowledged yet is a simultaneous close, whatever the other side saw first.
TEST_F(RelayTest, BothCloseAtOnce) {
    for (uint64_t seed = 0; seed < 20 && !HasFailure(); ++seed) {
        SCOPED_TRACE(seed);
        Options o;
        o.seed = seed;
        o.jitter = Duration::milliseconds(1);
        start(o);
        w->exchange(2000, 2000, false, false);
        w->run_until([&] { return w->heard_all(); });
        w->run_for(Duration::milliseconds(500));
        for (Peer* p : {w->client.get(), w->server.get()}) {
            p->then_close = true;
            p->settle(w->now);
        }
        w->run_until([&] { return w->at_peace(); }, Duration::seconds(20));
        EXPECT_TRUE(w->at_peace()) << w->describe();
    }
}

TEST_F(RelayTest, AResetOfOneSideIsAResetOfTheOther) {
    for (const bool by_client : {true, false}) {
        SCOPED_TRACE(by_client);
        start();
        w->exchange(1'000'000, 1'000'000);
        w->run_until([&] { return open() && w->client->heard > 50'000; });
        (by_client ? *w->client : *w->server).abort(w->now);
        Peer& other = by_client ? *w->server : *w->client;
        w->run_until([&] { return other.was_reset(); }, Duration::seconds(5));
        EXPECT_TRUE(other.was_reset()) << w->describe();
        EXPECT_EQ(counters().aborted, 1u);
        EXPECT_EQ(w->node->relay.sessions(), 0u);
        EXPECT_EQ(w->node->relay.memory().used(), 0u);
        // Each end at most once, and only under a confirmed epoch.
        EXPECT_LE(w->sent(Reveals::end).size(), 2u);
        for (const RelayFrame& f : w->frames)
            EXPECT_EQ(f.parsed.tcp.has(tcp_flag::rst), f.reveals == Reveals::end);
    }
}

TEST_F(RelayTest, ASideThatDoesNotAnswerIsGivenUp) {
    for (const bool deaf_client : {true, false}) {
        SCOPED_TRACE(deaf_client);
        Options o;
        o.peers.user_timeout = {};
        start(o);
        w->exchange(1'000'000, 1'000'000);
        w->run_until([&] { return open() && w->client->heard > 50'000; });
        const Endpoint deaf = deaf_client ? w->client->self : w->server->self;
        w->filter = [&](const Parsed& p, bool) { return p.from() != deaf && p.to() != deaf; };
        Peer& other = deaf_client ? *w->server : *w->client;
        w->run_until([&] { return other.was_reset(); }, Duration::seconds(200));
        EXPECT_TRUE(other.was_reset()) << w->describe();
        EXPECT_EQ(w->node->relay.sessions(), 0u);
        EXPECT_EQ(w->node->relay.memory().used(), 0u);
    }
}

TEST_F(RelayTest, ABackendThatRefusesIsAResetOfTheClient) {
    start();
    w->server_refuses = true;
    w->exchange(1000, 1000);
    w->run_until([&] { return w->client->was_reset(); }, Duration::seconds(5));
    EXPECT_TRUE(w->client->was_reset());
    EXPECT_EQ(counters().refused, 1u);
    EXPECT_EQ(w->node->relay.sessions(), 0u);
}

TEST_F(RelayTest, ABackendThatIsSilentIsAResetOfTheClient) {
    Options o;
    o.peers.user_timeout = {};
    start(o);
    w->filter = [](const Parsed& p, bool) { return p.to().port != 8080; };
    w->exchange(1000, 1000);
    w->run_until([&] { return w->client->was_reset(); }, Duration::seconds(60));
    EXPECT_TRUE(w->client->was_reset());
    EXPECT_EQ(w->node->relay.sessions(), 0u);
}

TEST_F(RelayTest, AClientThatNeverCompletesItsHandshakeIsForgotten) {
    start();
    w->filter = [](const Parsed& p, bool) { return is_syn(p); };
    w->exchange(1000, 1000);
    w->run_for(Duration::seconds(1));
    EXPECT_EQ(w->node->relay.sessions(), 1u);
    w->filter = [](const Parsed&, bool) { return false; };
    w->run_for(Duration::seconds(90));
    EXPECT_EQ(w->node->relay.sessions(), 0u);
    EXPECT_FALSE(w->server);
}

// The session that ended holds no payload memory, however it ended.
TEST_F(RelayTest, ASessionThatWasDroppedGivesItsMemoryBack) {
    start();
    w->server_capacity = 1000;
    w->exchange(1'000'000, 0);
    w->run_for(Duration::seconds(3));
    ASSERT_GT(w->node->relay.memory().used(), 10u);
    w->node->forwarder.drop(w->node->index(), w->node->here());
    w->settle_node();
    EXPECT_EQ(w->node->relay.memory().used(), 0u);
    EXPECT_EQ(w->node->relay.sessions(), 0u);
}

// A client that begins anew from the port of a session that is over.
TEST_F(RelayTest, AFinishedSessionsPortMayBeUsedAgain) {
    start();
    w->exchange(1000, 1000);
    w->run_until([&] { return w->at_peace(); });
    ASSERT_TRUE(w->at_peace());
    auto again = std::make_unique<Peer>(w->options.peers, w->pool, w->client->self,
                                        w->client->other, w->client->wire());
    again->mac = w->client->mac;
    again->next_hop = w->client->next_hop;
    again->stream = w->client->stream;
    again->hears = w->client->hears;
    again->to_say = 500;
    again->then_close = true;
    w->client = std::move(again);
    w->server.reset();
    w->forget_edges();
    w->client->connect({0x1234}, w->now);
    w->run_until([&] { return w->at_peace(); });
    EXPECT_TRUE(w->at_peace()) << w->describe();
    EXPECT_EQ(counters().opened, 2u);
}

// ---- Bounds

TEST_F(RelayTest, AReaderThatDoesNotReadClosesTheOtherSidesWindow) {
    for (const bool slow_client : {false, true}) {
        SCOPED_TRACE(slow_client);
        Options o;
        o.relay.receive_buffer = o.relay.send_buffer = 64 * 1024;
        o.peers.receive_buffer = 8000;
        o.peers.initial_window = 1 << 20;
        start(o);
        if (slow_client) w->client->capacity = 8000;
        if (!slow_client) w->server_capacity = 8000;
        w->exchange(slow_client ? 0 : 500'000, slow_client ? 500'000 : 0);
        w->run_for(Duration::seconds(20));
        Peer& writer = slow_client ? *w->server : *w->client;
        Peer& reader = slow_client ? *w->client : *w->server;
        EXPECT_LE(reader.heard, 8000u);
        // What left the writer is what both buffers hold, no more, and its window is shut.
        const Tcb& t = writer.end.state();
        EXPECT_LE(t.snd_max - (t.iss + 1), 8000 + 64 * 1024 + 4096);
        EXPECT_LT(t.snd_una + t.snd_wnd - t.snd_max, 4096);
        EXPECT_LE(w->node->relay.memory().used(), 2 * 64 * 1024 / Chunk::kCapacity + 16);
        // It goes on as it is read, for as long as that takes.
        for (int i = 0; i < 3000 && !w->heard_all() && !HasFailure(); ++i) {
            reader.read(4000, w->now);
            w->run_for(Duration::milliseconds(20));
        }
        EXPECT_TRUE(w->heard_all()) << w->describe();
    }
}

// Promises were made to more than there is memory for: what finds no room is sent again. And what
// others keep of it is what was said, also where only a part was taken.
TEST_F(RelayTest, WithLittlePayloadMemoryASessionIsSlowAndWhole) {
    for (const uint32_t chunks : {16u, 32u, 64u, 256u, 512u}) {
        SCOPED_TRACE(chunks);
        Options o;
        o.chunks = chunks;
        o.durability = Durability::payload;
        start(o);
        w->exchange(300'000, 300'000);
        w->run_until([&] { return w->at_peace(); }, Duration::seconds(300));
        EXPECT_TRUE(w->at_peace() && w->heard_all()) << w->describe();
        EXPECT_EQ(w->node->relay.memory().used(), 0u);
        EXPECT_GT(w->octets_copied, 500'000u);
    }
}

TEST_F(RelayTest, APathThatIsNarrowerIsLearned) {
    for (const bool v4 : {true, false}) {
        Options o;
        o.v4 = v4;
        start(o);
        constexpr uint32_t kMtu = 1300;
        const auto size = [&](const Parsed& p) {
            return (v4 ? 20 : 40) + p.tcp.header_size + p.payload.size();
        };
        w->filter = [&](const Parsed& p, bool from_relay) {
            if (!from_relay || size(p) <= kMtu) return true;
            const bool to_client = p.to() == w->client->self;
            w->icmp_too_big(to_client ? kClient : kServer, kMtu, p.tcp.seq);
            return false;
        };
        w->exchange(200'000, 200'000);
        w->run_until([&] { return w->at_peace(); }, Duration::seconds(60));
        EXPECT_TRUE(w->at_peace()) << w->describe();
        EXPECT_GE(w->node->relay.memory().counters.packets_too_big, 2u);
    }
}

TEST_F(RelayTest, AClientBehindAVlan) {
    Options o;
    o.vlan = 42;
    start(o);
    w->exchange(10'000, 10'000);
    w->run_until([&] { return w->at_peace(); });
    EXPECT_TRUE(w->at_peace());
    for (const RelayFrame& f : w->frames)
        EXPECT_EQ(f.parsed.ethernet.vlan, f.towards == kClient ? 42 : 0);
}

// One numbering on both sides: what is passed on stands as far from the beginning.
TEST_F(RelayTest, TheBackendsNumbersFollowFromTheClients) {
    SeqNum client_iss[2], backend_iss[2];
    for (int i = 0; i < 2; ++i) {
        start();
        w->exchange(10, 10);
        w->run_until([&] { return open(); });
        client_iss[i] = w->node->state().client.iss;
        backend_iss[i] = w->node->state().backend.iss;
    }
    EXPECT_EQ(backend_iss[0] - client_iss[0], backend_iss[1] - client_iss[1]);
}

}  // namespace
}  // namespace holdfast
