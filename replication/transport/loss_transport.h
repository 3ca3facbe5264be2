// The loss generator: a transport around another one that loses, repeats, delays and reorders what
// arrives, from a seed. For tests, and for operators' drills on a live cluster.
//
// It works on the receiving side, so that each receiver loses on its own, as on a real network.
// Nothing is allocated after construction: when too many datagrams are on their way, further ones
// arrive at once and are counted.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/random.h"
#include "replication/transport/transport.h"

namespace holdfast {

struct LossOptions {
    double loss = 0;       // probability, 0 to 1
    double duplicate = 0;  // likewise
    Duration delay{};
    Duration jitter{};  // up to this much more; reorders
};

struct LossCounters {
    uint64_t lost = 0;
    uint64_t duplicated = 0;
    uint64_t delayed = 0;
    uint64_t not_delayed = 0;  // the queue was full
};

class LossTransport : public RingTransport, private DatagramSink {
public:
    // `queue`: datagrams that can be on their way, each up to `mtu` bytes.
    LossTransport(RingTransport& inner, uint64_t seed, const LossOptions& options,
                  uint32_t queue = 1024, uint32_t mtu = 1500);

    void set(const LossOptions& options) { options_ = options; }
    const LossCounters& counters() const { return counters_; }

    void multicast(Bytes datagram) override { inner_.multicast(datagram); }
    void unicast(NodeId to, Bytes datagram) override { inner_.unicast(to, datagram); }
    void flush() override { inner_.flush(); }
    unsigned receive(DatagramSink& sink, unsigned limit, Instant now) override;
    Instant next_deadline() const override;
    int fd() const override { return inner_.fd(); }

private:
    struct Flight {
        Instant due;
        uint64_t order;
        uint32_t slot;
        uint32_t size;
    };
    static bool later(const Flight& a, const Flight& b) {
        return a.due != b.due ? a.due > b.due : a.order > b.order;
    }

    void on_datagram(Bytes datagram, Instant now) override;
    void pass(Bytes datagram, Instant now);
    std::byte* slot(uint32_t i) { return memory_.get() + size_t{i} * mtu_; }

    RingTransport& inner_;
    Random random_;
    LossOptions options_;
    uint32_t mtu_;
    std::unique_ptr<std::byte[]> memory_;
    std::vector<Flight> flights_;  // a heap, the next one first
    std::vector<uint32_t> free_;
    uint64_t order_ = 0;
    DatagramSink* sink_ = nullptr;  // of the receive() under way
    unsigned passed_ = 0;
    LossCounters counters_;
};

}  // namespace holdfast
