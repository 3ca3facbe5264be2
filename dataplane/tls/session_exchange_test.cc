#include "dataplane/tls/session_exchange.h"

#include <gtest/gtest.h>

#include <thread>

namespace holdfast {
namespace {

TlsSession session(uint64_t n) {
    TlsSession s;
    s.id.size = 32;
    store_le(s.id.bytes.data(), n);
    s.der.assign(100, std::byte(n));
    return s;
}

TEST(TlsSessionExchange, EveryOtherWorkerGetsACopy) {
    TlsSessionExchange exchange(3, 4);
    EXPECT_EQ(exchange.give(1, session(7)), 0u);
    EXPECT_EQ(exchange.take(1), nullptr);
    for (unsigned other : {0u, 2u}) {
        const auto got = exchange.take(other);
        ASSERT_TRUE(got);
        EXPECT_EQ(got->id, session(7).id);
        EXPECT_EQ(got->der, session(7).der);
        EXPECT_TRUE(got->copied);
        EXPECT_EQ(exchange.take(other), nullptr);
    }
}

TEST(TlsSessionExchange, WhatFindsNoRoomIsCounted) {
    TlsSessionExchange exchange(3, 2);
    for (uint64_t i = 0; i < 2; ++i) EXPECT_EQ(exchange.give(0, session(i)), 0u);
    EXPECT_TRUE(exchange.take(2));
    EXPECT_EQ(exchange.give(0, session(2)), 1u);
    EXPECT_EQ(exchange.give(0, session(3)), 2u);
}

TEST(TlsSessionExchange, AGroupIsCompleteWhenAllSaySo) {
    TlsSessionExchange exchange(2, 2);
    const GroupId one{1}, fifteen{15};
    exchange.set_complete(0, one, true);
    EXPECT_FALSE(exchange.complete(one));
    exchange.set_complete(1, one, true);
    exchange.set_complete(1, fifteen, true);
    EXPECT_TRUE(exchange.complete(one));
    EXPECT_FALSE(exchange.complete(fifteen));
    exchange.set_complete(0, one, false);
    EXPECT_FALSE(exchange.complete(one));
}

TEST(TlsSessionExchange, BetweenThreads) {
    constexpr uint64_t kEach = 20'000;
    TlsSessionExchange exchange(2, 64);
    uint64_t sums[2] = {};
    const auto work = [&](unsigned self) {
        for (uint64_t given = 0, taken = 0; given < kEach || taken < kEach;) {
            if (given < kEach) given += exchange.give(self, session(given + 1)) == 0;
            while (const auto got = exchange.take(self)) {
                ++taken;
                sums[self] += load_le<uint64_t>(got->id.bytes.data());
            }
        }
    };
    std::thread other([&] { work(1); });
    work(0);
    other.join();
    for (const uint64_t sum : sums) EXPECT_EQ(sum, kEach * (kEach + 1) / 2);
}

}  // namespace
}  // namespace holdfast
