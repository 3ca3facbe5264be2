// One worker's replication ring: its own stream of sealed datagrams to every peer, and the peers'
// streams.
//
// Reliable multicast by negative acknowledgement, after the lessons of RFC 5740 (NORM), RFC 3208
// (PGM) and Aeron: numbered datagrams, receivers ask for gaps at once, the sender repeats the
// identical sealed bytes within a budget, and a heartbeat ladder shows the loss of the last one.
// docs/protocol.md has the bytes.
//
// A record is delivered at least once, possibly out of order: what it says must be idempotent
// (fragments carry epoch and version). A peer's contiguous position is what it has without a gap.
// No clock, socket or thread: time comes with each call, datagrams leave through RingOutput. All
// memory is taken by the constructor. Nothing here fails for input from outside: it is counted and
// dropped.
#pragma once

#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "base/cluster.h"
#include "base/time.h"
#include "replication/ring/ring_counters.h"
#include "replication/ring/ring_options.h"

namespace holdfast {

class RingOutput {
public:
    virtual ~RingOutput() = default;
    virtual void multicast(Bytes datagram) = 0;
    virtual void unicast(NodeId to, Bytes datagram) = 0;
};

// What the ring tells its owner, and asks of it. Called from within Ring's own calls.
class RingEvents {
public:
    virtual ~RingEvents() = default;
    // A record that `from` published.
    virtual void on_record(NodeId from, Bytes record, Instant now) = 0;
    // A message (unreliable, not ordered, at most once) that `from` sent to us or to all.
    virtual void on_message(NodeId from, Bytes body, Instant now) = 0;
    // The body of a heartbeat of `from`. The first one after on_peer_started comes with the join
    // itself.
    virtual void on_heartbeat(NodeId from, Bytes body, Instant now) = 0;
    // A status of `from` about our ring: it has everything up to `contiguous`, and has heard
    // something from us that we sent at `heard_at` (our clock). The ring's own view of the peer is
    // already up to date.
    virtual void on_status(NodeId from, Position contiguous, Instant heard_at, Bytes body,
                           Instant now) = 0;
    // A peer's process was proven to be alive under a new incarnation; all known of an earlier one
    // is void.
    virtual void on_peer_started(NodeId peer, Incarnation incarnation, Instant now) = 0;
    // The peer now follows our ring from `start`; what was published before may be missing there.
    // Comes when it joins, and again each time it had to skip ahead (it lagged beyond repair):
    // resync it.
    virtual void on_follower(NodeId peer, Position start, Instant now) = 0;
    // The peer fell too far behind, or has been silent too long to hold up the ring: it no longer
    // counts.
    virtual void on_lagging(NodeId peer, Instant now) = 0;
    // Bodies for outgoing heartbeats and statuses: opaque to the ring, at most kMaxBody bytes.
    virtual size_t heartbeat_body(MutableBytes to) = 0;
    virtual size_t status_body(NodeId to_node, MutableBytes to) = 0;
};

class Ring {
public:
    static constexpr size_t kMaxBody = 512;      // of a heartbeat or status
    static constexpr size_t kMaxMessage = 1280;  // of a message
    static constexpr size_t kMaxRecord = 1280;   // larger state is split by whoever encodes it

    Ring(const RingOptions& options, RingOutput& output, RingEvents& events);
    ~Ring();
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;

    // Adds a record, of at most max_record() bytes, to the open datagram; returns the position of
    // the datagram it will be in. The datagram leaves when it is full, at flush(), or at the flush
    // deadline.
    Position publish(Bytes record, Instant now);
    // Sends the open datagram, if any. ask_status: every follower answers at once (a gate is
    // waiting).
    void flush(bool ask_status, Instant now);
    // Sends one message, sealed; to all, or to one node.
    void broadcast(Bytes body, Instant now);
    void send(NodeId to, Bytes body, Instant now);
    // Sends a heartbeat now (with ask_status: every follower answers at once).
    void heartbeat(bool ask_status, Instant now);

    // What this makes due (statuses, requests for repair) leaves with the next on_deadline(), so
    // that a burst is answered once: call that after a burst, if next_deadline() has come.
    void on_datagram(Bytes datagram, Instant now);
    Instant next_deadline() const;
    void on_deadline(Instant now);

    Position last_published() const;  // the open datagram counts
    // Contiguous position its last status told; 0: does not follow.
    Position acknowledged(NodeId peer) const;
    // Last authentic frame from its current incarnation; the least Instant if none.
    Instant last_heard(NodeId peer) const;
    Incarnation incarnation(NodeId peer) const;  // proven; 0 if none
    NodeSet followers() const;                   // those who count
    // Datagrams that may be published before the slowest of them is overrun (and dropped).
    uint64_t room() const;
    size_t max_record() const;  // what fits a datagram at this MTU; at least kMaxRecord
    const RingCounters& counters() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast
