// One packet worker: the whole of a node's data path as one machine, driven by a poll loop or a
// simulator.
//
// Frames come in bursts and are rewritten in place; what must wait goes to the release gate, what
// may still be loading is parked, and everything else leaves at once. Owns its sessions for life
// and shares nothing. Knows no clock, port or socket: frames that it makes leave through Outlet,
// replication datagrams through RingOutput. The control plane reads state() parts and calls the
// commands below between polls, on the worker's thread.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "dataplane/forward/forward.h"
#include "dataplane/frame.h"
#include "dataplane/relay/relay.h"
#include "dataplane/takeover/nudge.h"
#include "dataplane/takeover/parking.h"
#include "dataplane/takeover/resumption.h"
#include "dataplane/takeover/takeover.h"
#include "replication/replicator.h"

namespace holdfast {

// The groups that worker 0 holds, one bit each: the other workers of the node hold the same.
// Addresses are announced once for all of them.
using HeldGroups = std::atomic<uint16_t>;

struct WorkerOptions {
    ForwardOptions forward;
    RelayOptions relay;  // used where a service terminates TCP
    ReplicatorOptions replicator;
    TlsSessionCache::Options resumable;      // sessions that clients may resume by their identifier
    TlsSessionExchange* exchange = nullptr;  // of them, where there are several workers
    HeldGroups* held = nullptr;              // worker 0 writes it
    const HeldGroups* follows = nullptr;     // the others read it
    uint32_t parked_frames = 1024;
    Duration progress_interval = Duration::milliseconds(100);  // between a session's segments
    uint32_t progress_batch = 512;                             // of them each interval
    uint32_t nudge_batch = 128;  // sessions probed each deadline after an adoption
};

struct WorkerCounters {
    uint64_t held_silent = 0, silenced = 0, pushed_back = 0, resets = 0, lost_sessions = 0,
             unknown_in_gate = 0;
};
inline constexpr CounterInfo<WorkerCounters> kWorkerCounters[] = {
    {"held_unconfirmed", "Packets held because the epoch was not confirmed lately.",
     &WorkerCounters::held_silent},
    {"silenced", "Times a group fell silent because nobody confirmed its epoch.",
     &WorkerCounters::silenced},
    {"pushed_back",
     "New connections refused because the release gate was full, or too many waited already for "
     "an adoption to be complete.",
     &WorkerCounters::pushed_back},
    {"resets_sent", "Resets sent for segments of sessions nobody knows.", &WorkerCounters::resets},
    {"sessions_lost", "Flows of an adopted group that could not be carried on, and were reset.",
     &WorkerCounters::lost_sessions},
    {"released_too_late", "Packets that left the gate after their session had ended.",
     &WorkerCounters::unknown_in_gate},
};

// One takeover by this worker, as it went. Absent times have not come yet.
struct AdoptionReport {
    GroupId group;
    Epoch epoch;
    NodeId previous;     // self when nobody held the group before
    Instant last_heard;  // of the previous holder
    Instant acquired;
    std::optional<Instant> first_packet, gathered;
    uint64_t sessions = 0;
    uint64_t lost = 0;  // known not to be carried on: an alias without a header, or a client's flow
                        // that was reset
    std::array<uint32_t, kMaxNodes> fragments{};  // by who kept them; self: our own store
};

class Worker final : public PollTarget, ForwardEvents, RelayEvents, ReplicatorEvents {
public:
    Worker(const WorkerOptions& options, Outlet& outlet, RingOutput& ring, Instant now);

    void on_burst(std::span<Frame> frames, std::span<Disposition> out, Instant now) override;
    void on_ring_datagram(Bytes datagram, Instant now) override {
        replicator_.on_datagram(datagram, now);
    }
    void on_burst_end(Instant now) override;
    Instant next_deadline() const override;
    void on_deadline(Instant now) override;
    void on_stall(Duration gap, Instant now) override;

    // Commands.
    void release_group(GroupId group, Instant now) { replicator_.release_group(group, now); }
    void leave(Instant now) { replicator_.leave(now); }
    bool set_attribute(SessionIndex index, const std::string& name, const std::string& value,
                       Instant now);
    void set_weight(uint16_t service, uint16_t backend, uint32_t weight) {
        forwarder_.set_weight(service, backend, weight);
    }

    // State, for those who report it.
    const Forwarder& forwarder() const { return forwarder_; }
    const Replicator& replicator() const { return replicator_; }
    // Whether all that is secret lies in memory that is neither swapped nor dumped.
    bool secrets_are_locked() const;
    const Relay* relay() const { return relay_.get(); }           // none where no service needs it
    Resumption* resumption() const { return resumption_.get(); }  // likewise
    const Takeover& takeover() const { return takeover_; }
    const ParkingLot& parking() const { return parking_; }
    const Nudge& nudge() const { return nudge_; }
    static constexpr size_t kMaxReports = 32;
    const std::vector<AdoptionReport>& adoptions() const { return adoptions_; }
    const WorkerCounters& counters() const { return counters_; }

private:
    // ForwardEvents
    void on_session_closed(SessionIndex index, const Session& session, CloseReason reason,
                           Instant now) override;
    void on_neighbor(Side, const IpAddress&, const MacAddress&, Instant) override {}
    // RelayEvents
    bool on_relay_frame(SessionIndex index, Direction towards, Bytes frame, Reveals reveals,
                        Instant now) override;
    void on_relay_changed(SessionIndex index, Instant now) override;
    bool on_relay_commit(SessionIndex index, uint8_t serial, bool first, Instant now) override;
    void on_relay_finished(SessionIndex index, Instant now) override;
    void on_relay_copies(SessionIndex index, Instant now) override;
    // ReplicatorEvents
    void on_acquired(GroupId group, Epoch epoch, NodeId previous, Instant now) override;
    void on_lost(GroupId group, Instant now) override;
    void on_fragment(NodeId from, const Fragment& fragment, Instant now) override;
    uint32_t settle(GroupId group, uint32_t cursor, unsigned budget, Instant now) override;
    void on_gathered(GroupId group, Instant now) override;
    void on_gathered_late(GroupId group, Instant) override {
        if (resumption_) resumption_->set_complete(group, true), relay_->on_resumable(nullptr);
    }
    uint32_t republish(uint32_t cursor, unsigned budget, Instant now) override;
    void renew(GateTag tag, GateNeed& need, Instant now) override;
    void on_release(GateTag tag, Bytes packet, Instant now) override;

    RelayOptions relay_options() const;
    Resumption::Siblings siblings() const {
        return {options_.exchange, options_.forward.steering.worker};
    }
    Disposition handle(Frame& frame, Instant now);
    Disposition pass(const Frame& frame, const Step& step, Instant now);
    void gate(const Frame& frame, const Step& step, Instant now);
    void relay(const Frame& frame, const Step& step, Instant now);
    void answer_syn(const Frame& frame, const Step& step, Instant now);
    bool accept_cookie(const Frame& frame, const Step& step, Instant now);
    bool commit(SessionIndex index, uint32_t what, Bytes frame, Instant now);
    void meet_unknown(const Frame& frame, const Step& step, Instant now);
    void ask_for(const Step& step, Instant now);
    void send_reset(const Frame& frame, const Step& step, Instant now);
    void resume(Frame& frame, Instant now);
    void resume_flows_of(SessionIndex index, Instant now);
    void count_lost(GroupId group, const FlowKey& client_side, Instant now);
    uint32_t count_orphans(GroupId group, uint32_t cursor, unsigned budget, Instant now);
    void refresh_groups(Instant now);
    AdoptionReport* running_report(GroupId group);
    void finish_dropping(Instant now);
    void publish_held(GroupId group, bool held);
    void step_nudge(Instant now);

    WorkerOptions options_;
    Outlet& outlet_;
    Forwarder forwarder_;
    Replicator replicator_;
    std::unique_ptr<Resumption> resumption_;
    std::unique_ptr<Relay> relay_;
    Takeover takeover_;
    ParkingLot parking_;
    Nudge nudge_;
    std::array<bool, kMaxGroups> may_transmit_{};  // as of this burst
    std::array<Instant, kMaxGroups> last_transmit_ok_{};
    std::array<bool, kMaxGroups> was_confirmed_{};  // since it was acquired
    std::array<bool, kMaxGroups> dropping_{};  // sessions of a lost group are still being dropped
    std::array<bool, kMaxGroups> awaiting_first_{};  // the first packet after an adoption
    Instant next_progress_, next_nudge_{};
    std::array<std::set<FlowKey>, kMaxGroups> lost_;  // client sides counted since the adoption
    std::vector<AdoptionReport> adoptions_;           // newest last, at most kMaxReports
    WorkerCounters counters_;
};

}  // namespace holdfast
