// TCP sequence numbers: arithmetic modulo 2^32, compared as RFC 9293 section 3.4 says.
//
// Only differences below 2^31 can be ordered; that is the caller's business.
#pragma once

#include <cstdint>

namespace holdfast {

struct SeqNum {
    uint32_t value = 0;

    friend constexpr bool operator==(SeqNum, SeqNum) = default;
    friend constexpr SeqNum operator+(SeqNum a, uint32_t n) { return {a.value + n}; }
    friend constexpr SeqNum operator-(SeqNum a, uint32_t n) { return {a.value - n}; }
    // How far a is ahead of b; negative when it is behind.
    friend constexpr int32_t operator-(SeqNum a, SeqNum b) {
        return static_cast<int32_t>(a.value - b.value);
    }
    friend constexpr bool operator<(SeqNum a, SeqNum b) { return a - b < 0; }
    friend constexpr bool operator>(SeqNum a, SeqNum b) { return a - b > 0; }
    friend constexpr bool operator<=(SeqNum a, SeqNum b) { return a - b <= 0; }
    friend constexpr bool operator>=(SeqNum a, SeqNum b) { return a - b >= 0; }
};

constexpr SeqNum later(SeqNum a, SeqNum b) { return a < b ? b : a; }

}  // namespace holdfast
