// The nodes of the connection benchmark: node 0 holds the VIP, 1 and 2 keep what it replicates.
#pragma once

#include <string_view>

#include "dataplane/port/port_transport.h"
#include "tests/bench/loaded_worker.h"

namespace holdfast::bench {

inline constexpr uint16_t kRingPort = 4801;
inline constexpr uint32_t kSessions = 1u << 20;  // closed ones stay for half a second
inline constexpr uint32_t kClients = 1'800'000;

inline Commit commit_from(std::string_view text) {
    return text == "all" ? Commit::all : text == "any" ? Commit::any : Commit::none;
}

// Timers are long: the machine may be busy with something else, and nobody is to fail here.
inline WorkerOptions connect_options(uint8_t self, unsigned nodes, Commit commit) {
    WorkerOptions o = options_for(kClients);
    Service& web = o.forward.services[0];
    web.commit = commit;
    web.idle.closed = Duration::milliseconds(500);
    o.forward.sessions.capacity = self == 0 ? kSessions : 1024;
    o.forward.sessions.embryonic_limit = self == 0 ? 1u << 16 : 512;
    o.forward.seed = 7;
    ReplicatorOptions& r = o.replicator;
    r.ring.self = {self};
    r.ring.incarnation = {1};
    r.ring.ip_overhead = 28;
    r.ring.slots = 1u << 15;
    r.ring.evict_after = Duration::seconds(1);
    r.membership.self = {self};
    r.membership.incarnation = {1};
    r.membership.nodes = NodeSet((1u << nodes) - 1);
    r.membership.misses = 50;  // of 20 ms
    r.membership.solo = nodes == 1;
    r.store =
        self == 0 ? StoreOptions{1024, 1 << 16, 1} : StoreOptions{1u << 21, uint64_t{1} << 27, 1};
    std::vector<NodeId> order;
    for (uint8_t n = 0; n < nodes; ++n) order.push_back({n});
    for (uint8_t n = 0; n < nodes; ++n)
        if (n != self) r.ring.peers.add({n});
    r.membership.groups = {{kGroup, order}};
    o.forward.groups = {{kGroup, order, kVirtualMac}};
    return o;
}

inline PortTransportOptions ring_addresses(uint8_t self) {
    auto address = [](uint8_t n) { return IpAddress::v4(0xcb007101u + n); };  // 203.0.113.1 on
    PortTransportOptions o{.local = address(self), .group = ip("233.252.0.1")};
    o.port = kRingPort;
    for (uint8_t n = 0; n < 3; ++n)
        if (n != self) o.peers.emplace_back(NodeId{n}, address(n));
    return o;
}

// A standby without a loop of its own: several take turns on one core, and on one port.
class Standby final : public RingOutput, DatagramSink {
public:
    Standby(uint8_t self, Port& port, FramePool& pool, Clock& clock)
        : self_{self}, out_(0, pool, clock, Duration::seconds(10)) {
        out_.attach(Side::ring, port);
        transport_.emplace(ring_addresses(self), port, out_);
        worker_.emplace(connect_options(self, 3, Commit::all), nowhere_, *this, clock.now());
    }
    void set_sibling(Standby& sibling) { sibling_ = &sibling; }

    bool take(const Frame& frame, rte_mbuf* buffer) { return transport_->take(frame, buffer); }
    void turn(Instant now) {
        out_.begin(now);
        unsigned work = transport_->receive(*this, 256, now);
        for (const testing::Buffer& b : from_sibling_) worker_->on_ring_datagram(b, now), ++work;
        from_sibling_.clear();
        if (worker_->next_deadline() <= now) worker_->on_deadline(now), ++work;
        if (work > 0) worker_->on_burst_end(now);
        out_.flush();
    }
    // The holder counts both of us.
    bool in_view() const {
        const NodeSet m = worker_->replicator().membership().view_of(NodeId{0}).members;
        return m.has(NodeId{1}) && m.has(NodeId{2});
    }
    const Replicator& replicator() const { return worker_->replicator(); }

private:
    class Nowhere final : public Outlet {
        void transmit(Side, Bytes) override {}
    };
    void on_datagram(Bytes datagram, Instant now) override {
        worker_->on_ring_datagram(datagram, now);
    }
    void multicast(Bytes datagram) override {
        transport_->multicast(datagram);
        if (sibling_ == nullptr) return;  // the first heartbeat, from within the constructor
        sibling_->from_sibling_.emplace_back(datagram.begin(), datagram.end());
    }
    void unicast(NodeId to, Bytes datagram) override {
        if (to == sibling_->self_)
            sibling_->from_sibling_.emplace_back(datagram.begin(), datagram.end());
        else
            transport_->unicast(to, datagram);
    }

    NodeId self_;
    Transmitter out_;
    Nowhere nowhere_;
    Standby* sibling_ = nullptr;
    std::optional<PortTransport> transport_;
    std::optional<Worker> worker_;
    std::vector<testing::Buffer> from_sibling_;
};

}  // namespace holdfast::bench
