#include "replication/ring/follow.h"

#include <algorithm>

namespace holdfast {

Follow::Follow(const FollowOptions& options)
    : options_(options),
      status_every_(options.acknowledge_each ? 1 : std::min(kStatusEvery, options.window / 8)),
      tracker_(options.window) {}

void Follow::start(Instant now) {
    tracking_ = false;
    join_ = 0;
    echo_ = 0;
    rejoin(now);
}

void Follow::rejoin(Instant now) {
    state_ = State::joining;
    ++join_;
    follow_due_ = now;
    follow_tries_ = 0;
    naks_.clear();
    status_due_ = Instant::max();
}

Follow::Verdict Follow::judge(Position p) const {
    if (!tracking_) return Verdict::not_following;
    if (tracker_.have(p)) return Verdict::duplicate;
    return tracker_.within(p) ? Verdict::wanted : Verdict::beyond;
}

void Follow::on_stamp(uint64_t stamp, Instant now) {
    if (stamp <= echo_) return;
    echo_ = stamp;
    echo_at_ = now;
}

// A status is due at once when the stretch that a gate waits for is complete, and when a repair has
// joined so much that the sender may be waiting for room.
void Follow::on_progress(Position before, Instant now) {
    Position have = tracker_.contiguous();
    if (before < asked_up_to_ && have >= asked_up_to_) status_due_ = now;
    if (have > told_ && have - told_ >= status_every_) status_due_ = now;
}

bool Follow::on_data(Position p, bool ask, uint64_t stamp, Instant now) {
    on_stamp(stamp, now);
    Position before = tracker_.contiguous();
    auto gap = tracker_.mark(p);
    if (!following()) return false;
    if (gap) naks_.add(*gap, now);
    if (ask) {
        asked_up_to_ = std::max(asked_up_to_, p);
        status_due_ = now;
    }
    on_progress(before, now);
    if (++since_status_ >= status_every_) status_due_ = now;
    return gap.has_value();
}

bool Follow::on_heartbeat(const HeartbeatBody& beat, bool ask, Instant now) {
    on_stamp(beat.stamp, now);
    if (!following()) return false;
    if (beat.oldest > tracker_.contiguous().plus(1)) {
        rejoin(now);
        return false;
    }
    auto gap = tracker_.learn(beat.last);
    if (gap) naks_.add(*gap, now);
    if (ask) asked_up_to_ = std::max(asked_up_to_, beat.last);
    // Answered at once, so that the echo in it is fresh; a ladder's steps are not all answered.
    if (ask || now - status_sent_ >= options_.heartbeat / 2) status_due_ = now;
    return gap.has_value();
}

bool Follow::on_follow_ok(const FollowOkBody& body, Instant now) {
    if (state_ != State::joining || body.join != join_) return false;
    Position had{body.start.value - 1};
    if (tracking_) {
        tracker_.skip_to(had);
        // What was known to be missing before is still wanted, if it is not behind us now.
        if (tracker_.highest() > tracker_.contiguous())
            naks_.add({tracker_.contiguous().plus(1), tracker_.highest()}, now);
    } else {
        tracker_.restart(had);
        asked_up_to_ = {};
    }
    tracking_ = true;
    state_ = State::following;
    follow_due_ = Instant::max();
    since_status_ = 0;
    status_due_ = now;
    return true;
}

bool Follow::on_gone(uint64_t join, Instant now) {
    if (state_ == State::idle || join != join_) return false;
    rejoin(now);
    return true;
}

Instant Follow::next_deadline() const {
    switch (state_) {
        case State::idle:
            return Instant::max();
        case State::joining:
            return follow_due_;
        case State::following:
            return earlier(naks_.next_deadline(), status_due_);
    }
    return Instant::max();
}

bool Follow::make_nak(NakBody& body, Duration timeout, Random& random, Instant now) {
    body.join = join_;
    body.count = static_cast<uint32_t>(
        naks_.collect(tracker_, timeout, random, now, std::span(body.ranges)));
    return body.count > 0;
}

StatusBody Follow::make_status(Instant now) {
    since_status_ = 0;
    told_ = tracker_.contiguous();
    status_sent_ = now;
    status_due_ = now + options_.heartbeat;
    return {.subject = {},
            .join = join_,
            .contiguous = tracker_.contiguous(),
            .echo = echo_,
            .hold_ns = static_cast<uint64_t>(hold(now).ns),
            .body = {}};
}

FollowBody Follow::make_follow(Duration timeout, Instant now) {
    Duration wait = timeout;
    for (unsigned i = 0; i < follow_tries_ && wait < options_.heartbeat; ++i) wait = wait * 2;
    ++follow_tries_;
    follow_due_ = now + std::min(wait, options_.heartbeat);
    return {.subject = {},
            .join = join_,
            .echo = echo_,
            .hold_ns = static_cast<uint64_t>(hold(now).ns)};
}

}  // namespace holdfast
