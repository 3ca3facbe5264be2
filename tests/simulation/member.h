// What simulated clusters share, whoever drives them: workers that are members of one group, and
// frames handed to them.
#pragma once

#include "dataplane/wire/testing.h"
#include "dataplane/worker.h"

namespace holdfast::simulation {

// A worker that is `self` of `nodes`, all of which may hold `group`; the lower number first.
inline void make_member(WorkerOptions& o, NodeId self, unsigned nodes, Incarnation incarnation,
                        GroupId group, const MacAddress& virtual_mac) {
    Group all{group, {}, virtual_mac};
    MembershipOptions& m = o.replicator.membership;
    RingOptions& ring = o.replicator.ring;
    for (uint8_t i = 0; i < nodes; ++i) {
        all.order.push_back({i});
        m.nodes.add({i});
        if (i != self.value) ring.peers.add({i});
    }
    o.forward.groups = {all};
    o.forward.front.mac = testing::mac(static_cast<uint8_t>(0x10 + self.value));
    o.forward.back.mac = testing::mac(static_cast<uint8_t>(0x20 + self.value));
    o.forward.back.own_v4 = testing::ip("203.0.113.5" + std::to_string(self.value));
    ring.self = m.self = self;
    ring.incarnation = m.incarnation = incarnation;
    m.groups = {{group, all.order}};
}

// One frame; what the worker leaves to its caller to send goes to transmit(side, bytes).
template <typename Transmit>
void hand_frame(Worker& worker, Bytes frame, Side side, Instant now, Transmit&& transmit) {
    testing::Received received(frame, side);
    Disposition out = Disposition::drop;
    worker.on_burst({&received.frame(), 1}, {&out, 1}, now);
    if (out == Disposition::transmit_front) transmit(Side::front, received.bytes());
    if (out == Disposition::transmit_back) transmit(Side::back, received.bytes());
}

}  // namespace holdfast::simulation
