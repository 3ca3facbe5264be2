// What the TCP endpoints of a worker count.
#pragma once

#include <cstdint>
#include <span>

#include "base/counters.h"

namespace holdfast {

struct TcpCounters {
    uint64_t segments_in = 0, segments_out = 0, bytes_in = 0, bytes_out = 0;
    uint64_t retransmitted = 0, fast_recoveries = 0, retransmission_timeouts = 0, tail_probes = 0,
             window_probes = 0, keepalive_probes = 0, spurious_recoveries = 0, reneged = 0;
    uint64_t out_of_order = 0, duplicates = 0, out_of_window = 0, stale_timestamps = 0,
             unacceptable_acks = 0, bad_sack_blocks = 0, ignored = 0;
    uint64_t challenges = 0, challenges_withheld = 0, resets_in = 0, resets_ignored = 0,
             resets_out = 0;
    uint64_t established = 0, timed_out = 0, restored = 0, acked_elsewhere = 0;
    uint64_t congestion_marks = 0, packets_too_big = 0, no_memory = 0;
};
extern const std::span<const CounterInfo<TcpCounters>> kTcpCounters;

}  // namespace holdfast
