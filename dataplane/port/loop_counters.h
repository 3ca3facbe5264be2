// What a poll loop and its transmitter count.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "base/counters.h"
#include "base/time.h"

namespace holdfast {

struct LoopCounters {
    uint64_t polls = 0;
    uint64_t busy_polls = 0;
    uint64_t busy_ns = 0;
    uint64_t idle_ns = 0;
    uint64_t sleeps = 0;
    uint64_t false_rings = 0;
    uint64_t overruns = 0;
    uint64_t longest_cycle_ns = 0;
    uint64_t stalls = 0;
    uint64_t longest_stall_ns = 0;
    uint64_t rx_frames = 0;
    uint64_t rx_linearized = 0;
    uint64_t rx_unusable = 0;
    uint64_t dropped_by_target = 0;
    uint64_t ring_datagrams = 0;
    uint64_t handed_over = 0;
    uint64_t handover_full = 0;
    uint64_t taken_over = 0;
    uint64_t spread_wrong = 0;
    uint64_t commands = 0;
};

inline constexpr CounterInfo<LoopCounters> kLoopCounters[] = {
    {"polls", "Poll cycles.", &LoopCounters::polls},
    {"busy_polls", "Poll cycles that found something to do.", &LoopCounters::busy_polls},
    {"busy_ns", "Time spent in cycles that found something to do.", &LoopCounters::busy_ns},
    {"idle_ns", "Time spent in empty cycles and asleep.", &LoopCounters::idle_ns},
    {"sleeps", "Times the worker slept because it had nothing to do.", &LoopCounters::sleeps},
    {"false_rings", "Sleeps that ended by a descriptor with nothing behind it.",
     &LoopCounters::false_rings},
    {"overruns", "Cycles that took longer than the overrun bound.", &LoopCounters::overruns},
    {"longest_cycle_ns", "The longest cycle so far.", &LoopCounters::longest_cycle_ns},
    {"stalls", "Times the worker was not scheduled for longer than the stall bound.",
     &LoopCounters::stalls},
    {"longest_stall_ns", "The longest such gap so far.", &LoopCounters::longest_stall_ns},
    {"rx_frames", "Frames received from ports.", &LoopCounters::rx_frames},
    {"rx_linearized", "Frames in several segments, copied into one.", &LoopCounters::rx_linearized},
    {"rx_unusable", "Frames dropped because they do not fit one buffer with its headroom.",
     &LoopCounters::rx_unusable},
    {"dropped_by_target", "Frames the worker decided to drop, or answered.",
     &LoopCounters::dropped_by_target},
    {"ring_datagrams", "Replication datagrams received.", &LoopCounters::ring_datagrams},
    {"handed_over", "Frames handed to the worker that owns their flow.",
     &LoopCounters::handed_over},
    {"handover_full", "Frames dropped because the owning worker's queue was full.",
     &LoopCounters::handover_full},
    {"taken_over", "Frames of own flows that another worker received.", &LoopCounters::taken_over},
    {"spread_wrong", "Frames the device put on a queue that our hash did not expect.",
     &LoopCounters::spread_wrong},
    {"commands", "Functions executed for the control thread.", &LoopCounters::commands},
};

struct TransmitCounters {
    uint64_t tx_frames = 0;
    uint64_t tx_unsent = 0;
    uint64_t tx_stalled = 0;
    uint64_t tx_no_buffer = 0;
    uint64_t tx_oversize = 0;
    uint64_t tx_no_port = 0;
};

inline constexpr CounterInfo<TransmitCounters> kTransmitCounters[] = {
    {"tx_frames", "Frames given to a port.", &TransmitCounters::tx_frames},
    {"tx_unsent", "Frames dropped because the port took no more.", &TransmitCounters::tx_unsent},
    {"tx_stalled", "Frames dropped because the worker had not been scheduled since their poll.",
     &TransmitCounters::tx_stalled},
    {"tx_no_buffer", "Own frames dropped because no buffer was free.",
     &TransmitCounters::tx_no_buffer},
    {"tx_oversize", "Own frames dropped because they do not fit a buffer.",
     &TransmitCounters::tx_oversize},
    {"tx_no_port", "Frames dropped because that side has no port.", &TransmitCounters::tx_no_port},
};

// How long cycles took: bucket i counts those of 2^i up to 2^(i+1) nanoseconds.
struct CycleHistogram {
    std::array<uint64_t, 40> buckets{};
    void add(Duration d) {
        uint64_t ns = d.ns > 0 ? static_cast<uint64_t>(d.ns) : 0;
        unsigned i = ns < 2 ? 0 : static_cast<unsigned>(std::bit_width(ns)) - 1;
        ++buckets[i < buckets.size() ? i : buckets.size() - 1];
    }
};

}  // namespace holdfast
