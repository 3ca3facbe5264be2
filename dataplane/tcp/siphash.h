// SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash whose output says nothing about the key
// nor about other outputs. For what goes to strangers: initial sequence numbers, cookies.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "base/bytes.h"

namespace holdfast {

using SipKey = std::array<std::byte, 16>;

inline uint64_t siphash(const SipKey& key, Bytes message) {
    const uint64_t k0 = load_le<uint64_t>(key.data()), k1 = load_le<uint64_t>(key.data() + 8);
    uint64_t a = k0 ^ 0x736f6d6570736575, b = k1 ^ 0x646f72616e646f6d, c = k0 ^ 0x6c7967656e657261,
             d = k1 ^ 0x7465646279746573;
    const auto round = [&] {
        a += b, c += d;
        b = std::rotl(b, 13) ^ a, d = std::rotl(d, 16) ^ c;
        a = std::rotl(a, 32);
        c += b, a += d;
        b = std::rotl(b, 17) ^ c, d = std::rotl(d, 21) ^ a;
        c = std::rotl(c, 32);
    };
    const auto take = [&](uint64_t word) {
        d ^= word;
        round();
        round();
        a ^= word;
    };
    uint64_t last = uint64_t{message.size()} << 56;
    for (; message.size() >= 8; message = message.subspan(8))
        take(load_le<uint64_t>(message.data()));
    for (size_t i = 0; i < message.size(); ++i)
        last |= std::to_integer<uint64_t>(message[i]) << 8 * i;
    take(last);
    c ^= 0xff;
    for (int i = 0; i < 4; ++i) round();
    return a ^ b ^ c ^ d;
}

}  // namespace holdfast
