// A small seeded generator (splitmix64, Vigna 2015) for what needs spread, not secrecy: back-off,
// sampling, tests. It is handed to protocol code by constructor; nothing seeds itself.
#pragma once

#include <cstdint>

namespace holdfast {

// The finaliser of splitmix64: a bijection on 64 bits that spreads every input bit over the word.
constexpr uint64_t mix64(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

class Random {
public:
    explicit constexpr Random(uint64_t seed) : state_(seed) {}

    constexpr uint64_t next() { return mix64(state_ += 0x9e3779b97f4a7c15ull); }
    // 0 to bound - 1; bound > 0. The bias is below bound / 2^64.
    constexpr uint64_t below(uint64_t bound) {
        __extension__ using Wide = unsigned __int128;
        return static_cast<uint64_t>(static_cast<Wide>(next()) * bound >> 64);
    }
    // True with the given probability, 0 to 1.
    constexpr bool chance(double probability) {
        return static_cast<double>(next() >> 11) * 0x1p-53 < probability;
    }

private:
    uint64_t state_;
};

}  // namespace holdfast
