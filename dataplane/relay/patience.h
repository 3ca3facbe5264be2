// For the rest of something that does not come.
#pragma once

#include <cstddef>

#include "base/time.h"

namespace holdfast {

class Patience {
public:
    explicit Patience(Duration lasts) : lasts_(lasts) {}

    // Whether what `waits` has been no more than `size` for that long, and it `may` be over.
    bool is_over(bool waits, size_t size, bool may, Instant now) {
        if (!waits) {
            until_ = Instant::max();
            return false;
        }
        if (until_ == Instant::max() || size != seen_) {
            seen_ = size;
            until_ = now + lasts_;
            return false;
        }
        if (now < until_) return false;
        until_ = may ? Instant::max() : now + lasts_;
        return may;
    }

    Instant until() const { return until_; }

private:
    Duration lasts_;
    Instant until_ = Instant::max();
    size_t seen_ = 0;
};

}  // namespace holdfast
