// One end of a multicast benchmark: the same sender and receiver loops around our ring, NORM and
// OpenPGM, so that they are compared and not three programs.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/time.h"

namespace holdfast::bench {

struct PeerOptions {
    bool sender = false;
    unsigned node = 0;   // the sender is 0
    unsigned nodes = 2;  // with the sender
    std::string interface = "eth0";
    std::string prefix = "203.0.113.";  // node n has prefix + (n + 1)
    std::string group = "233.252.0.1";
    uint16_t port = 4800;
    size_t size = 256;
    double rate = 0;  // messages a second; 0: as fast as it goes
    double seconds = 3;
    // Of the one over a DPDK device only; the others lose in the kernel.
    std::string device{};
    double loss = 0;  // percent, at each receiver

    std::string address(unsigned n) const { return prefix + std::to_string(n + 1); }
};

class Peer {
public:
    using Deliver = std::function<void(Bytes message)>;
    virtual ~Peer() = default;
    // Every receiver is there.
    virtual bool ready() = 0;
    // False: no room now, try again after poll().
    virtual bool offer(Bytes message) = 0;
    virtual void flush() = 0;
    // Works off what is due; if there is nothing, waits for it at most this long.
    virtual void poll(Duration wait) = 0;
    virtual std::string statistics() const { return "{}"; }
};

// Each program has one.
std::unique_ptr<Peer> make_peer(const PeerOptions& options, Peer::Deliver deliver);

Instant clock_now();  // CLOCK_MONOTONIC, the same in all namespaces

}  // namespace holdfast::bench
