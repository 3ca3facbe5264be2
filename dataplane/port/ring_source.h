// Where a worker's replication datagrams come from, as the poll loop sees it: the kernel's UDP
// (replication/transport), or frames of a DPDK port (ring_frames.h).
#pragma once

#include "base/time.h"
#include "dataplane/frame.h"

namespace holdfast {

class RingSource {
public:
    virtual ~RingSource() = default;
    // Hands datagrams that wait, at most `limit`, to target.on_ring_datagram; returns how many.
    virtual unsigned receive(PollTarget& target, unsigned limit, Instant now) = 0;
    // A descriptor that is readable when datagrams wait, or -1.
    virtual int doorbell() const { return -1; }
};

}  // namespace holdfast
