// Which control frames of one sender have been seen (RFC 4303 section 3.4.3): at most once, though
// they may arrive out of order by up to 1024.
//
// Check with fresh() before unsealing, mark with accept() after.
#pragma once

#include <array>
#include <cstdint>

namespace holdfast {

class ReplayWindow {
public:
    static constexpr uint64_t kSize = 1024;

    // Nothing below `first` will be believed.
    void restart(uint64_t first) {
        next_ = floor_ = first;
        seen_.fill(0);
    }
    bool fresh(uint64_t n) const {
        if (n >= next_) return n != UINT64_MAX;
        if (n < floor_ || next_ - n > kSize) return false;
        return !(word(n) >> (n % 64) & 1);
    }
    void accept(uint64_t n) {
        if (n >= next_) {
            if (n - next_ >= kSize) {
                seen_.fill(0);
            } else {
                for (uint64_t i = next_; i < n; ++i) word(i) &= ~bit(i);
            }
            next_ = n + 1;
        }
        word(n) |= bit(n);
    }

private:
    static uint64_t bit(uint64_t n) { return uint64_t{1} << (n % 64); }
    uint64_t& word(uint64_t n) { return seen_[n / 64 % seen_.size()]; }
    const uint64_t& word(uint64_t n) const { return seen_[n / 64 % seen_.size()]; }

    std::array<uint64_t, kSize / 64> seen_{};
    uint64_t next_ = 0;
    uint64_t floor_ = 0;
};

}  // namespace holdfast
