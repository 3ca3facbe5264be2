// Several ports polled by one thread that makes its own frames: what a host, or many, would do, not
// what an appliance does (that is PollLoop, which passes frames on in their buffers).
//
// Ports are numbered in the order of add(). A frame handed to the sink is the sink's until it
// returns; compose() gives room in one that leaves with the next flush(). Uses the first queue of
// each port. What a port does not take is dropped and counted. One thread; no allocation after the
// last add().
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/counters.h"
#include "dataplane/port/port.h"

namespace holdfast {

class FrameSink {
public:
    virtual ~FrameSink() = default;
    virtual void on_frame(unsigned port, Bytes frame) = 0;
};

struct PortSetCounters {
    uint64_t sent = 0, unsent = 0, no_buffer = 0, oversize = 0, unusable = 0;
};
inline constexpr CounterInfo<PortSetCounters> kPortSetCounters[] = {
    {"port_sent", "Frames that a device took.", &PortSetCounters::sent},
    {"port_unsent", "Frames that a device did not take: its ring was full, or nobody was there.",
     &PortSetCounters::unsent},
    {"port_no_buffer", "Frames that no buffer was left for.", &PortSetCounters::no_buffer},
    {"port_oversize", "Frames longer than a buffer.", &PortSetCounters::oversize},
    {"port_unusable", "Frames received in pieces that could not be joined.",
     &PortSetCounters::unusable},
};

class PortSet {
public:
    static constexpr unsigned kBurst = 32;

    explicit PortSet(FramePool& pool) : pool_(pool) {}
    ~PortSet();
    PortSet(const PortSet&) = delete;
    PortSet& operator=(const PortSet&) = delete;

    unsigned add(Port& port);
    // A burst of each port; how many frames that were.
    unsigned receive(FrameSink& sink);
    // A frame of that size, its octets not set; empty when there is no room.
    MutableBytes compose(unsigned port, size_t size);
    void flush();

    const PortSetCounters& counters() const { return counters_; }
    // These and the devices'; between two polls.
    void clear_counters();

private:
    struct Batch {
        Port* port = nullptr;
        unsigned used = 0;
        std::array<rte_mbuf*, kBurst> frames;
    };
    void send(Batch& batch);

    FramePool& pool_;
    std::vector<Batch> batches_;
    PortSetCounters counters_;
};

}  // namespace holdfast
