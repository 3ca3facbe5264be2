// When the next heartbeat is due: a steady interval, and after the last DATA a ladder that begins
// short and doubles up to it, so that the loss of the last datagram shows within a fraction of a
// millisecond (RFC 3208 section 5.1.5, with our times).
#pragma once

#include <cstdint>
#include <limits>

#include "base/time.h"

namespace holdfast {

class HeartbeatLadder {
public:
    HeartbeatLadder(Duration interval, Duration first) : interval_(interval), first_(first) {}

    void on_data(Instant now) {
        step_ = first_;
        rung_ = step_ < interval_ ? now + step_ : Instant::max();
    }
    void on_sent(Instant now) {
        sent_ = now;
        steady_ = now + interval_;
        if (rung_ == Instant::max()) return;
        step_ = step_ * 2;
        rung_ = step_ < interval_ ? now + step_ : Instant::max();
    }
    // Impatient: somebody has not answered for a while, so four times as often.
    Instant due(bool impatient) const {
        Instant steady = impatient ? earlier(steady_, sent_ + interval_ / 4) : steady_;
        return earlier(steady, rung_);
    }

private:
    Duration interval_;
    Duration first_;
    Duration step_{};
    Instant sent_{};
    Instant steady_{std::numeric_limits<int64_t>::min()};  // the first one at once
    Instant rung_ = Instant::max();
};

}  // namespace holdfast
