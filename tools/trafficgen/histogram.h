// Durations counted in buckets of equal relative width: from 1 ns to 5 hours, no bucket wider than
// 1/64 of its value (after Tene's HdrHistogram: a power of two is cut into 64 equal parts).
//
// Whoever adds says what the duration is counted from; to be free of coordinated omission that is
// the time at which something should have been sent, not at which it was. Fixed memory (about
// 20 KB), no allocation after construction. The largest value is kept exactly.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "base/time.h"

namespace holdfast::gen {

class Histogram {
public:
    static constexpr unsigned kPartBits = 6;

    void add(Duration d) {
        const auto ns = static_cast<uint64_t>(std::max<int64_t>(d.ns, 0));
        ++counts_[std::min(bucket_of(ns), counts_.size() - 1)];
        ++count_;
        sum_ns_ += static_cast<double>(ns);
        max_ = std::max(max_, Duration{static_cast<int64_t>(ns)});
    }
    void clear() { *this = Histogram(); }
    void merge(const Histogram& other) {
        for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
        count_ += other.count_;
        sum_ns_ += other.sum_ns_;
        max_ = std::max(max_, other.max_);
    }

    uint64_t count() const { return count_; }
    Duration max() const { return max_; }
    Duration mean() const {
        return {count_ == 0 ? 0 : static_cast<int64_t>(sum_ns_ / static_cast<double>(count_))};
    }
    // The upper end of the bucket in which the q-th part of all (0 to 1) ends, never above max().
    // Zero when nothing was added.
    Duration quantile(double q) const {
        const double wanted = std::clamp(q, 0.0, 1.0) * static_cast<double>(count_);
        uint64_t seen = 0;
        for (size_t i = 0; i < counts_.size(); ++i) {
            seen += counts_[i];
            if (counts_[i] > 0 && static_cast<double>(seen) >= wanted)
                return std::min(max_, Duration{static_cast<int64_t>(upper_end(i))});
        }
        return max_;
    }

private:
    static constexpr uint64_t kParts = 1u << kPartBits;
    static constexpr unsigned kMostBits = 44;  // 2^44 ns: 4.9 hours

    // Below kParts each value has a bucket; above, the highest kPartBits bits after the first one.
    static size_t bucket_of(uint64_t ns) {
        if (ns < kParts) return ns;
        const unsigned shift = static_cast<unsigned>(std::bit_width(ns)) - 1 - kPartBits;
        return (uint64_t{shift} << kPartBits) + (ns >> shift);
    }
    static uint64_t upper_end(size_t bucket) {
        if (bucket < 2 * kParts) return bucket;
        const uint64_t shift = (bucket >> kPartBits) - 1;
        return ((bucket - (shift << kPartBits) + 1) << shift) - 1;
    }

    std::vector<uint64_t> counts_ = std::vector<uint64_t>((kMostBits - kPartBits + 1) << kPartBits);
    uint64_t count_ = 0;
    double sum_ns_ = 0;
    Duration max_{};
};

}  // namespace holdfast::gen
