// The forward mode's packet path: client -> VIP becomes pool -> backend and back, in place, with
// incremental checksums (RFC 1624); TCP stays end to end.
//
// A full NAT that is also a router hop: TTL or hop limit is decremented (RFC 1812 section 5.3.1)
// and a packet that would reach 0 is dropped and counted, without an ICMP time exceeded. Sequence
// numbers, MSS and options are not touched. State is tracked as RFC 9293 endpoints would show it
// to someone in between; RST and FIN outside the window change nothing (dataplane/forward/track.h).
//
// Also answers for the addresses of active groups (ARP, neighbour discovery, echo), checks backends
// and announces groups. Not here: what is replicated and when a SYN-ACK may leave; the caller does
// that with what each Step says. Single-threaded; no allocation after the constructor except in
// set-up calls. Input from outside never fails: it is counted and dropped.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "base/counters.h"
#include "dataplane/drop.h"
#include "dataplane/flow/session_table.h"
#include "dataplane/forward/forward_options.h"
#include "dataplane/frame.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ip.h"
#include "dataplane/wire/tcp_segment.h"

namespace holdfast {

// What became of a frame.
struct Step {
    enum class Verdict : uint8_t {
        transmit,  // rewritten in place: send it out of `out`
        gate,      // rewritten SYN-ACK: send it out of `out` once header and alias are committed
        drop,      // `reason` says why; counted
        consumed,  // it was for this node (ARP, ND, echo, a probe's answer)
        unknown,   // a segment of an active group without a session: untouched; see `key`
        relay,     // a segment of a relayed session: untouched, but lengths and checksums are right
    };
    Verdict verdict = Verdict::drop;
    Side out = Side::front;
    DropReason reason = DropReason::none;
    Direction direction = Direction::from_client;  // of a segment: who sent it
    GroupId group;                                 // with transmit, gate and unknown
    bool created = false;                          // this SYN made the session
    bool header_changed = false;  // TCP state or negotiated options moved: publish the header
    bool closed = false;          // it just went to time_wait or reset
    bool ends = false;            // the frame carries RST or FIN (leaves under a confirmed epoch)
    SessionIndex session;         // with transmit and gate
    bool stateless = false;  // with relay: a SYN, and no room for a session; answer by a cookie
    bool begins = false;     // with unknown: a SYN, which may begin a session once all are known
    FlowKey key;             // with unknown: what to pull; (client, vip) or (backend, pool)
    // With relay: `session`, `direction` and `group` are set. An ICMP error about what we sent to
    // the side that `direction` names carries the MTU it asks for; 0: it is a segment.
    uint32_t too_big_mtu = 0;
    SeqNum too_big_seq;
};

enum class CloseReason : uint8_t {
    finished,  // lingered after time_wait or reset
    idle,      // nothing was heard for the state's timeout
    expired,   // its service lets none live longer
    evicted,   // the oldest half-open one, to make room for a newer
    replaced,  // its client began anew from the same port
    dropped,   // by the caller
};

class ForwardEvents {
public:
    virtual ~ForwardEvents() = default;
    // The session is about to be removed from the table. Must not touch the table.
    virtual void on_session_closed(SessionIndex index, const Session& session, CloseReason reason,
                                   Instant now) = 0;
    // A neighbour answered us. Non-IP frames reach only one worker: tell the others, which call
    // learn_neighbor().
    virtual void on_neighbor(Side side, const IpAddress& address, const MacAddress& mac,
                             Instant now) = 0;
};

struct ForwardCounters {
    uint64_t from_client = 0;
    uint64_t from_backend = 0;
    uint64_t sessions_created = 0;
    uint64_t sessions_restored = 0;
    uint64_t sessions_finished = 0;
    uint64_t sessions_idle = 0;
    uint64_t sessions_expired = 0;
    uint64_t sessions_evicted = 0;
    uint64_t sessions_replaced = 0;
    uint64_t gated = 0;
    uint64_t unknown = 0;
    uint64_t out_of_window = 0;
    uint64_t rst_unconfirmed = 0;
    uint64_t icmp_translated = 0;
    uint64_t echo_answered = 0;
    uint64_t relayed = 0;
    uint64_t dirty_overflow = 0;
    uint64_t resets_made = 0;
};
extern const std::span<const CounterInfo<ForwardCounters>> kForwardCounters;

class Forwarder {
public:
    Forwarder(const ForwardOptions& options, ForwardEvents& events, Instant now);
    ~Forwarder();
    Forwarder(const Forwarder&) = delete;
    Forwarder& operator=(const Forwarder&) = delete;

    // Optional, before on_frame() of each in that order: takes the first 64 of a burst apart and
    // hides the table's memory latency. Changes nothing but speed, also when frames are not handed
    // over then. Until they are, or others are prefetched, their octets must stay as they are.
    void prefetch(std::span<const Frame> frames);
    Step on_frame(Frame& frame, Instant now, Outlet& outlet);

    Instant next_deadline() const;
    void on_deadline(Instant now, Outlet& outlet);

    // Groups. Becoming active starts nothing by itself: announce() does.
    void set_group(GroupId group, const GroupState& state);
    const GroupState& group(GroupId group) const;
    // Gratuitous ARP and unsolicited neighbour advertisements for all VIPs (front) and pool
    // addresses (back) of the group: at the next on_deadline(), then after 10, 100 and 1000 ms.
    // Stops when the group is no longer active.
    void announce(GroupId group, Instant now);
    // Removes up to `budget` sessions of a group (fenced, handed over); true when none is left.
    bool drop_group(GroupId group, uint32_t budget, Instant now);

    // Sessions, for capture and takeover.
    SessionTable& sessions();
    const SessionTable& sessions() const;
    // Inserts a session restored from fragments: kAdopted is set, both sides' tracking is believed
    // afresh (TcpSide::kSynced is cleared), its idle timer starts now. client_mac may be zero: then
    // frames to the client wait for its first segment. tuple_in_use when we have it already.
    std::expected<SessionIndex, DropReason> restore(const Session& session, Instant now);
    // The session of a client that proves by `ack`, whose frame had these headers, that it got our
    // answer to its SYN (whose options were `seen`). Makes room like a SYN.
    std::expected<SessionIndex, DropReason> open_proven(const EthernetHeader& ethernet,
                                                        const IpHeader& ip, const TcpSegment& ack,
                                                        const TcpOptions& seen, Instant now);
    // Of relayed sessions, which are not tracked here: a new state, with its idle timeout; and that
    // one's progress is to be published.
    void set_state(SessionIndex index, SessionState state, Instant now);
    void mark_dirty(SessionIndex index);
    // Of a restored one: when it began, perhaps before this node's clock did.
    void set_created(SessionIndex index, Instant created, Instant now);
    // Removes one that came to its end, with on_session_closed(finished).
    void finish(SessionIndex index, Instant now);
    // Removes one, with on_session_closed(dropped).
    void drop(SessionIndex index, Instant now);
    // Sessions whose sequence progress moved since they were last popped; clears kDirtySegment.
    std::optional<SessionIndex> pop_dirty();
    uint32_t dirty() const;

    // RST frames (RFC 9293 section 3.10.7.1), written to `to`; bytes written, 0 when it cannot be
    // made (no next hop known, no room, or the segment was itself a RST). 100 bytes suffice.
    // Towards one end of a session, as if the other had said it:
    size_t make_reset(const Session& session, Direction towards, MutableBytes to);
    // In answer to a received frame that was `unknown`, from the address it was sent to:
    size_t make_reset(Bytes unknown_frame, MutableBytes to);
    // Ethernet header for a frame to one end of a session: client's next hop (front) or backend's
    // neighbour (back), from the group's virtual MAC. Returns its size, 0 when unknown.
    size_t make_ethernet(const Session& session, Direction towards, MutableBytes to) const;

    void learn_neighbor(Side side, const IpAddress& address, const MacAddress& mac, Instant now);
    bool backend_up(uint16_t service, uint16_t backend) const;
    // Drain or restore a backend at run time (0: no new sessions; those it has go on).
    void set_weight(uint16_t service, uint16_t backend, uint32_t weight);

    const ForwardCounters& counters() const;
    const DropCounters& drops() const;
    uint64_t bytes() const;  // memory, all parts

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast
