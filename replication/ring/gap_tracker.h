// Which datagrams of one ring have arrived: everything up to contiguous(), and a bitmap of what
// lies ahead of it, up to a window.
//
// Positions are 64-bit and never wrap; only differences are compared with the window. highest() is
// the newest position known to exist, whether or not it arrived. Memory: window / 8 bytes, taken by
// the constructor.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/check.h"
#include "base/cluster.h"

namespace holdfast {

struct PositionRange {
    Position first, last;  // both included
    friend bool operator==(const PositionRange&, const PositionRange&) = default;
};

class GapTracker {
public:
    explicit GapTracker(uint32_t window) : words_(window / 64), window_(window) {
        CHECK(window >= 64 && (window & (window - 1)) == 0);
    }

    void restart(Position contiguous) {
        words_.assign(words_.size(), 0);
        contiguous_ = highest_ = contiguous;
    }

    Position contiguous() const { return contiguous_; }
    Position highest() const { return highest_; }
    bool within(Position p) const { return p <= contiguous_ || p - contiguous_ <= window_; }
    bool have(Position p) const { return p <= contiguous_ || (p <= highest_ && word(p) & bit(p)); }

    // Something arrived. Only for within(p) and not have(p). Returns the gap that it reveals.
    std::optional<PositionRange> mark(Position p) {
        if (p == contiguous_.plus(1) && highest_ == contiguous_) {
            contiguous_ = highest_ = p;
            return std::nullopt;
        }
        auto gap = p > highest_.plus(1) ? learn({p.value - 1}) : std::nullopt;
        if (p > highest_) highest_ = p;
        word(p) |= bit(p);
        advance();
        return gap;
    }

    // The ring has come as far as `last`. Returns what is newly known to be missing; what lies
    // beyond the window is not remembered.
    std::optional<PositionRange> learn(Position last) {
        if (last <= highest_) return std::nullopt;
        if (!within(last)) last = contiguous_.plus(window_);
        PositionRange gap{highest_.plus(1), last};
        if (gap.first > gap.last) return std::nullopt;
        highest_ = last;
        return gap;
    }

    // Forget everything up to `contiguous`: it will not be had.
    void skip_to(Position contiguous) {
        if (contiguous <= contiguous_) return;
        if (contiguous >= highest_) return restart(contiguous);
        for (Position p = contiguous_.plus(1); p <= contiguous; p = p.plus(1)) word(p) &= ~bit(p);
        contiguous_ = contiguous;
        advance();
    }

    // The first run of missing positions in `in`.
    std::optional<PositionRange> missing(PositionRange in) const {
        Position p = in.first > contiguous_ ? in.first : contiguous_.plus(1);
        Position end = in.last < highest_ ? in.last : highest_;
        while (p <= end && have(p)) p = p.plus(1);
        if (p > end) return std::nullopt;
        Position last = p;
        while (last < end && !have(last.plus(1))) last = last.plus(1);
        return PositionRange{p, last};
    }

private:
    static uint64_t bit(Position p) { return uint64_t{1} << (p.value % 64); }
    uint64_t& word(Position p) { return words_[p.value / 64 & (words_.size() - 1)]; }
    const uint64_t& word(Position p) const { return words_[p.value / 64 & (words_.size() - 1)]; }

    void advance() {
        while (contiguous_ < highest_) {
            Position p = contiguous_.plus(1);
            if (!(word(p) & bit(p))) return;
            word(p) &= ~bit(p);
            contiguous_ = p;
        }
    }

    std::vector<uint64_t> words_;  // bits of (contiguous, contiguous + window], else clear
    uint64_t window_;
    Position contiguous_;
    Position highest_;
};

}  // namespace holdfast
