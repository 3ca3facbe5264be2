// FNV-1a, 64 bits (http://www.isthe.com/chongo/tech/comp/fnv): tells blocks of a stream apart.
#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace holdfast::history {

constexpr uint64_t checksum(Bytes bytes) {
    uint64_t hash = 0xcbf29ce484222325;
    for (const std::byte b : bytes) hash = (hash ^ static_cast<uint64_t>(b)) * 0x100000001b3;
    return hash;
}

}  // namespace holdfast::history
