// Notices by itself that nothing is answered any more, and when it is again.
//
// A gap is a time in which something was outstanding and nothing at all was answered, longer than
// the threshold. It is counted from the last answer before it, or from when something became
// outstanding, whichever was later: a generator that sends nothing sees no gap. Each gap tells what
// was in flight when it began and what was sent into it. What one session saw is the caller's
// (Session::longest_us). Pure machine; time is passed in.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/time.h"

namespace holdfast::gen {

struct Gap {
    Instant began;
    Duration length;
    uint64_t in_flight = 0;    // outstanding at its beginning
    uint64_t sent_during = 0;  // besides
    uint64_t sessions = 0;     // that waited longer than the threshold and were answered since
    bool open = false;         // nothing was answered yet
};

class FailoverDetector {
public:
    static constexpr size_t kKept = 64;  // the first ones; all are counted

    explicit FailoverDetector(Duration threshold) : threshold_(threshold) { gaps_.reserve(kKept); }

    // `n` things that want an answer.
    void on_sent(uint64_t n, Instant now) {
        if (outstanding_ == 0) begin_waiting(now);
        outstanding_ += n;
        sent_since_ += n;
    }
    void on_answered(uint64_t n, Instant now) {
        const Duration waited = outstanding_ > 0 ? now - since_ : Duration{};
        if (waited > threshold_) end_gap(waited);
        longest_ = std::max(longest_, waited);
        forget(n);
        begin_waiting(now);
    }
    // What will not be answered any more, and is not waited for.
    void forget(uint64_t n) { outstanding_ -= std::min(n, outstanding_); }
    // A session was answered after waiting longer than the threshold.
    void on_session_waited(Duration waited) {
        longest_session_ = std::max(longest_session_, waited);
        ++sessions_waited_;
        if (!gaps_.empty() && count_ <= kKept) ++gaps_.back().sessions;
    }

    Duration threshold() const { return threshold_; }
    uint64_t outstanding() const { return outstanding_; }
    // The longest so far, whether or not it reached the threshold, with one that still lasts.
    Duration longest(Instant now) const {
        return outstanding_ > 0 ? std::max(longest_, now - since_) : longest_;
    }
    Duration longest_session() const { return longest_session_; }
    uint64_t sessions_waited() const { return sessions_waited_; }
    uint64_t count() const { return count_; }
    // The first kKept, and the one that is open, if any.
    std::vector<Gap> gaps(Instant now) const {
        std::vector<Gap> all = gaps_;
        if (outstanding_ > 0 && now - since_ > threshold_)
            all.push_back({since_, now - since_, in_flight_, sent_since_, 0, true});
        return all;
    }
    void clear() {
        longest_ = longest_session_ = {};
        count_ = sessions_waited_ = 0;
        gaps_.clear();
    }

private:
    void begin_waiting(Instant now) {
        since_ = now;
        in_flight_ = outstanding_;
        sent_since_ = 0;
    }
    void end_gap(Duration length) {
        ++count_;
        if (gaps_.size() < kKept)
            gaps_.push_back({since_, length, in_flight_, sent_since_, 0, false});
    }

    Duration threshold_;
    Instant since_;  // of the last answer, or of what is outstanding
    uint64_t outstanding_ = 0;
    uint64_t in_flight_ = 0;  // at since_
    uint64_t sent_since_ = 0;
    Duration longest_{}, longest_session_{};
    uint64_t count_ = 0, sessions_waited_ = 0;
    std::vector<Gap> gaps_;
};

}  // namespace holdfast::gen
