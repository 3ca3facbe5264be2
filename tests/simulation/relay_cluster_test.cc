// Connections whose TCP terminates in the cluster (`mode = proxy`), and what becomes of them when
// nodes die, sleep or are cut off at every stage: whole streams both ways, no reset, an end in
// bounded time.
#include <gtest/gtest.h>

#include <cstdlib>

#include "dataplane/takeover/relay_capture.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/copies_held.h"

namespace holdfast::simulation {
namespace {

using testing::Peer;

// How many seeds where many help: HOLDFAST_SEEDS asks for more.
uint64_t seeds(uint64_t usual) {
    const char* more = std::getenv("HOLDFAST_SEEDS");
    return more ? std::strtoull(more, nullptr, 10) : usual;
}

class RelayClusterTest : public ::testing::Test {
protected:
    void start(ClusterOptions options) {
        if (options.mode == Mode::forward && proxy) options.mode = Mode::proxy;
        copies = options.copies;
        c = std::make_unique<Cluster>(options);
        ASSERT_TRUE(c->run_until([&] { return settled(); }));
    }
    bool settled() const {
        const auto h = c->holder();
        return h && c->worker(*h).replicator().membership().view().members.size() + 1 ==
                        c->worker(*h).replicator().membership().options().nodes.size();
    }
    Plan random_plan(uint64_t most) {
        Plan p;
        p.client_says = 4 + c->random().below(most);
        p.server_says = 4 + c->random().below(most);
        return p;
    }
    bool all_ended() {
        for (size_t i = 0; i < c->hosts().size(); ++i)
            if (!c->hosts().ended(i)) return false;
        return true;
    }
    bool all_heard() {
        for (size_t i = 0; i < c->hosts().size(); ++i)
            if (!c->hosts().heard(i)) return false;
        return true;
    }
    void close(Peer& p) {
        p.then_close = true;
        p.settle(c->now());
    }
    // Every stream is whole and over; nobody was reset, nobody complains.
    void expect_all_end(Duration limit = Duration::seconds(60)) {
        const Instant begun = c->now();
        const bool ended = c->run_until([&] { return all_ended(); }, limit);
        for (size_t i = 0; i < c->hosts().size(); ++i) {
            EXPECT_FALSE(c->hosts().was_reset(i)) << i;
            EXPECT_TRUE(c->hosts().ended(i)) << i << " " << describe(i);
        }
        if (ended) longest = std::max(longest, c->now() - begun);
        for (const std::string& what : c->complaints()) ADD_FAILURE() << what;
        for (const std::string& what : c->hosts().complaints()) ADD_FAILURE() << what;
    }
    std::string describe(size_t i) {
        const auto text = [](const Tcb& t) {
            return std::string(to_string(t.state)) + " una " + std::to_string(t.snd_una - t.iss) +
                   " nxt " + std::to_string(t.snd_nxt - t.iss) + " rcv " +
                   std::to_string(t.rcv_nxt - t.irs);
        };
        std::string s = "client " + text(c->hosts().client(i).end.state());
        if (const auto h = c->holder())
            if (const SessionIndex index = c->session_of_transfer(i, *h)) {
                const RelayState state = c->worker(*h).relay()->state(index, c->now());
                s += "\nstage " + std::to_string(static_cast<int>(state.stage)) + " front " +
                     text(state.client) + "\nback " + text(state.backend);
            }
        if (c->hosts().server(i)) s += "\nserver " + text(c->hosts().server(i)->end.state());
        return s;
    }
    bool covered() {
        const auto h = c->holder();
        return h && all_covered(c->worker(*h), Cluster::kGroup, copies, c->workers());
    }
    // Segment fragments tell how far each session is now that it is quiet.
    bool progress_is_held() {
        const uint8_t h = *c->holder();
        Worker& w = c->worker(h);
        unsigned told = 0;
        for (size_t i = 0; i < c->hosts().size(); ++i) {
            const SessionIndex index = c->session_of_transfer(i, h);
            const RelayState live = w.relay()->state(index, c->now());
            Session s = *w.forwarder().sessions().get(index);
            for (uint8_t n = 0; n < 4; ++n) {
                if (n == h) continue;
                const auto f = c->worker(n).replicator().store().find(
                    {session_key(s), FragmentKind::segment, 0});
                Bytes rest;
                if (!f || !read_segment(*f, s, rest)) continue;
                const auto state = read_relay_state(rest, c->now());
                told += state && state->client.snd_una == live.client.snd_una &&
                        state->backend.snd_una == live.backend.snd_una;
                break;
            }
        }
        return told == c->hosts().size();
    }
    uint64_t received_by_holder(Side sender) {
        uint64_t n = 0;
        const uint8_t h = *c->holder();
        for (size_t i = 0; i < c->hosts().size(); ++i) {
            const RelayState s =
                c->worker(h).relay()->state(c->session_of_transfer(i, h), c->now());
            const Tcb& t = sender == Side::front ? s.client : s.backend;
            n += static_cast<uint32_t>(t.rcv_nxt - (t.irs + 1));
        }
        return n;
    }
    unsigned blocks_kept() {
        unsigned kept = 0;
        for (uint8_t n = 0; n < 4; ++n)
            if (c->alive(n))
                c->worker(n).replicator().store().walk(0, [&](const Fragment& f) {
                    kept += f.id.kind == FragmentKind::stream;
                    return true;
                });
        return kept;
    }
    uint64_t heard_by(Side reader) {
        uint64_t n = 0;
        for (size_t i = 0; i < c->hosts().size(); ++i)
            n += reader == Side::front ? c->hosts().client(i).heard : c->hosts().server(i)->heard;
        return n;
    }
    Duration below(int64_t microseconds) {
        return Duration::microseconds(
            static_cast<int64_t>(c->random().below(static_cast<uint64_t>(microseconds))));
    }

    std::unique_ptr<Cluster> c;
    bool proxy = true;
    unsigned copies = 2;
    Duration longest{};
};

TEST_F(RelayClusterTest, TransfersPassAndEnd) {
    for (const Mode mode : {Mode::proxy, Mode::forward}) {
        proxy = mode == Mode::proxy;
        start({.seed = 1, .mode = mode, .wire_loss = 0.01});
        for (int i = 0; i < 30; ++i) c->transfer(random_plan(100'000));
        expect_all_end();
    }
}

// Thirty connections begun one after the other: a death meets each of them at another stage, from
// its SYN to its last FIN.
TEST_F(RelayClusterTest, ADeathAtEveryStageOfConnections) {
    for (uint64_t seed = 0; seed < seeds(30) && !HasFailure(); ++seed) {
        SCOPED_TRACE(seed);
        start({.copies = 1 + static_cast<unsigned>(seed % 3),
               .commit = seed % 4 == 3 ? Commit::any : Commit::all,
               .seed = 2000 + seed,
               .ring_loss = seed % 2 ? 0.02 : 0,
               .durability = seed / 2 % 2 ? Durability::payload : Durability::state});
        const uint8_t h = *c->holder();
        for (int i = 0; i < 30; ++i) {
            c->transfer(random_plan(3000));
            c->run(below(500));
        }
        c->kill(h);
        expect_all_end();
    }
}

TEST_F(RelayClusterTest, TransfersSurviveTheDeathOfTheHolderAndOfItsSuccessor) {
    for (const unsigned r : {1u, 2u, 3u}) {
        SCOPED_TRACE(r);
        start({.copies = r, .seed = 10 + r, .ring_loss = 0.01});
        for (int i = 0; i < 20; ++i) {
            Plan p = random_plan(2'000'000);
            p.buffer = 16 * 1024;
            c->transfer(p);
        }
        c->run(Duration::milliseconds(50));
        for (int death = 0; death < 2; ++death) {
            c->kill(*c->holder());
            ASSERT_TRUE(c->run_until([&] { return c->holder().has_value(); }));
            c->run(Duration::milliseconds(50));
        }
        EXPECT_FALSE(all_ended());
        expect_all_end();
    }
}

// Both ends close at once, or one after the other, around the death.
TEST_F(RelayClusterTest, ADeathAroundEveryFin) {
    for (uint64_t seed = 0; seed < seeds(20) && !HasFailure(); ++seed) {
        SCOPED_TRACE(seed);
        start({.copies = 1 + static_cast<unsigned>(seed % 3), .seed = 3000 + seed});
        for (int i = 0; i < 30; ++i) {
            Plan p = random_plan(2000);
            p.client_closes = p.server_closes = false;
            c->transfer(p);
        }
        ASSERT_TRUE(c->run_until([&] { return all_heard(); }));
        c->run(Duration::milliseconds(200));
        for (size_t i = 0; i < c->hosts().size(); ++i) {
            const uint64_t who = c->random().below(3);
            if (who != 0) close(c->hosts().client(i));
            if (who != 1) close(*c->hosts().server(i));
            c->run(below(300));
        }
        c->kill(*c->holder());
        c->run(below(300'000));
        for (size_t i = 0; i < c->hosts().size(); ++i) {  // and the others
            close(c->hosts().client(i));
            close(*c->hosts().server(i));
        }
        expect_all_end();
    }
}

// A reader that reads nothing has closed its window; the holder dies; then it reads.
TEST_F(RelayClusterTest, SlowReadersAcrossADeath) {
    for (const bool slow_client : {true, false}) {
        SCOPED_TRACE(slow_client);
        start({.seed = 4000});
        for (int i = 0; i < 10; ++i) {
            Plan p = random_plan(200'000);
            (slow_client ? p.client_capacity : p.server_capacity) = 8000;
            c->transfer(p);
        }
        c->run(Duration::seconds(2));
        c->kill(*c->holder());
        c->run(Duration::seconds(3));
        for (int round = 0; round < 4000 && !all_ended(); ++round) {
            for (size_t i = 0; i < c->hosts().size(); ++i)
                if (Peer* p = slow_client ? &c->hosts().client(i) : c->hosts().server(i))
                    p->read(4000, c->now());
            c->run(Duration::milliseconds(10));
        }
        expect_all_end();
    }
}

// Sessions in which nobody speaks: after two deaths their ends find each other all the same.
TEST_F(RelayClusterTest, IdleSessionsAreCarriedOnAndCovered) {
    for (const unsigned r : {1u, 2u, 3u}) {
        SCOPED_TRACE(r);
        start({.copies = r, .seed = 5000 + r});
        for (int i = 0; i < 30; ++i) {
            Plan p = random_plan(20'000);
            p.client_closes = p.server_closes = false;
            c->transfer(p);
        }
        ASSERT_TRUE(c->run_until([&] { return all_heard(); }));
        for (int death = 0; death < 2; ++death) {
            c->run(Duration::milliseconds(500));
            EXPECT_TRUE(progress_is_held());
            const uint8_t h = *c->holder();
            c->kill(h);
            c->run(Duration::milliseconds(500));
            c->start(h);
            ASSERT_TRUE(c->run_until([&] { return settled() && covered(); }));
            EXPECT_EQ(c->worker(*c->holder()).relay()->sessions(), 30u);
        }
        for (size_t i = 0; i < c->hosts().size(); ++i) {
            close(c->hosts().client(i));
            close(*c->hosts().server(i));
        }
        expect_all_end();
    }
}

// What a host had sent to the dead node and the other host has not heard: standbys have it,
// although its sender is never heard again; and if they were not to keep it, it is gone.
TEST_F(RelayClusterTest, OctetsInFlightOutliveTheirSender) {
    for (const Durability durability : {Durability::payload, Durability::state})
        for (const unsigned r : {1u, 2u})
            for (const Side sender : {Side::back, Side::front}) {
                SCOPED_TRACE(std::to_string(r) + (sender == Side::back ? " back" : " front"));
                const Side reader = sender == Side::back ? Side::front : Side::back;
                start(
                    {.copies = r, .seed = 6000 + r, .mode = Mode::proxy, .durability = durability});
                for (int i = 0; i < 10; ++i)
                    c->transfer({.client_says = 100'000,
                                 .server_says = 100'000,
                                 .client_closes = false,
                                 .server_closes = false});
                ASSERT_TRUE(c->run_until([&] { return c->hosts().client(9).heard > 20'000; }));
                c->cut_hosts(reader);
                c->run(Duration::milliseconds(30));
                const uint64_t held = received_by_holder(sender), heard = heard_by(reader);
                ASSERT_GT(held, heard + 200'000);
                c->cut_hosts(sender);
                c->kill(*c->holder());
                c->cut_hosts(reader, false);
                const bool all =
                    c->run_until([&] { return heard_by(reader) >= held; }, Duration::seconds(20));
                EXPECT_EQ(all, durability == Durability::payload)
                    << heard << ", then " << heard_by(reader) << " of " << held;
                c->cut_hosts(sender, false);
                for (size_t i = 0; i < c->hosts().size(); ++i) {
                    close(c->hosts().client(i));
                    close(*c->hosts().server(i));
                }
                expect_all_end(Duration::seconds(200));
                EXPECT_TRUE(c->run_until([&] { return blocks_kept() == 0; })) << blocks_kept();
            }
}

TEST_F(RelayClusterTest, AHandoverLosesNothing) {
    start({.seed = 6000});
    for (int i = 0; i < 20; ++i) {
        Plan p = random_plan(1'000'000);
        p.buffer = 16 * 1024;
        c->transfer(p);
    }
    c->run(Duration::milliseconds(30));
    const uint8_t h = *c->holder();
    c->worker(h).release_group(Cluster::kGroup, c->now());
    ASSERT_TRUE(c->run_until([&] { return c->holder() && *c->holder() != h; }));
    EXPECT_FALSE(all_ended());
    EXPECT_EQ(c->worker(h).relay()->sessions(), 0u);
    EXPECT_EQ(c->worker(h).relay()->memory().used(), 0u);
    expect_all_end();
}

// Kills, pauses and cuts one after another, with transfers all the while, over wires that lose.
TEST_F(RelayClusterTest, RandomFaultsOneAtATime) {
    for (uint64_t seed = 0; seed < seeds(15) && !HasFailure(); ++seed) {
        SCOPED_TRACE(seed);
        start({.copies = 2 + static_cast<unsigned>(seed % 2),
               .seed = 7000 + seed,
               .ring_loss = 0.01,
               .wire_loss = seed % 2 ? 0.01 : 0,
               .durability = seed / 2 % 2 ? Durability::payload : Durability::state});
        for (int round = 0; round < 3; ++round) {
            for (int i = 0; i < 8; ++i) {
                Plan p = random_plan(i % 2 ? 5000 : 1'000'000);
                p.buffer = i % 3 ? 16 * 1024 : 256 * 1024;
                c->transfer(p);
                c->run(below(10'000));
            }
            const auto victim =
                static_cast<uint8_t>(c->random().chance(0.6) ? *c->holder() : c->random().below(4));
            c->hurt(victim);
            c->run(Duration::milliseconds(50) + below(400'000));
            c->mend(victim);
            ASSERT_TRUE(c->run_until([&] { return settled(); }));
            ASSERT_TRUE(c->run_until([&] { return covered(); }));
        }
        expect_all_end();
    }
}

// I6: cookies do not pass the gate, but whoever may not speak does not send them either.
TEST_F(RelayClusterTest, AnIsolatedHolderSendsNoCookies) {
    start({.seed = 1400, .embryonic = 16});
    c->mute_commit_judge();  // a cookie is a SYN-ACK of no session
    const uint8_t h = *c->holder();
    const auto sent = [&] { return c->worker(h).relay()->counters().cookies_sent; };
    c->flood(h, 100);
    c->run(Duration::milliseconds(1));
    EXPECT_GE(sent(), 80u);
    c->cut_ring(h);
    ASSERT_TRUE(c->run_until([&] { return c->holder() && *c->holder() != h; }));
    const uint64_t before = sent();
    c->flood(h, 100);
    c->run(Duration::milliseconds(50));
    EXPECT_EQ(sent(), before);
    EXPECT_EQ(c->complaints(), std::vector<std::string>{});
}

}  // namespace
}  // namespace holdfast::simulation
