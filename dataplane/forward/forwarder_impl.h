// The parts of a forwarder and what its files share. Private to dataplane/forward.
//
// forward.cc has the way of a TCP segment, local.cc what is for this node itself, icmp_error.cc
// the translation of errors, control.cc timers, groups and restored sessions, reset.cc RSTs.
#pragma once

#include <array>
#include <vector>

#include "base/timer_wheel.h"
#include "dataplane/forward/address_book.h"
#include "dataplane/forward/forward.h"
#include "dataplane/forward/plain.h"
#include "dataplane/forward/rewrite.h"
#include "dataplane/forward/track.h"
#include "dataplane/neighbor/announcer.h"
#include "dataplane/neighbor/neighbor_cache.h"
#include "dataplane/service/health.h"
#include "dataplane/service/maglev.h"
#include "dataplane/service/port_allocator.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/icmp.h"
#include "dataplane/wire/ip.h"
#include "dataplane/wire/tcp_segment.h"

namespace holdfast {

// Sessions that may wait for a segment fragment, in order, each once (kDirtySegment).
class DirtyQueue {
public:
    explicit DirtyQueue(uint32_t limit) : ring_(limit) {}
    bool push(SessionIndex index) {
        if (size_ == ring_.size()) return false;
        ring_[(head_ + size_++) % ring_.size()] = index;
        return true;
    }
    std::optional<SessionIndex> pop() {
        if (size_ == 0) return std::nullopt;
        const SessionIndex index = ring_[head_];
        head_ = static_cast<uint32_t>((head_ + 1) % ring_.size());
        --size_;
        return index;
    }
    uint32_t size() const { return size_; }
    uint64_t bytes() const { return ring_.size() * sizeof(SessionIndex); }

private:
    std::vector<SessionIndex> ring_;
    uint32_t head_ = 0, size_ = 0;
};

struct Forwarder::Impl final : ProbeOutput {
    // A frame taken apart. The IP packet without link padding.
    struct Packet {
        const EthernetHeader& ethernet;
        const IpHeader& ip;
        MutableBytes bytes;
        MutableBytes payload() const { return bytes.subspan(ip.header_size, ip.payload_size); }
    };
    struct ServiceState {
        MaglevTable v4, v6;
        std::vector<uint32_t> weights;    // as configured, or as set at run time
        std::vector<uint32_t> neighbors;  // handles of the backends' next hops
    };
    struct GroupEntry {
        GroupState state;
        MacAddress mac;
    };

    Impl(const ForwardOptions& o, ForwardEvents& e, Instant now);

    // plain.cc
    bool on_plain(Frame& frame, Instant now, Step& step);
    bool pass_plain(Frame& frame, const PlainFrame& plain, SessionTable::Hint hint, Instant now,
                    Step& step);
    void prefetch(std::span<const Frame> frames);

    // forward.cc
    Step on_frame(Frame& frame, Instant now, Outlet& out);
    Step on_tcp(Frame& frame, const Packet& packet, Instant now);
    Step on_unmatched(Frame& frame, const Packet& packet, const TcpSegment& tcp, Instant now);
    Step on_session(Frame& frame, const Packet& packet, const TcpSegment& tcp,
                    SessionTable::Found found, Instant now);
    Step open(Frame& frame, const Packet& packet, const TcpSegment& tcp, uint16_t service,
              Instant now);
    std::expected<SessionIndex, DropReason> create(const Packet& packet, const TcpSegment& tcp,
                                                   const TcpOptions& options, uint16_t service,
                                                   Instant now, bool proven = false);
    bool relayed(SessionTable::Found found, const Packet& packet, const TcpSegment& tcp);
    Step relay(const Session& session, uint32_t slot, Direction from);
    void after_tracking(Session& session, uint32_t slot, const TrackStep& track, Step& step,
                        Instant now);
    Step pass(Frame& frame, const Packet& packet, const TcpSegment& tcp, Session& session,
              Direction from);
    LinkHop hop_towards(const Session& session, Direction towards) const {
        const MacAddress& own = groups[session.group.value].mac;
        if (towards == Direction::from_client) {
            const bool known = session.client_mac != MacAddress{};
            return {known ? &session.client_mac : nullptr, &own, session.client_vlan};
        }
        const MacAddress* mac =
            session.backend_index == Session::kNoBackend
                ? back.mac_of(next_hop(options.back, session.backend.address))
                : back.mac(services[session.service].neighbors[session.backend_index]);
        return {mac, &own, options.back.vlan};
    }
    Step answer_by_cookie(const AddressBook::Owner& owner);
    bool make_room(bool half_open, Instant now);

    // local.cc
    Step on_arp(const EthernetHeader& ethernet, Bytes body, Side in, Instant now, Outlet& out);
    Step on_icmp(Frame& frame, const Packet& packet, Instant now, Outlet& out);
    Step on_neighbor_message(const Packet& packet, Side in, Instant now, Outlet& out);
    Step on_own_tcp(const Packet& packet, const TcpSegment& tcp, Instant now, Outlet& out);
    std::optional<MacAddress> answers_for(const IpAddress& address, Side side) const;
    bool is_own_back(const IpAddress& address) const;
    void send_probe(const Endpoint& from, const Endpoint& to, const TcpSegment& segment) override;

    // icmp_error.cc
    Step on_icmp_error(Frame& frame, const Packet& packet);

    // control.cc
    void close(SessionIndex index, CloseReason reason, Instant now);
    void on_idle(uint32_t slot, Instant now);
    void arm(uint32_t slot, Instant now);
    Instant expiry(const Session& session) const;
    void rebuild(uint16_t service);
    bool answers(GroupId group) const {
        const GroupState& state = groups[group.value].state;
        return state.active && state.confirmed;
    }
    void announce(GroupId group, Outlet& out);
    Instant next_deadline() const;
    void on_deadline(Instant now, Outlet& out);
    void pin_neighbors(Instant now);
    void mark_dirty(Session& session, uint32_t slot);

    static Step dropped(DropReason reason) {
        Step s;
        s.reason = reason;
        return s;
    }
    static Step consumed() {
        Step s;
        s.verdict = Step::Verdict::consumed;
        return s;
    }
    NeighborCache& neighbors(Side side) { return side == Side::front ? front : back; }

    const ForwardOptions options;
    ForwardEvents& events;
    AddressBook book;
    SessionTable table;
    TimerWheel wheel;
    std::vector<ServiceState> services;
    std::array<GroupEntry, kMaxGroups> groups{};
    TupleHash balance_hash;
    PortAllocator ports;
    NeighborCache front, back;
    HealthChecker health;
    Announcer announcer;
    DirtyQueue dirty;
    Outlet* outlet = nullptr;                  // while a call that was given one is running
    std::vector<MaglevTable::Choice> choices;  // scratch for rebuild()
    // The frames of a burst, taken apart before their turn: in order.
    struct Ahead {
        const std::byte* data = nullptr;
        uint32_t length = 0, hash = 0;
        SessionTable::Hint hint = SessionTable::kNoHint;
        bool plain = false;
        PlainFrame frame;
    };
    static constexpr size_t kAhead = 64;
    std::array<Ahead, kAhead> aheads;
    size_t next_ahead = 0, ahead_count = 0;
    ForwardCounters counters;
    DropCounters drops;
};

}  // namespace holdfast
