// A token bucket in nanoseconds of credit: `rate` tokens a second, at most `burst` saved up.
//
// One regime at every rate; time that stands still or goes back gives nothing.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/check.h"
#include "base/time.h"

namespace holdfast {

class TokenBucket {
public:
    TokenBucket(uint32_t rate, uint32_t burst)
        : cost_(1'000'000'000 / std::max<uint32_t>(rate, 1)),
          limit_(cost_ * burst),
          credit_(limit_) {
        CHECK(cost_ > 0 && burst > 0);
    }

    bool take(Instant now) {
        refill(now);
        if (credit_ < cost_) return false;
        credit_ -= cost_;
        return true;
    }
    bool ready(Instant now) {
        refill(now);
        return credit_ >= cost_;
    }

private:
    void refill(Instant now) {
        if (!started_ || now <= at_) {
            if (!started_) at_ = now;
            started_ = true;
            return;
        }
        int64_t passed = (now - at_).ns;
        credit_ = passed >= limit_ - credit_ ? limit_ : credit_ + passed;
        at_ = now;
    }

    int64_t cost_;  // ns of credit a token costs
    int64_t limit_;
    int64_t credit_;
    Instant at_{};
    bool started_ = false;
};

}  // namespace holdfast
