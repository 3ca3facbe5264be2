// A worker alone (solo) that holds n established sessions, and frames for them: what the benchmarks
// of the packet path run on.
#pragma once

#include <algorithm>
#include <memory>
#include <numeric>
#include <vector>

#include "dataplane/wire/testing.h"
#include "dataplane/worker.h"

namespace holdfast::bench {

using testing::endpoint;
using testing::frame_of;
using testing::ip;
using testing::mac;
using testing::Seg;

inline constexpr GroupId kGroup{1};
inline const MacAddress kVirtualMac{{0, 0, 0x5e, 0, 1, 1}};
inline const Endpoint kVip = endpoint("198.51.100.10:80");
inline const Endpoint kBackend = endpoint("203.0.113.11:80");

inline Endpoint client(uint32_t n) {
    return {IpAddress::v4(0xc0000200 + n / 60'000), static_cast<uint16_t>(1024 + n % 60'000)};
}
inline Endpoint pool(uint32_t n) {
    return {IpAddress::v4(0xcb007180 + n / 60'000), static_cast<uint16_t>(1024 + n % 60'000)};
}

class NoRing final : public RingOutput {
public:
    void multicast(Bytes) override {}
    void unicast(NodeId, Bytes) override {}
};

// One service, with pools for n sessions; sessions and replication are still to be said.
inline WorkerOptions options_for(uint32_t n) {
    Service web;
    web.name = "web";
    web.group = kGroup;
    web.vips = {kVip.address};
    web.port = kVip.port;
    web.backends = {{"b1", kBackend, 1}};
    for (uint32_t i = 0; i <= n / 60'000; ++i)
        web.pools.push_back({pool(i * 60'000).address, 1024, 65535});
    web.health.enabled = false;
    WorkerOptions o;
    o.forward.services = {web};
    o.forward.groups = {{kGroup, {NodeId{0}}, kVirtualMac}};
    o.forward.front.mac = mac(1);
    o.forward.back.mac = mac(2);
    o.forward.back.own_v4 = ip("203.0.113.51");
    return o;
}

// A worker alone (solo), holding n established sessions.
struct LoadedWorker {
    LoadedWorker(uint32_t n, Outlet& outlet, Instant start) : now(start) {
        WorkerOptions o = options_for(n);
        o.forward.sessions.capacity = n;
        o.replicator.ring.slots = 1024;
        o.replicator.ring.incarnation = {1};
        o.replicator.membership.incarnation = {1};
        o.replicator.membership.nodes = NodeSet(1);
        o.replicator.membership.solo = true;
        o.replicator.membership.groups = {{kGroup, {NodeId{0}}}};
        o.replicator.store = {16, 4096, 1};
        worker = std::make_unique<Worker>(o, outlet, ring, now);
        while (!worker->replicator().may_transmit(kGroup, now)) tick(Duration::milliseconds(5));
        auto& forwarder = const_cast<Forwarder&>(worker->forwarder());
        forwarder.learn_neighbor(Side::back, kBackend.address, mac(3), now);
        for (uint32_t i = 0; i < n; ++i) {
            Session s;
            s.client = client(i);
            s.vip = kVip;
            s.pool = pool(i);
            s.backend = kBackend;
            s.backend_index = 0;
            s.group = kGroup;
            s.client_mac = mac(4);
            s.state = SessionState::established;
            s.set(Session::kCommitted);
            CHECK(forwarder.restore(s, now).has_value());
        }
    }
    void tick(Duration d) {
        now = now + d;
        worker->on_deadline(now);
    }

    NoRing ring;
    Instant now;
    std::unique_ptr<Worker> worker;
};

// A 64-byte frame: 60 and its FCS, which no buffer has.
struct alignas(64) SmallFrame {
    static constexpr uint32_t kSize = 60;
    std::array<std::byte, 64> bytes;
};

// One of each session, or of as many as fit kMost, in random order, half from either end. Read in
// this order they cost a stream of memory, and the sessions behind them a cache miss each.
inline std::vector<SmallFrame> random_frames(uint32_t sessions) {
    constexpr uint32_t kMost = 1u << 22;
    Random random(2);
    std::vector<uint32_t> order(sessions);
    std::iota(order.begin(), order.end(), 0);
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
    order.resize(std::min(sessions, kMost));
    std::vector<SmallFrame> frames(std::max<size_t>(order.size(), 4096));
    for (size_t i = 0; i < frames.size(); ++i) {
        const uint32_t n = order[i % order.size()];
        const bool up = random.chance(0.5);
        Seg s{up ? client(n) : kBackend, up ? kVip : pool(n), tcp_flag::ack, 1000, 1006, "012345"};
        s.source_mac = up ? mac(4) : mac(3);
        s.destination_mac = kVirtualMac;
        const testing::Buffer made = frame_of(s);
        CHECK(made.size() == SmallFrame::kSize);
        std::ranges::copy(made, frames[i].bytes.begin());
    }
    return frames;
}

}  // namespace holdfast::bench
