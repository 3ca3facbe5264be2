// Round-trip time to one peer, smoothed as in RFC 6298 section 2 (its floor and granularity are
// ours: a ring's round trips are tens of microseconds).
#pragma once

#include <algorithm>

#include "base/time.h"

namespace holdfast {

class RttEstimator {
public:
    void sample(Duration rtt) {
        if (rtt.ns <= 0) return;
        if (srtt_.ns == 0) {
            srtt_ = rtt;
            var_ = rtt / 2;
            return;
        }
        int64_t error = srtt_.ns > rtt.ns ? srtt_.ns - rtt.ns : rtt.ns - srtt_.ns;
        var_ = {(3 * var_.ns + error) / 4};
        srtt_ = {(7 * srtt_.ns + rtt.ns) / 8};
    }
    // Before the first sample: 1 ms, a guess for one switch and a busy receiver.
    Duration smoothed() const { return srtt_.ns == 0 ? Duration::milliseconds(1) : srtt_; }
    // When to ask again.
    Duration timeout() const {
        return {std::clamp<int64_t>(smoothed().ns + 4 * var_.ns, 200'000, 20'000'000)};
    }

private:
    Duration srtt_{};
    Duration var_{};
};

}  // namespace holdfast
