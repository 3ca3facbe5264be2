// TLS sessions that clients may resume by their identifier, in clusters whose nodes die: whoever
// holds the group knows them all, and nobody keeps what is over.
#include <gtest/gtest.h>

#include "dataplane/takeover/resumption_capture.h"
#include "tests/simulation/cluster.h"

namespace holdfast::simulation {
namespace {

class ResumptionClusterTest : public ::testing::Test {
protected:
    void start(ClusterOptions options) {
        options.mode = Mode::proxy;
        copies = options.copies;
        nodes = static_cast<uint8_t>(options.nodes);
        c = std::make_unique<Cluster>(options);
        ASSERT_TRUE(c->run_until([&] { return settled(); }));
    }
    bool settled() const {
        const auto h = c->holder();
        return h && c->worker(*h).replicator().membership().view().members.size() + 1 == alive() &&
               c->worker(*h).replicator().coverage_complete();
    }
    unsigned alive() const {
        unsigned n = 0;
        for (uint8_t i = 0; i < nodes; ++i) n += c->alive(i);
        return n;
    }
    // Some with a client's certificate, too long for one fragment.
    static TlsSession session(uint32_t number, uint32_t lifetime_s = 7'200) {
        TlsSession s;
        s.id.size = 32;
        store_le(s.id.bytes.data(), mix64(number + 1));
        s.lifetime_s = lifetime_s;
        s.der.assign(number % 10 == 0 ? 2'500 : 130, std::byte(number));
        return s;
    }
    void begin(uint32_t first, uint32_t end, uint32_t lifetime_s = 7'200) {
        for (uint32_t i = first; i < end; ++i) {
            here().on_new_session(session(i, lifetime_s), c->now());
            if (i % 64 == 0) c->run(Duration::milliseconds(2));
        }
        c->run(Duration::milliseconds(30));
    }
    Resumption& here() { return *c->worker(*c->holder()).resumption(); }
    TlsSessionAnswer find(uint32_t number) {
        TlsSession found;
        const auto answer = here().find(session(number).id, 0, c->now(), found);
        if (answer == TlsSessionAnswer::found) {
            EXPECT_EQ(found.der, session(number).der);
        }
        return answer;
    }
    unsigned count_known(uint32_t first, uint32_t end) {
        unsigned n = 0;
        for (uint32_t i = first; i < end; ++i) n += find(i) == TlsSessionAnswer::found;
        return n;
    }
    unsigned holders_of(uint32_t number) {
        unsigned n = 0;
        for (uint8_t i = 0; i < nodes; ++i) {
            if (!c->alive(i) || i == c->holder()) continue;
            n += !c->worker(i)
                      .replicator()
                      .store()
                      .whole_value(resumption_key(session(number).id), FragmentKind::resumable)
                      .empty();
        }
        return n;
    }
    void expect_copies(uint32_t first, uint32_t end, unsigned wanted) {
        for (uint32_t i = first; i < end; ++i) ASSERT_EQ(holders_of(i), wanted) << i;
    }
    // The next holder, with all that it gathers.
    void fail_over() {
        c->kill(*c->holder());
        ASSERT_TRUE(c->run_until([&] { return c->holder().has_value(); }));
        ASSERT_TRUE(c->run_until([&] {
            return !c->worker(*c->holder()).replicator().gathering_late(Cluster::kGroup) &&
                   settled();
        }));
        c->run(Duration::milliseconds(50));
    }
    void TearDown() override {
        for (const std::string& what : c->complaints()) ADD_FAILURE() << what;
    }

    std::unique_ptr<Cluster> c;
    unsigned copies = 0;
    uint8_t nodes = 0;
};

TEST_F(ResumptionClusterTest, EveryHolderKnowsAllSessions) {
    for (unsigned r : {1u, 2u}) {
        SCOPED_TRACE(r);
        start({.nodes = 5, .copies = r, .seed = 20 + r, .ring_loss = 0.01});
        begin(0, 300);
        expect_copies(0, 300, copies);
        fail_over();
        EXPECT_EQ(count_known(0, 300), 300u);
        expect_copies(0, 300, copies);
        begin(300, 350);
        fail_over();
        EXPECT_EQ(count_known(0, 350), 350u);
        EXPECT_EQ(find(350), TlsSessionAnswer::none);
    }
}

// A client that is quicker than the walk through the peers' stores.
TEST_F(ResumptionClusterTest, WhatIsStillToBeGatheredIsHadAtOnceWhenAskedFor) {
    start({.seed = 31});
    begin(0, 2'000);
    c->kill(*c->holder());
    ASSERT_TRUE(c->run_until([&] { return c->holder().has_value(); }));
    const uint8_t h = *c->holder();
    const auto gathering = [&] {
        return c->worker(h).replicator().gathering_late(Cluster::kGroup);
    };
    // The walk comes last to what was stored last.
    std::vector<uint32_t> asked;
    for (uint32_t i = 1'999; asked.size() < 5; --i) {
        if (i % 10 == 0 || find(i) != TlsSessionAnswer::pending) continue;
        asked.push_back(i);
        here().ask_peers(session(i).id, 0, c->now());
    }
    c->run(Duration::milliseconds(1));  // a round trip of the ring, at most
    for (const uint32_t i : asked) EXPECT_EQ(find(i), TlsSessionAnswer::found) << i;
    EXPECT_TRUE(gathering());
    // No live session waits for the rest.
    EXPECT_TRUE(c->run_until(
        [&] { return !gathering() || c->worker(h).adoptions().back().gathered.has_value(); }));
    EXPECT_TRUE(gathering());
    ASSERT_TRUE(c->run_until([&] { return !gathering(); }));
    EXPECT_EQ(count_known(0, 2'000), 2'000u);
    EXPECT_EQ(find(2'000), TlsSessionAnswer::none);
}

TEST_F(ResumptionClusterTest, CoverageIsRestored) {
    start({.seed = 32});
    begin(0, 200);
    const uint8_t lost = *c->holder() == 0 ? 1 : 0;
    c->kill(lost);
    ASSERT_TRUE(c->run_until([&] { return settled(); }));
    c->run(Duration::milliseconds(50));
    expect_copies(0, 200, copies);
    c->start(lost);
    ASSERT_TRUE(c->run_until([&] { return settled(); }));
    c->run(Duration::milliseconds(50));
    expect_copies(0, 200, copies);
}

TEST_F(ResumptionClusterTest, WhatIsOverIsForgottenEverywhere) {
    start({.seed = 33});
    begin(0, 50, 2);
    begin(50, 100);
    expect_copies(0, 100, copies);
    c->run(Duration::seconds(3));
    expect_copies(0, 50, 0);
    expect_copies(50, 100, copies);
    EXPECT_EQ(here().size(), 50u);
    EXPECT_EQ(find(0), TlsSessionAnswer::none);
}

TEST_F(ResumptionClusterTest, TheOldestMakeRoomEverywhere) {
    start({.seed = 34, .resumable = 60});
    begin(0, 100);
    EXPECT_EQ(here().size(), 60u);
    expect_copies(0, 40, 0);
    expect_copies(40, 100, copies);
    fail_over();
    EXPECT_EQ(count_known(40, 100), 60u);
}

// A handshake may end when the group is another's already.
TEST_F(ResumptionClusterTest, WhoDoesNotHoldPublishesNothing) {
    start({.seed = 35});
    const uint8_t standby = *c->holder() == 0 ? 1 : 0;
    c->worker(standby).resumption()->on_new_session(session(1), c->now());
    c->run(Duration::milliseconds(50));
    EXPECT_EQ(holders_of(1), 0u);
    EXPECT_EQ(c->worker(standby).resumption()->counters().published, 0u);
}

}  // namespace
}  // namespace holdfast::simulation
