// When to announce a group that has just been taken: at once, then after 10, 100 and 1000 ms,
// because an announcement may be lost and switches may still be learning.
//
// Pure machine; what is announced is the caller's (announce_address in answer.h).
#pragma once

#include <array>

#include "base/cluster.h"
#include "base/time.h"

namespace holdfast {

class Announcer {
public:
    static constexpr std::array<Duration, 4> kSchedule{
        Duration::milliseconds(0), Duration::milliseconds(10), Duration::milliseconds(100),
        Duration::milliseconds(1000)};

    void start(GroupId group, Instant now) { groups_[group.value] = {now, 0, true}; }
    void stop(GroupId group) { groups_[group.value].running = false; }

    Instant next_deadline() const {
        Instant next = Instant::max();
        for (const Run& r : groups_)
            if (r.running) next = earlier(next, r.started + kSchedule[r.step]);
        return next;
    }

    // Calls announce(group) once for each that is due.
    template <typename Announce>
    void on_deadline(Instant now, Announce&& announce) {
        for (uint8_t g = 0; g < kMaxGroups; ++g) {
            Run& r = groups_[g];
            if (!r.running || r.started + kSchedule[r.step] > now) continue;
            while (r.step < kSchedule.size() && r.started + kSchedule[r.step] <= now) ++r.step;
            r.running = r.step < kSchedule.size();
            announce(GroupId{g});
        }
    }

private:
    struct Run {
        Instant started;
        uint8_t step = 0;
        bool running = false;
    };
    std::array<Run, kMaxGroups> groups_{};
};

}  // namespace holdfast
