// One worker's replication, wired: the ring, who counts and who holds, what this node keeps for
// others, the release gate, and the gathering of fragments after an adoption. It only wires and
// sequences; each part has its own rules and tests.
//
// The owner publishes fragments of sessions it holds, holds packets back until what they reveal is
// kept by enough owners, and is told when a group is its own, when it no longer is, and which
// fragments its peers kept. Time is passed in; datagrams leave through RingOutput.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>

#include "replication/fragment/placement.h"
#include "replication/fragment/store.h"
#include "replication/membership/membership.h"
#include "replication/release_gate.h"
#include "replication/ring/ring.h"
#include "replication/sweep.h"

namespace holdfast {

// Keeps promises beyond the life of the process (see MembershipOutput::remember).
class EpochMemory {
public:
    virtual ~EpochMemory() = default;
    virtual void remember(GroupId group, const Promise& promise) = 0;
};

struct ReplicatorOptions {
    RingOptions ring;
    MembershipOptions membership;
    StoreOptions store;
    EpochMemory* memory = nullptr;  // none: a restart forgets, which only tests may
    NodeSet repositories;
    uint32_t gate_packets = 2048;
    uint32_t resync_batch = 256;  // sessions published again per millisecond
};

struct ReplicatorCounters {
    uint64_t published = 0, records_in = 0, records_bad = 0, records_fenced = 0, resyncs = 0,
             stalls = 0, lagging = 0;
};
inline constexpr CounterInfo<ReplicatorCounters> kReplicatorCounters[] = {
    {"fragments_published", "Fragments put on this node's ring.", &ReplicatorCounters::published},
    {"fragments_received", "Fragments read from the peers' rings.",
     &ReplicatorCounters::records_in},
    {"fragments_bad", "Records on the ring that are no fragment.",
     &ReplicatorCounters::records_bad},
    {"fragments_fenced", "Fragments refused because their epoch is over.",
     &ReplicatorCounters::records_fenced},
    {"resyncs", "Passes over all sessions after the set of standbys changed.",
     &ReplicatorCounters::resyncs},
    {"stalls", "Times this worker was not scheduled for longer than the bound.",
     &ReplicatorCounters::stalls},
    {"followers_lagging", "Times a standby fell too far behind to count.",
     &ReplicatorCounters::lagging},
};

class ReplicatorEvents {
public:
    static constexpr uint32_t kNoMoreSessions = ~0u;

    virtual ~ReplicatorEvents() = default;
    virtual void on_acquired(GroupId group, Epoch epoch, NodeId previous, Instant now) = 0;
    virtual void on_lost(GroupId group, Instant now) = 0;
    // Something a peer (or, with from == self, this node) kept about a group that was just
    // acquired.
    virtual void on_fragment(NodeId from, const Fragment& fragment, Instant now) = 0;
    // All that could be gathered is in the store, as far as live sessions need it: go on from
    // `cursor` with about `budget` fragments of what waited for that; returns where to go on, or
    // kNoMoreSessions.
    virtual uint32_t settle(GroupId group, uint32_t cursor, unsigned budget, Instant now) = 0;
    // That is done; then, all is.
    virtual void on_gathered(GroupId group, Instant now) = 0;
    virtual void on_gathered_late(GroupId group, Instant now) = 0;
    // Publish up to `budget` sessions again, going on at `cursor`; returns where to go on, or
    // kNoMoreSessions.
    virtual uint32_t republish(uint32_t cursor, unsigned budget, Instant now) = 0;
    // What a packet in the gate waits for must be published again: the owners changed.
    virtual void renew(GateTag tag, GateNeed& need, Instant now) = 0;
    virtual void on_release(GateTag tag, Bytes packet, Instant now) = 0;
};

struct Published {
    Position position;
    NodeSet owners;
    NodeSet also{};  // of a second fragment, published with the first
};

class Replicator final : RingEvents, MembershipOutput, SweepOutput {
public:
    Replicator(const ReplicatorOptions& options, RingOutput& output, ReplicatorEvents& events);

    void start(Instant now);
    void on_datagram(Bytes datagram, Instant now) { ring_.on_datagram(datagram, now); }
    void on_burst_end(Instant now);
    void on_stall(Duration gap, Instant now);
    Instant next_deadline() const;
    void on_deadline(Instant now);

    // Puts one fragment of a session we hold on the ring; a long value goes as several parts.
    Published publish(FragmentId id, GroupId group, uint32_t version, Bytes value, Instant now);
    Published erase(FragmentId id, GroupId group, uint32_t version, Instant now);
    // Holds a packet back until `need` is met. False when the gate is full.
    bool hold(const GateNeed& need, GateTag tag, Bytes packet, Instant now);
    // Asks all peers for one session of a group that is being gathered.
    void pull(GroupId group, const SessionKey& session, FragmentKind kind, Instant now);
    bool gathering(GroupId group) const { return gathering_[group.value]; }
    bool gathering_late(GroupId group) const { return gathering_late_[group.value]; }
    bool may_transmit(GroupId group, Instant now) const {
        return membership_.may_transmit(group, now);
    }
    void ask_confirmation() { confirmation_wanted_ = true; }
    void release_group(GroupId group, Instant now) { membership_.release(group, now); }
    void follow(uint16_t groups) { membership_.follow(groups); }
    void leave(Instant now) { membership_.leave(now); }

    const Membership& membership() const { return membership_; }
    const Ring& ring() const { return ring_; }
    const FragmentStore& store() const { return store_; }
    const ReleaseGate& gate() const { return gate_; }
    const Sweep& sweep() const { return sweep_; }
    const ReplicatorCounters& counters() const { return counters_; }
    // Every session is here, and on as many standbys as it should be.
    bool coverage_complete() const {
        return !resync_running_ && joining_.empty() &&
               std::ranges::none_of(gathering_, std::identity{});
    }
    // Whether blocks may be published without making a standby lag because of them.
    bool has_room_for_blocks() const { return ring_.room() > options_.ring.slots / 2; }
    NodeId self() const { return options_.membership.self; }
    NodeSet owners(unsigned slot) const;

private:
    // RingEvents
    void on_record(NodeId from, Bytes record, Instant now) override;
    void on_message(NodeId from, Bytes body, Instant now) override;
    void on_heartbeat(NodeId from, Bytes body, Instant now) override;
    void on_status(NodeId from, Position contiguous, Instant heard_at, Bytes body,
                   Instant now) override;
    void on_peer_started(NodeId peer, Incarnation incarnation, Instant now) override;
    void on_follower(NodeId peer, Position start, Instant now) override;
    void on_lagging(NodeId peer, Instant now) override;
    size_t heartbeat_body(MutableBytes to) override { return membership_.heartbeat_body(to); }
    size_t status_body(NodeId to_node, MutableBytes to) override;
    // MembershipOutput
    void broadcast_membership(Bytes message, Instant now) override {
        ring_.broadcast(message, now);
    }
    void send_membership(NodeId to, Bytes message, Instant now) override {
        ring_.send(to, message, now);
    }
    void heartbeat_now(Instant now) override { ring_.heartbeat(true, now); }
    void remember(GroupId group, const Promise& promise) override {
        if (options_.memory) options_.memory->remember(group, promise);
    }
    void on_acquired(GroupId group, Epoch epoch, NodeId previous, Instant now) override;
    void on_lost(GroupId group, Instant now) override;
    void on_view(NodeSet members, Instant now) override;
    // SweepOutput
    void send_sweep(NodeId to, Bytes message, Instant now) override {
        ring_.send(to, message, now);
    }
    void broadcast_sweep(Bytes message, Instant now) override { ring_.broadcast(message, now); }
    void on_swept_fragment(NodeId from, const Fragment& fragment, Instant now) override;
    void on_sweep_done(GroupId group, Instant now) override;
    void on_late_sweep_done(GroupId group, Instant now) override;

    Position publish_part(const Fragment& fragment, Instant now);
    struct Answers;
    Answers answers(Instant now) const;
    bool satisfied(const GateNeed& need, const Answers& answers, Instant now) const;
    bool held(NodeSet owners, const GateNeed& need, const Answers& answers) const;
    // Adoption, and what it leaves behind, in slices: no call takes longer than a batch.
    struct Gathering {
        enum class Step : uint8_t { none, own, settle, own_late } step = Step::none;
        uint32_t cursor = 0;
        bool forgetting = false;  // what is older than `below` is of no use any more
        uint32_t forget_cursor = 0;
        Epoch below;
    };
    bool ring_is_busy() const;
    bool gathering_has_work() const;
    void step_gathering(Instant now);
    void gather(GroupId group, Instant now);
    bool gather_own(GroupId group, bool late, Instant now);
    void pull_own(GroupId group, const SessionKey& session, FragmentKind kind, Instant now);
    void forget_older(GroupId group, Epoch below);
    bool forget(GroupId group, uint32_t budget);
    void start_resync(Instant now);
    void step_resync(Instant now);
    void finish_resync(Instant now);
    void open_gate(Instant now);
    void confirm_sweeps();
    void collect_garbage(Instant now);

    ReplicatorOptions options_;
    ReplicatorEvents& events_;
    bool alone_;  // a cluster of one node: nothing is published, for nobody will ever read it
    Ring ring_;
    Membership membership_;
    Placement placement_;
    FragmentStore store_;
    ReleaseGate gate_;
    Sweep sweep_;

    NodeSet joining_;  // followers that are being resynced: owners already, not yet members
    std::array<Position, kMaxNodes>
        synced_at_{};  // a joining node is a member once it has this; max: not known
    bool resync_running_ = false;
    uint32_t resync_cursor_ = 0;
    Instant next_resync_{};
    std::array<bool, kMaxGroups> gathering_{}, gathering_late_{};
    std::array<Gathering, kMaxGroups> steps_{};
    Instant next_slice_{};
    bool flush_wanted_ = false, confirmation_wanted_ = false;
    std::array<Epoch, kMaxGroups>
        collected_{};  // what is older was dropped after this epoch's sweep
    Instant next_garbage_{};
    // A group whose fragments were gathered says so once all members have what was published since.
    std::array<Position, kMaxGroups> swept_at_{};
    ReplicatorCounters counters_;
};

}  // namespace holdfast
