// How an idle worker sleeps: on the sockets behind its ports when they are known, else by the clock
// with a back-off; and how other threads wake it.
//
// wake() may be called by any thread and costs a load when the worker is awake. The worker's order
// is: prepare(), look once more for work from other threads, then sleep() or cancel(); that order
// and the fences make a wake-up impossible to lose. No allocation after the last add().
#pragma once

#include <poll.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "base/time.h"

namespace holdfast {

enum class Idle : uint8_t { spin, sleep };

// Sleeps by the clock: short after traffic, longer while nothing comes.
class IdleBackoff {
public:
    // 50 us is what a wake-up costs anyway on a busy two-core machine; 500 us keeps an idle worker
    // below one per cent of a core and a packet's delay below a millisecond.
    static constexpr Duration kFirst = Duration::microseconds(50);
    static constexpr Duration kLast = Duration::microseconds(500);

    Duration next() {
        Duration d = current_;
        current_ = std::min(current_ * 2, kLast);
        return d;
    }
    void reset() { current_ = kFirst; }

private:
    Duration current_ = kFirst;
};

class Sleeper {
public:
    enum class Woken : uint8_t { timeout, descriptor, command };

    Sleeper();
    ~Sleeper();
    Sleeper(const Sleeper&) = delete;
    Sleeper& operator=(const Sleeper&) = delete;

    void add(int descriptor);

    void prepare() {
        asleep_.store(true, std::memory_order_relaxed);
        std::atomic_thread_fence(std::memory_order_seq_cst);
    }
    void cancel() { asleep_.store(false, std::memory_order_relaxed); }
    Woken sleep(Duration at_most);

    void wake();

private:
    std::atomic<bool> asleep_{false};
    std::vector<pollfd> descriptors_;  // the first is the eventfd that wake() writes
};

}  // namespace holdfast
