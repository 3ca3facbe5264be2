// A bounded queue between two threads: one writes, one reads, neither ever waits.
//
// Indices count up for ever; each is written by one side only. Nothing is allocated after
// construction. What is left in it goes with the queue.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <utility>
#include <vector>

#include "base/check.h"

namespace holdfast {

template <typename T>
class SpscQueue {
public:
    explicit SpscQueue(size_t size) : slots_(size), mask_(size - 1) {
        CHECK(std::has_single_bit(size));
    }
    // The writer's.
    bool full() const {
        return written_.load(std::memory_order_relaxed) - read_.load(std::memory_order_acquire) ==
               slots_.size();
    }
    // Not when full.
    void push(T value) {
        const size_t at = written_.load(std::memory_order_relaxed);
        slots_[at & mask_] = std::move(value);
        written_.store(at + 1, std::memory_order_release);
    }
    // The reader's. T{} when there is nothing.
    T pop() {
        const size_t at = read_.load(std::memory_order_relaxed);
        if (at == written_.load(std::memory_order_acquire)) return T{};
        T value = std::exchange(slots_[at & mask_], T{});
        read_.store(at + 1, std::memory_order_release);
        return value;
    }

private:
    std::vector<T> slots_;
    const size_t mask_;
    alignas(64) std::atomic<size_t> written_ = 0;
    alignas(64) std::atomic<size_t> read_ = 0;
};

}  // namespace holdfast
