// Our ring over kernel UDP, sealed with AES-128-GCM.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "replication/transport/kernel_transport.h"
#include "tests/bench/ring_peer_ring.h"

namespace holdfast::bench {
namespace {

class RingPeerProgram : public Peer, DatagramSink {
public:
    RingPeerProgram(const PeerOptions& o, Deliver deliver)
        : nodes_(o.nodes),
          transport_(open(o)),
          end_(o, o.node, *transport_, std::move(deliver)),
          ring_(end_.ring) {}

    bool ready() override { return ring_.followers().size() + 1 == nodes_; }

    bool offer(Bytes message) override {
        if (end_.in_flight() >= kWindow) return false;
        ring_.publish(message, now_);
        return true;
    }
    void flush() override {
        now_ = clock_now();
        ring_.flush(false, now_);
        transport_->flush();
    }
    void poll(Duration wait) override {
        now_ = clock_now();
        unsigned got = transport_->receive(*this, 512, now_);
        if (got == 0 && wait.ns > 0 && ring_.next_deadline() > now_) {
            transport_->flush();
            sleep(std::min(wait, ring_.next_deadline() - now_), true);
            now_ = clock_now();
            got = transport_->receive(*this, 512, now_);
        }
        if (ring_.next_deadline() <= now_) ring_.on_deadline(now_);
        transport_->flush();
        // In a stream, a wake-up for each datagram costs both ends more than the datagram: let some
        // gather, as a NIC's interrupt moderation would.
        if (got >= kStream && wait.ns > 0) sleep(Duration::microseconds(50), false);
    }
    std::string statistics() const override {
        return end_.statistics(transport_->counters().socket_overflows);
    }

private:
    // What a receiver's socket of 4 MB holds: a full datagram costs it 2.3 kB.
    static constexpr uint32_t kWindow = 1500;
    static constexpr unsigned kStream = 8;  // datagrams found at once

    static std::unique_ptr<KernelTransport> open(const PeerOptions& o) {
        KernelTransportOptions t{.interface = o.interface,
                                 .local = o.address(o.node),
                                 .group = o.group,
                                 .port = o.port,
                                 .peers = {}};
        for (unsigned n = 0; n < o.nodes; ++n)
            if (n != o.node) t.peers.emplace_back(NodeId{static_cast<uint8_t>(n)}, o.address(n));
        auto transport = KernelTransport::open(t);
        if (!transport) {
            std::fprintf(stderr, "%s\n", transport.error().c_str());
            std::exit(1);
        }
        return std::move(*transport);
    }
    void sleep(Duration d, bool wake) {
        pollfd p{.fd = transport_->fd(), .events = POLLIN, .revents = 0};
        timespec t{d.ns / 1'000'000'000, d.ns % 1'000'000'000};
        ppoll(&p, wake ? 1 : 0, &t, nullptr);
    }

    void on_datagram(Bytes datagram, Instant now) override { ring_.on_datagram(datagram, now); }

    unsigned nodes_;
    std::unique_ptr<KernelTransport> transport_;
    RingEnd end_;
    Ring& ring_;
    Instant now_ = clock_now();
};

}  // namespace

std::unique_ptr<Peer> make_peer(const PeerOptions& options, Peer::Deliver deliver) {
    return std::make_unique<RingPeerProgram>(options, std::move(deliver));
}

}  // namespace holdfast::bench
