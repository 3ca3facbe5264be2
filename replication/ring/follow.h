// How we follow one peer's ring: ask to follow, track what arrives, ask for what does not, and say
// how far we have come.
//
// idle -> joining (FOLLOW, repeated until FOLLOW_OK) -> following; back to joining when the peer
// says GONE, or its heartbeat shows that what we miss has left its ring. While joining again, what
// still arrives of the old stretch is delivered. Times when a frame should be sent come due here;
// the ring sends it and says so.
#pragma once

#include <cstdint>

#include "base/random.h"
#include "base/time.h"
#include "replication/ring/frame.h"
#include "replication/ring/gap_tracker.h"
#include "replication/ring/nak_schedule.h"

namespace holdfast {

struct FollowOptions {
    uint32_t window = 8192;  // datagrams
    Duration heartbeat = Duration::milliseconds(20);
    bool acknowledge_each = false;
};

class Follow {
public:
    // A status for so many datagrams at the latest, or for an eighth of the window: the sender
    // needs to know how much of its ring is free. A receive burst is 32 or 64.
    static constexpr uint32_t kStatusEvery = 64;

    explicit Follow(const FollowOptions& options);

    // The peer's incarnation is new: begin to follow its ring.
    void start(Instant now);
    bool following() const { return state_ == State::following; }
    uint64_t join() const { return join_; }
    Position contiguous() const { return tracker_.contiguous(); }

    enum class Verdict : uint8_t { wanted, duplicate, beyond, not_following };
    Verdict judge(Position p) const;  // before unsealing
    // True when this showed a new gap.
    bool on_data(Position p, bool ask, uint64_t stamp, Instant now);
    bool on_heartbeat(const HeartbeatBody& beat, bool ask, Instant now);
    bool on_follow_ok(const FollowOkBody& body, Instant now);
    bool on_gone(uint64_t join, Instant now);
    void on_stamp(uint64_t stamp, Instant now);

    Instant next_deadline() const;
    bool nak_due(Instant now) const { return following() && naks_.next_deadline() <= now; }
    bool status_due(Instant now) const { return following() && status_due_ <= now; }
    bool follow_due(Instant now) const { return state_ == State::joining && follow_due_ <= now; }
    // Fills ranges and count; false when there is nothing to ask after all.
    bool make_nak(NakBody& body, Duration timeout, Random& random, Instant now);
    StatusBody make_status(Instant now);
    FollowBody make_follow(Duration timeout, Instant now);

private:
    enum class State : uint8_t { idle, joining, following };

    void rejoin(Instant now);
    void on_progress(Position before, Instant now);
    Duration hold(Instant now) const { return echo_ == 0 ? Duration{} : now - echo_at_; }

    FollowOptions options_;
    uint32_t status_every_;
    State state_ = State::idle;
    GapTracker tracker_;
    NakSchedule naks_;
    bool tracking_ = false;  // the tracker means something (false until the first FOLLOW_OK)
    uint64_t join_ = 0;
    Position asked_up_to_;  // a gate waits for us to have this
    uint32_t since_status_ = 0;
    Position told_;      // by the last status
    uint64_t echo_ = 0;  // newest stamp heard
    Instant echo_at_{};
    Instant status_due_ = Instant::max();
    Instant status_sent_{};
    Instant follow_due_ = Instant::max();
    unsigned follow_tries_ = 0;
};

}  // namespace holdfast
