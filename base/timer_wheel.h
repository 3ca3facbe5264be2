// A hashed timer wheel (Varghese and Lauck, SOSP 1987, scheme 6) over small integer handles.
//
// Made for idle timeouts: an entry is armed once and, when it fires, its owner looks at the real
// deadline and arms it again if traffic moved that on. So traffic itself costs the wheel nothing.
// Deadlines are rounded up to the tick; one lap is slots * tick, later deadlines are clamped to a
// lap and simply looked at early. Single-threaded; all memory is taken by the constructor (8 bytes
// a handle).
#pragma once

#include <cstdint>
#include <vector>

#include "base/check.h"
#include "base/time.h"

namespace holdfast {

class TimerWheel {
public:
    TimerWheel(uint32_t handles, uint32_t slots, Duration tick)
        : links_(handles + slots), handles_(handles), slots_(slots), tick_(tick) {
        CHECK(slots > 1 && tick.ns > 0);
        for (uint32_t s = 0; s < slots; ++s) links_[head(s)] = {head(s), head(s)};
        for (uint32_t h = 0; h < handles; ++h) links_[h] = {h, h};
    }

    bool armed(uint32_t handle) const { return links_[handle].next != handle; }

    // Arms or moves a handle. Takes effect at the first expire() at or after the deadline.
    void arm(uint32_t handle, Instant deadline) {
        disarm(handle);
        uint64_t due = static_cast<uint64_t>((deadline.ns + tick_.ns - 1) / tick_.ns);
        if (due <= at_) due = at_ + 1;
        if (due >= at_ + slots_) due = at_ + slots_ - 1;
        uint32_t h = head(static_cast<uint32_t>(due % slots_));
        links_[handle] = {links_[h].prev, h};
        links_[links_[h].prev].next = handle;
        links_[h].prev = handle;
    }

    void disarm(uint32_t handle) {
        Link& l = links_[handle];
        links_[l.prev].next = l.next;
        links_[l.next].prev = l.prev;
        l = {handle, handle};
    }

    // Calls fired(handle) for what is due by now, at most `limit` of them; the rest wait for the
    // next call. A fired handle is disarmed first, so that it may be armed again from within.
    template <typename Fired>
    unsigned expire(Instant now, unsigned limit, Fired&& fired) {
        uint64_t target = static_cast<uint64_t>(now.ns / tick_.ns);
        if (!started_) at_ = target, started_ = true;
        unsigned count = 0;
        while (at_ <= target) {
            uint32_t h = head(static_cast<uint32_t>(at_ % slots_));
            while (links_[h].next != h) {
                if (count == limit) return count;
                uint32_t handle = links_[h].next;
                disarm(handle);
                ++count;
                fired(handle);
            }
            if (at_ == target) break;
            ++at_;
        }
        return count;
    }

    // The start of the next tick: when expire() may next have something to do.
    Instant next_tick() const { return {static_cast<int64_t>(at_ + 1) * tick_.ns}; }

    // Must be called before the first arm(), with the time that now is.
    void start(Instant now) {
        at_ = static_cast<uint64_t>(now.ns / tick_.ns);
        started_ = true;
    }

private:
    struct Link {
        uint32_t prev = 0, next = 0;
    };
    uint32_t head(uint32_t slot) const { return handles_ + slot; }

    std::vector<Link> links_;
    uint32_t handles_;
    uint32_t slots_;
    Duration tick_;
    uint64_t at_ = 0;
    bool started_ = false;
};

}  // namespace holdfast
