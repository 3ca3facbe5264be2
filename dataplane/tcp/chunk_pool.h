// The payload memory of a worker's endpoints: chunks of one size, taken at construction.
//
// Everything an endpoint keeps beyond its Tcb lies in chunks: bytes to be sent, bytes received out
// of order, and the notes about what is in flight. Bounded: allocate() gives nullptr when nothing
// is left, and counts it. Single-threaded.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/check.h"
#include "dataplane/tcp/counters.h"
#include "dataplane/wire/seq_num.h"

namespace holdfast {

// 2 KiB with its head: a segment of an Ethernet frame, whole.
struct Chunk {
    static constexpr size_t kCapacity = 2048 - 24;
    Chunk* next;
    SeqNum seq;  // of the first byte (out-of-order pieces only)
    uint32_t begin, end;
    uint32_t pad;
    std::byte data[kCapacity];

    uint32_t size() const { return end - begin; }
    uint32_t room() const { return static_cast<uint32_t>(kCapacity) - end; }
};
static_assert(sizeof(Chunk) == 2048);

class ChunkPool {
public:
    explicit ChunkPool(uint32_t chunks)
        : memory_(std::make_unique_for_overwrite<Chunk[]>(chunks)), capacity_(chunks) {}
    ChunkPool(const ChunkPool&) = delete;
    ChunkPool& operator=(const ChunkPool&) = delete;

    Chunk* allocate() {
        Chunk* c = free_;
        if (c != nullptr) {
            free_ = c->next;
        } else if (touched_ < capacity_) {
            c = &memory_[touched_++];
        } else {
            ++exhausted_;
            return nullptr;
        }
        ++used_;
        c->next = nullptr;
        c->begin = c->end = 0;
        return c;
    }
    void release(Chunk* c) {
        c->next = free_;
        free_ = c;
        --used_;
    }

    uint32_t capacity() const { return capacity_; }
    uint32_t used() const { return used_; }
    uint32_t available() const { return capacity_ - used_; }
    // How much a queue of `held` bytes may grow. Half of the pool is for whoever fills it first, a
    // part each of what is left of it (Choudhury and Hahne, "Dynamic queue length thresholds",
    // 1998); the rest is for kBase bytes of every queue, so that those who do not drain leave
    // something to those who do; and a last eighth for the notes of what is in flight.
    static constexpr size_t kBase = 20 * 1024;  // the largest TLS record and a segment
    size_t share(size_t held) const {
        const uint32_t half = capacity_ / 2;
        if (available() <= capacity_ / 8) return 0;
        const size_t first = available() > half ? (available() - half) / 8 * Chunk::kCapacity : 0;
        const size_t limit = std::max(kBase, first);
        return limit - std::min(limit, held);
    }
    // What can wait should.
    bool scarce() const { return available() < capacity_ / 4; }
    uint64_t exhausted() const { return exhausted_; }

    TcpCounters counters;  // of all endpoints that draw from here

private:
    std::unique_ptr<Chunk[]> memory_;
    Chunk* free_ = nullptr;
    uint32_t capacity_, touched_ = 0, used_ = 0;
    uint64_t exhausted_ = 0;
};

}  // namespace holdfast
