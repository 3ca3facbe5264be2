#include "replication/buzhash.h"

#include <array>
#include <utility>

#include "base/random.h"

namespace holdfast {
namespace {

// Column by column: 128 ones and 128 zeros, shuffled (Fisher and Yates) by splitmix64 from a fixed
// seed. The seed spells "holdfast"; any would do, and changing it changes where every fragment
// lives.
constexpr std::array<uint64_t, 256> make_table() {
    std::array<uint64_t, 256> table{};
    Random random(0x686f6c6466617374);
    for (unsigned column = 0; column < 64; ++column) {
        std::array<bool, 256> ones{};
        for (unsigned i = 0; i < 128; ++i) ones[i] = true;
        for (unsigned i = 255; i > 0; --i)
            std::swap(ones[i], ones[static_cast<size_t>(random.below(i + 1))]);
        for (unsigned i = 0; i < 256; ++i) table[i] |= uint64_t{ones[i]} << column;
    }
    return table;
}

constexpr std::array<uint64_t, 256> kTable = make_table();

}  // namespace

uint64_t buzhash(Bytes key, uint64_t start) {
    uint64_t h = start;
    for (std::byte b : key) h = std::rotl(h, 1) ^ kTable[std::to_integer<uint8_t>(b)];
    return h;
}

uint64_t buzhash_table(uint8_t value) { return kTable[value]; }

}  // namespace holdfast
