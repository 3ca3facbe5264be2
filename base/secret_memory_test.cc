#include "base/secret_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

namespace holdfast {
namespace {

TEST(SecretArena, HandsOutWhatItHasAndNoMore) {
    SecretArena arena(40, 3);
    std::array<void*, 3> slots{arena.take(), arena.take(), arena.take()};
    for (void* slot : slots) {
        ASSERT_NE(slot, nullptr);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(slot) % 16, 0u);
    }
    EXPECT_EQ(arena.take(), nullptr);
    EXPECT_EQ(arena.counters().refused, 1u);
    EXPECT_EQ(arena.in_use(), 3u);
    arena.give_back(slots[1]);
    EXPECT_EQ(arena.take(), slots[1]);
}

TEST(SecretArena, WhatComesBackIsWiped) {
    SecretArena arena(64, 1);
    auto* bytes = static_cast<std::byte*>(arena.take());
    std::fill_n(bytes, 64, std::byte{0x5a});
    arena.give_back(bytes);
    bytes = static_cast<std::byte*>(arena.take());
    EXPECT_TRUE(std::all_of(bytes, bytes + 64, [](std::byte b) { return b == std::byte{0}; }));
}

struct Key {
    std::array<std::byte, 32> bytes{};
};

TEST(SecretArena, APointerReturnsItsSlot) {
    SecretArena arena(sizeof(Key), 1);
    {
        SecretPtr<Key> key(arena);
        ASSERT_TRUE(key);
        EXPECT_FALSE(SecretPtr<Key>(arena));
        SecretPtr<Key> moved = std::move(key);
        EXPECT_FALSE(key);
        EXPECT_TRUE(moved);
        EXPECT_EQ(arena.in_use(), 1u);
    }
    EXPECT_EQ(arena.in_use(), 0u);
}

TEST(SecretRegion, IsFullOfZerosAndSaysHowItIsProtected) {
    SecretRegion region(1 << 20);
    EXPECT_EQ(region.size(), size_t{1} << 20);
    EXPECT_TRUE(std::all_of(region.data(), region.data() + region.size(),
                            [](std::byte b) { return b == std::byte{0}; }));
    EXPECT_NE(region.protection(), SecretProtection::secret);
    EXPECT_EQ(SecretRegion(0).data(), nullptr);
}

TEST(Wiped, LeavesNothingWhereItWas) {
    Wiped<Key> key;
    key->bytes.fill(std::byte{7});
    Wiped<Key> moved = std::move(key);
    EXPECT_EQ(key->bytes[5], std::byte{0});
    EXPECT_EQ(moved->bytes[5], std::byte{7});
}

}  // namespace
}  // namespace holdfast
