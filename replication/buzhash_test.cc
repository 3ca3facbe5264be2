#include "replication/buzhash.h"

#include <gtest/gtest.h>

#include <bit>
#include <set>
#include <string_view>

using namespace holdfast;

namespace {
uint64_t hash(std::string_view text) { return buzhash(std::as_bytes(std::span(text))); }
}  // namespace

// The vectors of docs/protocol.md: a change here is a change of the protocol.
TEST(Buzhash, ReferenceVectors) {
    EXPECT_EQ(hash(""), 0u);
    EXPECT_EQ(hash("a"), 11359881931525708412u);
    EXPECT_EQ(hash("holdfast"), 7792391486146206761u);
    EXPECT_EQ(hash("The quick brown fox jumps over the lazy dog"), 10707280205201174909u);
}

TEST(Buzhash, EveryColumnOfTheTableIsBalanced) {
    for (unsigned column = 0; column < 64; ++column) {
        unsigned ones = 0;
        for (unsigned i = 0; i < 256; ++i)
            ones += static_cast<unsigned>(buzhash_table(static_cast<uint8_t>(i)) >> column & 1);
        EXPECT_EQ(ones, 128u) << "column " << column;
    }
}

TEST(Buzhash, TableWordsDiffer) {
    std::set<uint64_t> words;
    for (unsigned i = 0; i < 256; ++i) words.insert(buzhash_table(static_cast<uint8_t>(i)));
    EXPECT_EQ(words.size(), 256u);
}

TEST(Buzhash, IsCyclic) {
    // h(xyz) = rotl(T[x], 2) ^ rotl(T[y], 1) ^ T[z]: the definition, written out.
    const uint64_t expected =
        std::rotl(buzhash_table('x'), 2) ^ std::rotl(buzhash_table('y'), 1) ^ buzhash_table('z');
    EXPECT_EQ(hash("xyz"), expected);
    std::string_view z = "z";
    EXPECT_EQ(buzhash(std::as_bytes(std::span(z)), hash("xy")), expected);
}
