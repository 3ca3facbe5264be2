// Gathering a group's fragments from the peers after an adoption: a walk through each peer's store,
// side by side, and single sessions at once for which a packet already waits.
//
// Asker's side: per peer a cursor; a request brings a burst of datagrams, each saying from which
// cursor to which it goes, and only the next one in line is taken; silence repeats the request.
// Answerer's side: stateless, so that it costs a standby nothing to be asked. A peer that dies
// during the walk is excused: what only it had is lost, and the caller counts it. What is late is
// walked through when the caller asks for it, with all else in its place. What this node kept
// itself is one more walk, which the caller makes. A pure machine; docs/protocol.md has the
// messages.
#pragma once

#include <array>

#include "base/counters.h"
#include "base/time.h"
#include "replication/fragment/store.h"
#include "replication/membership/messages.h"

namespace holdfast {

struct SweepCounters {
    uint64_t requests = 0, repeats = 0, answers = 0, out_of_line = 0, fragments_pulled = 0,
             fragments_served = 0, pulls = 0, bad_messages = 0;
};
inline constexpr CounterInfo<SweepCounters> kSweepCounters[] = {
    {"requests", "Requests for a stretch of a peer's fragments.", &SweepCounters::requests},
    {"repeats", "Requests repeated because no answer came.", &SweepCounters::repeats},
    {"answers", "Datagrams of fragments taken in.", &SweepCounters::answers},
    {"out_of_line", "Datagrams of fragments that were not the next in line.",
     &SweepCounters::out_of_line},
    {"fragments_pulled", "Fragments received from peers after adoptions.",
     &SweepCounters::fragments_pulled},
    {"fragments_served", "Fragments sent to adopting peers.", &SweepCounters::fragments_served},
    {"pulls", "Sessions asked for because a packet waits.", &SweepCounters::pulls},
    {"bad_messages", "Sweep messages that made no sense.", &SweepCounters::bad_messages},
};

class SweepOutput {
public:
    virtual ~SweepOutput() = default;
    virtual void send_sweep(NodeId to, Bytes message, Instant now) = 0;
    virtual void broadcast_sweep(Bytes message, Instant now) = 0;
    // A fragment that `from` keeps, for a group that is being gathered.
    virtual void on_swept_fragment(NodeId from, const Fragment& fragment, Instant now) = 0;
    // All is gathered that live sessions need (fragment.h, is_late); then, all.
    virtual void on_sweep_done(GroupId group, Instant now) = 0;
    virtual void on_late_sweep_done(GroupId group, Instant now) = 0;
};

class Sweep {
public:
    explicit Sweep(SweepOutput& output) : output_(output) {}

    void begin(GroupId group, Epoch epoch, NodeSet peers, Instant now);
    void begin_late(GroupId group, Instant now);
    // The caller has been through its own store, in this walk.
    void own_walked(GroupId group, Instant now);
    void cancel(GroupId group) { groups_[group.value].running = false; }
    bool running(GroupId group) const { return groups_[group.value].running; }
    // Asks all peers for one session: kind alias for what an alias says, any other for all else it
    // has.
    void pull(GroupId group, Epoch epoch, const SessionKey& session, FragmentKind kind,
              Instant now);

    void on_peer_lost(NodeId peer, Instant now);
    // Messages of types pull, sweep and fragments. `store` is what this node keeps.
    void on_message(NodeId from, Bytes body, const FragmentStore& store, Instant now);
    Instant next_deadline() const;
    void on_deadline(Instant now);

    const SweepCounters& counters() const { return counters_; }

private:
    struct PeerWalk {
        uint32_t cursor = 0;
        Instant repeat_at = Instant::max();
        uint32_t repeats = 0;
    };
    struct GroupSweep {
        bool running = false;
        bool late = false;  // the second walk, for what is late
        bool own = false;   // the caller's own store is not through yet
        Epoch epoch;
        NodeSet peers;
        NodeSet open;  // of them, those whose walk is not finished
        std::array<PeerWalk, kMaxNodes> walks{};
    };

    void walk(GroupId group, Instant now);
    void request(GroupId group, NodeId peer, Instant now);
    void finish(GroupId group, NodeId peer, Instant now);
    void end_if_through(GroupId group, Instant now);
    void serve_sweep(NodeId to, ByteReader& r, const FragmentStore& store, Instant now);
    void serve_pull(NodeId to, ByteReader& r, const FragmentStore& store, Instant now);
    void take_fragments(NodeId from, ByteReader& r, Instant now);

    SweepOutput& output_;
    std::array<GroupSweep, kMaxGroups> groups_;
    SweepCounters counters_;
};

}  // namespace holdfast
