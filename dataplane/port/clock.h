// The one place where the data plane asks what time it is.
//
// A poll loop stamps an Instant once per poll and looks again before it transmits; everything else
// is handed that Instant. CLOCK_MONOTONIC through the vDSO costs about 25 ns and, unlike the time
// stamp counter, needs no calibration and stands still for nobody: time during which the process
// was stopped counts, which is what the stall check is for. (It does not count a suspended machine;
// CLOCK_BOOTTIME does, so that is what is read.)
#pragma once

#include <time.h>

#include "base/time.h"

namespace holdfast {

class Clock {
public:
    virtual ~Clock() = default;
    virtual Instant now() = 0;
};

class SystemClock final : public Clock {
public:
    Instant now() override {
        timespec t;
        clock_gettime(CLOCK_BOOTTIME, &t);
        return {int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec};
    }
};

}  // namespace holdfast
