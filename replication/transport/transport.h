// How ring datagrams travel: batched, best effort, non-blocking.
//
// multicast() and unicast() copy the datagram into a batch; it leaves with flush(), or when the
// batch is full. receive() hands over what has arrived. What is lost on the way is the ring's
// business. One thread; no allocation after construction. Kernel sockets: kernel_transport.h; the
// loss generator: loss_transport.h; DPDK's is in dataplane/port.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/time.h"
#include "replication/ring/ring.h"

namespace holdfast {

class DatagramSink {
public:
    virtual ~DatagramSink() = default;
    virtual void on_datagram(Bytes datagram, Instant now) = 0;
};

class RingTransport : public RingOutput {
public:
    virtual void flush() = 0;
    // Hands over at most about `limit` datagrams; returns how many.
    virtual unsigned receive(DatagramSink& sink, unsigned limit, Instant now) = 0;
    // When receive() will have something that is not announced by fd().
    virtual Instant next_deadline() const { return Instant::max(); }
    // Readable when something has arrived; -1 if there is none to wait for.
    virtual int fd() const = 0;
};

}  // namespace holdfast
