// BUZhash (Robert Uzgalis, 1992): per byte, rotate the hash left by one and xor a random word from
// a table.
//
// It decides which slot a fragment belongs to, so every node must compute the same value: table and
// reference vectors are part of the protocol (docs/protocol.md). Each of the 64 bit columns of the
// table has exactly 128 ones, as Uzgalis asks, so no bit of the hash is biased for any single byte.
// Keys up to 64 bytes do not wrap around the word. Not a keyed hash: where an attacker could profit
// from collisions (hash tables), mix in a seed (fragment/store). About one nanosecond a byte.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace holdfast {

uint64_t buzhash(Bytes key, uint64_t start = 0);

// The table word of one byte value, for the test of its construction.
uint64_t buzhash_table(uint8_t value);

}  // namespace holdfast
