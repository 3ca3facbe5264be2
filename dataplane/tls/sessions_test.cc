#include "dataplane/tls/sessions.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

constexpr Instant kStart{1'000'000'000};

TlsSession session(uint64_t n, size_t size = 100, uint32_t lifetime_s = 100) {
    TlsSession s;
    s.id.size = 32;
    store_le(s.id.bytes.data(), n);
    s.lifetime_s = lifetime_s;
    s.der.assign(size, std::byte(n));
    return s;
}

TEST(TlsSessionCache, FindsWhatWasStored) {
    TlsSessionCache cache({});
    TlsSession found;
    EXPECT_EQ(cache.find(session(1).id, 0, kStart, found), TlsSessionAnswer::none);
    cache.on_new_session(session(1), kStart);
    EXPECT_EQ(cache.find(session(1).id, 0, kStart, found), TlsSessionAnswer::found);
    EXPECT_EQ(found.der, session(1).der);
    EXPECT_EQ(cache.counters().missed, 1u);
}

TEST(TlsSessionCache, ForgetsInTime) {
    TlsSessionCache cache({.lifetime = Duration::seconds(50)});
    cache.on_new_session(session(1, 100, 20), kStart);
    cache.on_new_session(session(2, 100, 100), kStart);
    TlsSession found;
    const Instant later = kStart + Duration::seconds(20);
    EXPECT_EQ(cache.find(session(1).id, 0, later, found), TlsSessionAnswer::none);
    EXPECT_EQ(cache.find(session(2).id, 0, later, found), TlsSessionAnswer::found);
    cache.expire(later);
    EXPECT_EQ(cache.size(), 1u);
    cache.expire(kStart + Duration::seconds(50));
    EXPECT_EQ(cache.size(), 0u);
    EXPECT_EQ(cache.bytes(), 0u);
    EXPECT_EQ(cache.counters().expired, 2u);
}

TEST(TlsSessionCache, TheOldestMakesRoom) {
    TlsSessionCache cache({.sessions = 10, .bytes = 1'000'000});
    for (uint64_t i = 0; i < 25; ++i) cache.on_new_session(session(i), kStart);
    EXPECT_EQ(cache.size(), 10u);
    TlsSession found;
    EXPECT_EQ(cache.find(session(14).id, 0, kStart, found), TlsSessionAnswer::none);
    EXPECT_EQ(cache.find(session(15).id, 0, kStart, found), TlsSessionAnswer::found);
    TlsSessionCache small({.sessions = 100, .bytes = 1'000});
    for (uint64_t i = 0; i < 25; ++i) small.on_new_session(session(i, 150), kStart);
    EXPECT_EQ(small.size(), 6u);
    small.on_new_session(session(99, 1'001), kStart);
    EXPECT_EQ(small.counters().refused, 1u);
    EXPECT_EQ(small.size(), 6u);
}

TEST(TlsSessionCache, NoServiceHasAnothersSessions) {
    TlsSessionCache cache({});
    cache.on_new_session(session(1), kStart);
    TlsSession found;
    EXPECT_EQ(cache.find(session(1).id, 1, kStart, found), TlsSessionAnswer::none);
    EXPECT_TRUE(found.der.empty());
}

TEST(TlsSessionCache, GoesThroughAllInTheirOrderAndTellsWhatGoes) {
    std::vector<TlsSessionId> gone;
    TlsSessionCache cache(
        {.sessions = 4, .on_drop = [&](const TlsSession& s) { gone.push_back(s.id); }});
    for (uint64_t i : {1, 2, 3, 2}) cache.on_new_session(session(i), kStart);
    std::vector<TlsSessionId> seen;
    for (const auto* e = cache.next(0); e; e = cache.next(e->number + 1))
        seen.push_back(e->session.id);
    EXPECT_EQ(seen, (std::vector{session(1).id, session(3).id, session(2).id}));
    EXPECT_TRUE(gone.empty());  // the second was replaced by itself
    for (uint64_t i : {4, 5}) cache.on_new_session(session(i), kStart);
    EXPECT_EQ(gone, std::vector{session(1).id});
    cache.expire(kStart + Duration::seconds(100));
    EXPECT_EQ(gone.size(), 5u);
    EXPECT_EQ(cache.next(0), nullptr);
}

TEST(TlsSessionCache, TheSameAgainTakesNoMoreRoom) {
    TlsSessionCache cache({.sessions = 4, .bytes = 10'000});
    for (int i = 0; i < 1'000; ++i) cache.on_new_session(session(i % 3, 50 + i % 7), kStart);
    EXPECT_EQ(cache.size(), 3u);
    EXPECT_EQ(cache.counters().evicted, 0u);
    cache.expire(kStart + Duration::seconds(1'000));
    EXPECT_EQ(cache.size(), 0u);
    EXPECT_EQ(cache.bytes(), 0u);
}

}  // namespace
}  // namespace holdfast
