// When to ask for what is missing: each gap at once when it shows, then again with growing patience
// until it is filled.
//
// All gaps that are due go into one frame, as ranges (RFC 3208 lists, RFC 5740 bitmaps; asking for
// one gap at a time is what slows others down fifteenfold at 1 % loss). No suppression delay: asks
// are unicast and the sender holds repeats off. The tracker's bitmap is the truth; a gap here is
// only where to look, and is dropped when nothing in it is missing. Bounded: when the table is full
// the last gap grows over the new one.
#pragma once

#include <array>
#include <span>

#include "base/random.h"
#include "base/time.h"
#include "replication/ring/frame.h"
#include "replication/ring/gap_tracker.h"

namespace holdfast {

class NakSchedule {
public:
    static constexpr size_t kMaxGaps = 256;
    static constexpr Duration kMaxPatience = Duration::milliseconds(20);

    void clear() {
        count_ = 0;
        next_ = Instant::max();
    }
    void add(PositionRange gap, Instant now);
    // Writes the missing ranges of all due gaps to `out`, oldest first; returns how many. The next
    // asking is `timeout` away, longer each time, +-25 %. Gaps of which nothing fitted stay due.
    size_t collect(const GapTracker& tracker, Duration timeout, Random& random, Instant now,
                   std::span<NakRange> out);
    // Never later than the next gap that is due; may be early.
    Instant next_deadline() const { return next_; }
    size_t gaps() const { return count_; }

private:
    struct Gap {
        PositionRange range;
        Instant due;
        uint8_t tries = 0;
    };
    std::array<Gap, kMaxGaps> gaps_;  // ascending, disjoint
    size_t count_ = 0;
    Instant next_ = Instant::max();
};

}  // namespace holdfast
