// Our ring over a DPDK device (net_memif), sealed with AES-128-GCM: the transport that a node uses
// on a ring port of its own. Both ends poll without rest.
//
// Two receivers are two rings in one process and on one core, each given every frame, as a switch
// would; the sender has a core of its own.
#include <rte_mbuf.h>

#include <array>
#include <optional>
#include <vector>

#include "dataplane/port/port_transport.h"
#include "replication/transport/loss_transport.h"
#include "tests/bench/memif.h"
#include "tests/bench/ring_peer_ring.h"

namespace holdfast::bench {
namespace {

// One node on the port.
class MemifEnd : DatagramSink {
public:
    MemifEnd(const PeerOptions& o, unsigned node, Port& port, FramePool& pool,
             Peer::Deliver deliver)
        : out_(0, pool, clock_, Duration::seconds(10)) {
        out_.attach(Side::ring, port);
        port_.emplace(addresses(o, node), port, out_);
        LossOptions loss;
        loss.loss = o.loss / 100;
        loss_.emplace(*port_, clock_now().ns + node, loss);
        end_.emplace(o, node, transport(o), std::move(deliver));
        lossy_ = o.loss > 0;
    }

    void begin(Instant now) { out_.begin(now); }
    bool take(const Frame& frame, rte_mbuf* m) { return port_->take(frame, m); }
    void work(Instant now) {
        if (lossy_)
            loss_->receive(*this, 512, now);
        else
            port_->receive(*this, 512, now);
        if (end_->ring.next_deadline() <= now) end_->ring.on_deadline(now);
        out_.flush();
    }
    RingEnd& end() { return *end_; }
    const RingEnd& end() const { return *end_; }
    uint64_t overflows() const {
        return port_->counters().receive_overflows + out_.counters().tx_unsent;
    }

private:
    static PortTransportOptions addresses(const PeerOptions& o, unsigned node) {
        auto address = [&](unsigned n) { return parse_ip(o.address(n)).value(); };
        PortTransportOptions t{.local = address(node), .group = parse_ip(o.group).value()};
        t.port = o.port;
        for (unsigned n = 0; n < o.nodes; ++n)
            if (n != node) t.peers.emplace_back(NodeId{static_cast<uint8_t>(n)}, address(n));
        return t;
    }
    RingTransport& transport(const PeerOptions& o) {
        if (o.loss > 0) return *loss_;
        return *port_;
    }
    void on_datagram(Bytes datagram, Instant now) override {
        end_->ring.on_datagram(datagram, now);
    }

    SystemClock clock_;
    Transmitter out_;
    std::optional<PortTransport> port_;
    std::optional<LossTransport> loss_;
    std::optional<RingEnd> end_;
    bool lossy_ = false;
};

class MemifPeer : public Peer {
public:
    MemifPeer(const PeerOptions& o, Deliver deliver)
        : nodes_(o.nodes), dpdk_({}, 8192), port_(dpdk_.open("ring", o.device.c_str())) {
        if (o.sender) {
            ends_.push_back(make_end(o, 0, std::move(deliver)));
            return;
        }
        // The last to be served counts; the others must not have less.
        for (unsigned n = 1; n < o.nodes; ++n)
            ends_.push_back(make_end(
                o, n, n + 1 == o.nodes ? deliver : [](Bytes) {}));
    }

    bool ready() override { return ring().followers().size() + 1 == nodes_; }
    bool offer(Bytes message) override {
        if (ends_[0]->end().in_flight() >= kWindow) return false;
        ring().publish(message, now_);
        return true;
    }
    void flush() override {
        now_ = clock_now();
        ring().flush(false, now_);
        poll({});
    }
    void poll(Duration) override {
        now_ = clock_now();
        for (auto& e : ends_) e->begin(now_);
        std::array<rte_mbuf*, 192> burst;
        const unsigned n = port_->receive(0, burst);
        for (unsigned i = 0; i < n; ++i) deal(burst[i]);
        for (auto& e : ends_) e->work(now_);
    }
    std::string statistics() const override {
        std::string all;
        for (auto& e : ends_)
            all += (all.empty() ? "[" : ", ") + e->end().statistics(e->overflows());
        return all + "]";
    }

private:
    static constexpr uint64_t kWindow = 768;  // of the device's 1024 descriptors

    std::unique_ptr<MemifEnd> make_end(const PeerOptions& o, unsigned node, Deliver deliver) {
        return std::make_unique<MemifEnd>(o, node, *port_, dpdk_.pool(), std::move(deliver));
    }
    Ring& ring() { return ends_[0]->end().ring; }
    void deal(rte_mbuf* m) {
        const Frame frame{rte_pktmbuf_mtod(m, std::byte*), rte_pktmbuf_data_len(m), Side::ring};
        if (ends_.size() > 1) rte_mbuf_refcnt_update(m, static_cast<int16_t>(ends_.size() - 1));
        for (auto& e : ends_)
            if (!e->take(frame, m)) rte_pktmbuf_free(m);
    }

    unsigned nodes_;
    Dpdk dpdk_;
    std::unique_ptr<Port> port_;
    std::vector<std::unique_ptr<MemifEnd>> ends_;
    Instant now_ = clock_now();
};

}  // namespace

std::unique_ptr<Peer> make_peer(const PeerOptions& options, Peer::Deliver deliver) {
    return std::make_unique<MemifPeer>(options, std::move(deliver));
}

}  // namespace holdfast::bench
