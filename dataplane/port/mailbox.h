// How the control thread gets a function executed by a worker between two polls.
//
// run() blocks its caller until the worker has executed the function: no result needs a lock, and
// what the function captures by reference stays alive. Any thread but the worker may call it;
// callers take turns. The worker's side (poll) is one relaxed load when nothing is there. After
// close() nothing is accepted any more.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>

namespace holdfast {

class Mailbox {
public:
    // `wake` is called after a function was posted: it must get the worker out of its sleep.
    explicit Mailbox(std::function<void()> wake = [] {}) : wake_(std::move(wake)) {}

    // False when the worker has stopped: the function was not and will not be executed.
    bool run(std::function<void()> function) {
        uint32_t free = kFree;
        while (!state_.compare_exchange_strong(free, kWriting)) {
            if (free == kClosed) return false;
            state_.wait(free);
            free = kFree;
        }
        function_ = &function;
        uint32_t writing = kWriting;
        if (!state_.compare_exchange_strong(writing, kPosted)) return false;  // closed meanwhile
        wake_();
        uint32_t seen;
        while ((seen = state_.load()) == kPosted) state_.wait(kPosted);
        // kDone is ours to clear; kClosed means that close() executed it as its last act.
        if (seen == kDone) {
            state_.store(kFree);
            state_.notify_all();
        }
        return true;
    }

    // The worker's side. True when a function was executed.
    bool poll() {
        if (state_.load(std::memory_order_relaxed) != kPosted) return false;
        if (state_.load(std::memory_order_acquire) != kPosted) return false;
        (*function_)();
        state_.store(kDone);
        state_.notify_all();
        return true;
    }
    bool pending() const { return state_.load() == kPosted; }
    // By the worker, last: executes what was posted and refuses the rest.
    void close() {
        uint32_t seen = state_.load();
        while (seen == kPosted || !state_.compare_exchange_strong(seen, kClosed)) {
            poll();
            seen = state_.load();
        }
        state_.notify_all();
    }

private:
    enum : uint32_t { kFree, kWriting, kPosted, kDone, kClosed };
    std::atomic<uint32_t> state_{kFree};
    std::function<void()>* function_ = nullptr;
    std::function<void()> wake_;
};

}  // namespace holdfast
