#include "replication/ring/nak_schedule.h"

#include <algorithm>

namespace holdfast {
namespace {

Duration patience(Duration timeout, uint8_t tries, Random& random) {
    Duration d = timeout;
    for (uint8_t i = 0; i < tries && d < NakSchedule::kMaxPatience; ++i) d = d * 3 / 2;
    d = std::min(d, NakSchedule::kMaxPatience);
    return d * 3 / 4 + Duration{static_cast<int64_t>(random.below(d.ns / 2 + 1))};
}

}  // namespace

void NakSchedule::add(PositionRange gap, Instant now) {
    next_ = earlier(next_, now);
    if (count_ == kMaxGaps) {
        Gap& last = gaps_[count_ - 1];
        last = {{last.range.first, gap.last}, now, 0};
        return;
    }
    gaps_[count_++] = {gap, now, 0};
}

size_t NakSchedule::collect(const GapTracker& tracker, Duration timeout, Random& random,
                            Instant now, std::span<NakRange> out) {
    size_t used = 0, kept = 0;
    next_ = Instant::max();
    for (size_t i = 0; i < count_; ++i) {
        Gap gap = gaps_[i];
        PositionRange rest = gap.range;
        auto run = tracker.missing(rest);
        if (!run) continue;
        // A gap wider than a frame is asked for in part; the rest follows when that has come.
        bool asked = false;
        while (gap.due <= now && run && used < out.size()) {
            out[used++] = {run->first, static_cast<uint32_t>(run->last - run->first + 1)};
            asked = true;
            rest.first = run->last.plus(1);
            run = tracker.missing(rest);
        }
        if (asked) {
            gap.due = now + patience(timeout, gap.tries, random);
            if (gap.tries < 32) ++gap.tries;
        }
        next_ = earlier(next_, gap.due);
        gaps_[kept++] = gap;
    }
    count_ = kept;
    return used;
}

}  // namespace holdfast
