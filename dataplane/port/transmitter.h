// A worker's way out: batches frames for each port during a poll and sends them at its end.
//
// This is where "nothing is queued between the stall check and the port" is kept
// (docs/invariants.md, I4): a batch is sent only if the poll it belongs to was stamped less than
// the stall bound ago, as seen after the port's queue is held; else the batch and all else of that
// poll is dropped and stalled() tells. What a port does not take is dropped and counted, never
// kept. One worker's; no allocation after construction; bad input (too long, no such port) is
// counted.
#pragma once

#include <array>
#include <cstdint>

#include "base/time.h"
#include "dataplane/frame.h"
#include "dataplane/port/clock.h"
#include "dataplane/port/loop_counters.h"
#include "dataplane/port/port.h"

namespace holdfast {

class Transmitter final : public Outlet {
public:
    static constexpr unsigned kBatch = 64;

    Transmitter(unsigned worker, FramePool& pool, Clock& clock, Duration stall_bound)
        : worker_(worker), pool_(pool), clock_(clock), stall_bound_(stall_bound) {}
    ~Transmitter() override;

    void attach(Side side, Port& port);

    // Everything up to the next begin() belongs to the poll stamped `now`.
    void begin(Instant now);
    void transmit(Side side, Bytes frame) override;  // copies
    void forward(Side side, rte_mbuf* frame);        // takes the buffer
    // A frame of that size to be filled in before the next call; empty when there is no room.
    MutableBytes compose(Side side, size_t size);
    void flush();
    // The gap that made this poll's frames be dropped; zero when there was none.
    Duration stalled() const { return stalled_; }

    const TransmitCounters& counters() const { return counters_; }

private:
    struct Batch {
        Port* port = nullptr;
        unsigned used = 0;
        std::array<rte_mbuf*, kBatch> frames;
    };
    bool add(Side side, rte_mbuf* frame);
    void send(Batch& batch);

    unsigned worker_;
    FramePool& pool_;
    Clock& clock_;
    Duration stall_bound_;
    Instant stamp_;
    Duration stalled_;
    // One batch a port: sides that share a device keep the order of their frames.
    std::array<Batch, 3> batches_;
    std::array<Batch*, 3> of_side_{};
    TransmitCounters counters_;
};

}  // namespace holdfast
