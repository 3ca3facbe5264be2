#include "dataplane/flow/session_table.h"

#include <gtest/gtest.h>

#include <map>

#include "base/random.h"

namespace holdfast {
namespace {

Session session_of(uint32_t n, SessionState state = SessionState::established) {
    Session s;
    s.client = {IpAddress::v4(0xcb007100 + n / 60000), static_cast<uint16_t>(1000 + n % 60000)};
    s.vip = {IpAddress::v4(0xc0000250), 80};
    s.pool = {IpAddress::v4(0xc63364c8 + n / 50000), static_cast<uint16_t>(1024 + n % 50000)};
    s.backend = {IpAddress::v4(0xc633640a), 8080};
    s.state = state;
    return s;
}

TEST(SessionTable, FoundByBothTuples) {
    SessionTable t({.capacity = 10, .embryonic_limit = 5, .seed = 1});
    const Session s = session_of(3);
    const auto index = t.insert(s);
    ASSERT_TRUE(index);
    EXPECT_EQ(t.find_client(s.client, s.vip), *index);
    EXPECT_EQ(t.find_backend(s.backend, s.pool), *index);
    EXPECT_FALSE(t.find_client(s.backend, s.pool));
    EXPECT_EQ(t.find(client_key(s)).direction, Direction::from_client);
    EXPECT_EQ(t.find(backend_key(s)).direction, Direction::from_backend);
    t.remove(*index);
    EXPECT_FALSE(t.find(client_key(s)));
    EXPECT_FALSE(t.find(backend_key(s)));
    EXPECT_EQ(t.get(*index), nullptr);
}

TEST(SessionTable, AStaleIndexStaysStale) {
    SessionTable t({.capacity = 1, .embryonic_limit = 1, .seed = 1});
    const SessionIndex first = t.insert(session_of(1)).value();
    t.remove(first);
    const SessionIndex second = t.insert(session_of(2)).value();
    EXPECT_EQ(first.slot, second.slot);
    EXPECT_EQ(t.get(first), nullptr);
    EXPECT_NE(t.get(second), nullptr);
}

TEST(SessionTable, RefusesWhatDoesNotFit) {
    SessionTable t({.capacity = 2, .embryonic_limit = 2, .seed = 1});
    ASSERT_TRUE(t.insert(session_of(1)));
    EXPECT_EQ(t.insert(session_of(1)).error(), DropReason::tuple_in_use);
    Session half = session_of(2);
    half.pool = session_of(1).pool;
    EXPECT_EQ(t.insert(half).error(), DropReason::tuple_in_use);
    ASSERT_TRUE(t.insert(session_of(3)));
    EXPECT_EQ(t.insert(session_of(4)).error(), DropReason::table_full);
}

TEST(SessionTable, AgreesWithAMapThroughRandomChange) {
    Random random(42);
    for (const uint32_t capacity : {1u, 7u, 300u}) {
        SessionTable t({.capacity = capacity, .embryonic_limit = capacity, .seed = random.next()});
        std::map<uint32_t, SessionIndex> model;
        for (int round = 0; round < 20'000; ++round) {
            const auto n = static_cast<uint32_t>(random.below(2 * capacity));
            if (const auto it = model.find(n); it != model.end()) {
                ASSERT_EQ(t.find_client(session_of(n).client, session_of(n).vip), it->second);
                ASSERT_EQ(t.find_backend(session_of(n).backend, session_of(n).pool), it->second);
                t.remove(it->second);
                model.erase(it);
            } else {
                const bool young = random.chance(0.5);
                const auto i = t.insert(
                    session_of(n, young ? SessionState::syn_sent : SessionState::established));
                ASSERT_EQ(i.has_value(), model.size() < capacity);
                if (i) model[n] = *i;
                if (i && young && random.chance(0.5)) t.promote(i->slot);
            }
            ASSERT_EQ(t.size(), model.size());
        }
        uint32_t seen = 0;
        for (SessionIndex i = t.next(0); i; i = t.next(i.slot + 1)) ++seen;
        EXPECT_EQ(seen, model.size());
        for (const auto& [n, i] : model) t.remove(i);
        EXPECT_EQ(t.embryonic(), 0u);
        EXPECT_FALSE(t.oldest_embryonic());
    }
}

TEST(SessionTable, EmbryonicSessionsAreKeptInOrderOfAge) {
    SessionTable t({.capacity = 10, .embryonic_limit = 3, .seed = 1});
    const SessionIndex a = t.insert(session_of(1, SessionState::syn_sent)).value();
    t.insert(session_of(9));
    const SessionIndex b = t.insert(session_of(2, SessionState::syn_sent)).value();
    const SessionIndex c = t.insert(session_of(3, SessionState::syn_sent)).value();
    EXPECT_TRUE(t.embryonic_full());
    EXPECT_EQ(t.oldest_embryonic(), a);
    t.promote(b.slot);
    t.promote(b.slot);  // once is enough
    EXPECT_EQ(t.embryonic(), 2u);
    t.remove(a);
    EXPECT_EQ(t.oldest_embryonic(), c);
    t.promote(c.slot);
    EXPECT_FALSE(t.oldest_embryonic());
}

TEST(SessionTable, IsWalkedInPieces) {
    SessionTable t({.capacity = 1000, .embryonic_limit = 10, .seed = 1});
    std::vector<SessionIndex> taken;
    for (uint32_t n = 0; n < 700; ++n) taken.push_back(t.insert(session_of(n)).value());
    for (uint32_t n = 0; n < 700; n += 2) t.remove(taken[n]);
    std::map<uint32_t, uint32_t> seen;
    uint32_t cursor = 0, pieces = 0;
    for (; cursor < t.capacity(); ++pieces) {
        uint32_t visited = 0;
        cursor = t.walk(cursor, 64, [&](SessionIndex i, const Session& s) {
            EXPECT_EQ(t.find_client(s.client, s.vip), i);
            ++seen[i.slot], ++visited;
        });
        EXPECT_LE(visited, 64u);
    }
    EXPECT_EQ(pieces, 6u);  // 350 by 64
    EXPECT_EQ(seen.size(), 350u);
    for (const auto& [slot, times] : seen) EXPECT_EQ(times, 1u);
}

TEST(SessionTable, FitsItsBudget) {
    SessionTable t({.capacity = 100'000, .embryonic_limit = 1000, .seed = 1});
    // 8 more are the timer wheel's.
    EXPECT_LE(static_cast<double>(t.bytes()) / 100'000 + 8, 256.0);
}

TEST(TupleHash, SpreadsNeighbouringTuplesUnderAnySeed) {
    for (const uint64_t seed : {0ull, 1ull, 0xffffffffffffffffull}) {
        const TupleHash hash(seed);
        std::vector<int> buckets(1024);
        for (uint32_t n = 0; n < 100'000; ++n)
            ++buckets[uint64_t{hash(client_key(session_of(n)))} * 1024 >> 32];
        // 97.7 expected; six standard deviations.
        for (int b : buckets) EXPECT_NEAR(b, 97.7, 60);
    }
    EXPECT_NE(TupleHash(1)(client_key(session_of(1))), TupleHash(2)(client_key(session_of(1))));
}

}  // namespace
}  // namespace holdfast
