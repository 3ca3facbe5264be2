// Our ring as the peers of the benchmark use it, whatever carries its datagrams.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <utility>

#include "replication/ring/ring.h"
#include "tests/bench/ring_peer.h"

namespace holdfast::bench {

class RingEnd : RingEvents {
public:
    static constexpr uint32_t kSlots = 32768;

    // As node `node` of the options, whichever of them this process is.
    RingEnd(const PeerOptions& o, unsigned node, RingOutput& output, Peer::Deliver deliver)
        : deliver_(std::move(deliver)), ring(ring_options(o, node), output, *this) {}

    // Datagrams that not every receiver has yet.
    uint64_t in_flight() const { return kSlots - 1 - ring.room(); }
    std::string statistics(uint64_t overflows) const {
        const RingCounters& c = ring.counters();
        char text[300];
        std::snprintf(text, sizeof text,
                      "{\"datagrams\": %lu, \"repairs\": %lu, \"over_budget\": %lu, \"naks\": %lu, "
                      "\"lagging\": %lu, \"duplicates\": %lu, \"overflows\": %lu}",
                      c.datagrams_published + c.datagrams_delivered,
                      c.repairs_unicast + c.repairs_multicast, c.repairs_over_budget,
                      c.naks_sent + c.naks_received, c.followers_lagging, c.drop_duplicate,
                      overflows);
        return text;
    }

private:
    static RingOptions ring_options(const PeerOptions& o, unsigned node) {
        RingOptions r;
        r.self = {static_cast<uint8_t>(node)};
        r.incarnation = {static_cast<uint64_t>(clock_now().ns)};
        for (unsigned n = 0; n < o.nodes; ++n)
            if (n != node) r.peers.add({static_cast<uint8_t>(n)});
        r.seed = static_cast<uint64_t>(getpid()) + node;
        r.ip_overhead = 28;
        r.slots = kSlots;
        return r;
    }
    void on_record(NodeId, Bytes record, Instant) override { deliver_(record); }
    void on_message(NodeId, Bytes, Instant) override {}
    void on_heartbeat(NodeId, Bytes, Instant) override {}
    void on_status(NodeId, Position, Instant, Bytes, Instant) override {}
    void on_peer_started(NodeId, Incarnation, Instant) override {}
    void on_follower(NodeId, Position, Instant) override {}
    void on_lagging(NodeId, Instant) override {}
    size_t heartbeat_body(MutableBytes) override { return 0; }
    size_t status_body(NodeId, MutableBytes) override { return 0; }

    Peer::Deliver deliver_;

public:
    Ring ring;
};

}  // namespace holdfast::bench
