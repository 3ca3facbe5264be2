// A worker alone (solo) that holds n established sessions, and frames for them: what the benchmarks
// of the packet path run on.
#pragma once

#include <memory>
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
    return {IpAddress::v4(0x0a000000 + n / 60'000), static_cast<uint16_t>(1024 + n % 60'000)};
}
inline Endpoint pool(uint32_t n) {
    return {IpAddress::v4(0xcb007100 + 200 + n / 60'000), static_cast<uint16_t>(1024 + n % 60'000)};
}

class NoRing final : public RingOutput {
public:
    void multicast(Bytes) override {}
    void unicast(NodeId, Bytes) override {}
};

// A worker alone (solo), holding n established sessions.
struct LoadedWorker {
    LoadedWorker(uint32_t n, Outlet& outlet, Instant start) : now(start) {
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
            s.state = TcpState::established;
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

// A 64-byte frame (60 without its FCS, padded by its payload) of each of `count` random sessions
// out of n.
inline std::vector<testing::Buffer> random_frames(uint32_t n, unsigned count) {
    Random random(2);
    std::vector<testing::Buffer> frames;
    for (unsigned i = 0; i < count; ++i) {
        Seg s{client(static_cast<uint32_t>(random.below(n))),
              kVip,
              tcp_flag::ack,
              1000,
              2000,
              "012345"};
        s.source_mac = mac(4);
        s.destination_mac = kVirtualMac;
        frames.push_back(frame_of(s));
    }
    return frames;
}

}  // namespace holdfast::bench
