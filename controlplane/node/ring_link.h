// Joins a worker and its ring transport for the poll loop: datagrams in, and what the worker
// batched out at the end of each poll.
#pragma once

#include "dataplane/frame.h"
#include "dataplane/port/ring_source.h"
#include "replication/transport/transport.h"

namespace holdfast {

class RingLink final : public PollTarget, public RingSource, DatagramSink {
public:
    RingLink(PollTarget& worker, RingTransport& transport)
        : worker_(worker), transport_(transport) {}

    void on_burst(std::span<Frame> frames, std::span<Disposition> out, Instant now) override {
        worker_.on_burst(frames, out, now);
    }
    void on_ring_datagram(Bytes datagram, Instant now) override {
        worker_.on_ring_datagram(datagram, now);
    }
    void on_burst_end(Instant now) override {
        worker_.on_burst_end(now);
        transport_.flush();
    }
    Instant next_deadline() const override {
        return earlier(worker_.next_deadline(), transport_.next_deadline());
    }
    void on_deadline(Instant now) override {
        worker_.on_deadline(now);
        transport_.flush();
    }
    void on_stall(Duration gap, Instant now) override {
        worker_.on_stall(gap, now);
        transport_.flush();
    }

    unsigned receive(PollTarget&, unsigned limit, Instant now) override {
        return transport_.receive(*this, limit, now);
    }
    int doorbell() const override { return transport_.fd(); }

private:
    void on_datagram(Bytes datagram, Instant now) override {
        worker_.on_ring_datagram(datagram, now);
    }

    PollTarget& worker_;
    RingTransport& transport_;
};

}  // namespace holdfast
