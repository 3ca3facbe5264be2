#include "dataplane/forward/forward.h"

#include "dataplane/forward/forwarder_impl.h"

namespace holdfast {
namespace {

using C = ForwardCounters;
constexpr CounterInfo<C> kTable[] = {
    {"segments_from_client", "TCP segments of sessions that came from clients.", &C::from_client},
    {"segments_from_backend", "TCP segments of sessions that came from backends.",
     &C::from_backend},
    {"sessions_created", "Sessions made for a client's SYN.", &C::sessions_created},
    {"sessions_restored", "Sessions restored from fragments.", &C::sessions_restored},
    {"sessions_finished", "Sessions removed after both ends were done or one reset.",
     &C::sessions_finished},
    {"sessions_idle", "Sessions removed because nothing was heard.", &C::sessions_idle},
    {"sessions_expired",
     "Sessions reset because they had lived as long as their service lets them.",
     &C::sessions_expired},
    {"sessions_evicted", "Half-open sessions removed to make room for newer ones.",
     &C::sessions_evicted},
    {"sessions_replaced", "Finished sessions removed because the client's port was used anew.",
     &C::sessions_replaced},
    {"syn_acks_gated", "SYN-ACKs handed to the release gate.", &C::gated},
    {"segments_unknown", "Segments of an active group without a session here.", &C::unknown},
    {"segments_out_of_window", "Segments passed on without believing them: outside the window.",
     &C::out_of_window},
    {"rst_unconfirmed", "RSTs passed on that did not end the session here.", &C::rst_unconfirmed},
    {"icmp_translated", "ICMP errors translated to the other side.", &C::icmp_translated},
    {"echo_answered", "Echo requests answered.", &C::echo_answered},
    {"segments_relayed", "Segments of sessions whose TCP terminates here.", &C::relayed},
    {"dirty_overflow", "Times a session's progress could not be queued.", &C::dirty_overflow},
    {"resets_made", "RST segments made.", &C::resets_made},
};

}  // namespace

const std::span<const CounterInfo<ForwardCounters>> kForwardCounters = kTable;

Step Forwarder::Impl::on_frame(Frame& frame, Instant now, Outlet& out) {
    const MutableBytes bytes(frame.data, frame.length);
    const auto ethernet = parse_ethernet(bytes);
    if (!ethernet) return dropped(ethernet.error());
    const MutableBytes body = bytes.subspan(ethernet->size);
    if (ethernet->type == kEtherTypeArp) return on_arp(*ethernet, body, frame.in, now, out);
    if (ethernet->type != kEtherTypeIpv4 && ethernet->type != kEtherTypeIpv6)
        return dropped(DropReason::unknown_ethertype);

    const auto ip = ethernet->type == kEtherTypeIpv4 ? parse_ipv4(body) : parse_ipv6(body);
    if (!ip) return dropped(ip.error());
    const Packet packet{*ethernet, *ip, body.first(ip->header_size + ip->payload_size)};
    if (ip->protocol == kProtocolTcp) return on_tcp(frame, packet, now);
    if (ip->protocol == (ip->v4 ? kProtocolIcmp : kProtocolIcmpv6))
        return on_icmp(frame, packet, now, out);
    return dropped(DropReason::unsupported_protocol);
}

Step Forwarder::Impl::on_tcp(Frame& frame, const Packet& packet, Instant now) {
    const auto tcp = parse_tcp(packet.payload());
    if (!tcp) return dropped(tcp.error());
    // RFC 1122 section 4.2.3.10: no TCP by broadcast or multicast; and no nameless sender.
    if (packet.ethernet.destination.is_group()) return dropped(DropReason::not_for_us);
    if (packet.ip.source == IpAddress{}) return dropped(DropReason::ip_bad_source);
    const FlowKey key{{packet.ip.source, tcp->source_port},
                      {packet.ip.destination, tcp->destination_port}};
    const SessionTable::Found found = table.find(key);
    // A forwarded segment keeps its checksum end to end; for a relayed one we are the end.
    if (options.verify_checksums || relayed(found, packet, *tcp)) {
        const DropReason bad =
            verify_tcp_checksum(packet.ip.source, packet.ip.destination, packet.payload());
        if (bad != DropReason::none) return dropped(bad);
    }
    if (!found) return on_unmatched(frame, packet, *tcp, now);
    if (!groups[table.at(found.slot).group.value].state.active)
        return dropped(DropReason::not_holder);
    return on_session(frame, packet, *tcp, found, now);
}

Step Forwarder::Impl::on_unmatched(Frame& frame, const Packet& packet, const TcpSegment& tcp,
                                   Instant now) {
    const AddressBook::Owner* owner = book.owner(packet.ip.destination);
    if (owner == nullptr) return on_own_tcp(packet, tcp, now, *outlet);
    if (!groups[owner->group.value].state.active) return dropped(DropReason::not_holder);
    const bool syn = tcp.has(tcp_flag::syn) && !tcp.has(tcp_flag::ack);
    const bool gathering = groups[owner->group.value].state.gathering;
    if (owner->pool && syn) return dropped(DropReason::invalid_state);
    if (!owner->pool) {
        const auto service = book.service({packet.ip.destination, tcp.destination_port});
        if (!service) return dropped(DropReason::no_service);
        if (syn && options.services[*service].terminates_tcp() && table.embryonic_full())
            return answer_by_cookie(*owner);
        if (syn && !gathering) return open(frame, packet, tcp, *service, now);
    }
    ++counters.unknown;
    Step step;
    step.verdict = Step::Verdict::unknown;
    step.direction = owner->pool ? Direction::from_backend : Direction::from_client;
    step.group = owner->group;
    step.ends = tcp.has(tcp_flag::rst | tcp_flag::fin);
    step.begins = syn;
    step.key = {{packet.ip.source, tcp.source_port}, {packet.ip.destination, tcp.destination_port}};
    return step;
}

Step Forwarder::Impl::open(Frame& frame, const Packet& packet, const TcpSegment& tcp,
                           uint16_t service, Instant now) {
    const auto options_seen =
        parse_tcp_options(packet.payload().subspan(20, tcp.header_size - 20u));
    if (!options_seen) return dropped(options_seen.error());
    if (packet.ip.ttl <= 1) return dropped(DropReason::ttl_expired);
    const auto index = create(packet, tcp, *options_seen, service, now);
    if (!index) return dropped(index.error());
    ++counters.sessions_created;
    ++counters.from_client;
    Session& session = table.at(index->slot);
    Step step = session.has(Session::kRelayed)
                    ? relay(session, index->slot, Direction::from_client)
                    : pass(frame, packet, tcp, session, Direction::from_client);
    step.session = *index;
    step.created = true;
    return step;
}

std::expected<SessionIndex, DropReason> Forwarder::Impl::create(const Packet& packet,
                                                                const TcpSegment& tcp,
                                                                const TcpOptions& seen,
                                                                uint16_t service, Instant now,
                                                                bool proven) {
    const Service& config = options.services[service];
    ServiceState& state = services[service];
    Session s;
    s.client = {packet.ip.source, tcp.source_port};
    s.vip = {packet.ip.destination, tcp.destination_port};
    const MaglevTable& balance = packet.ip.v4 ? state.v4 : state.v6;
    s.backend_index = balance.pick(balance_hash(client_key(s)));
    if (s.backend_index == MaglevTable::kNone) return std::unexpected(DropReason::no_backend);
    if (back.mac(state.neighbors[s.backend_index]) == nullptr)
        return std::unexpected(DropReason::neighbor_unresolved);
    s.backend = config.backends[s.backend_index].endpoint;
    const auto pool = ports.choose(config.pools, s.backend, table);
    if (!pool) return std::unexpected(DropReason::pool_exhausted);
    // One that is proven is half open only while there is TLS to be agreed on.
    if (!make_room(!proven || config.mode == Mode::tls, now))
        return std::unexpected(DropReason::table_full);
    s.pool = *pool;
    s.client_mac = packet.ethernet.source;
    s.client_vlan = packet.ethernet.vlan;
    s.service = service;
    if (config.terminates_tcp()) s.set(Session::kRelayed);
    s.group = config.group;
    s.epoch = groups[config.group.value].state.epoch;
    s.created = s.last_activity = now;
    begin_tracking(s, tcp, seen);
    const auto index = table.insert(s);
    if (index) arm(index->slot, now);
    return index;
}

// Half-open sessions make room for each other; nothing makes room at the cost of established ones.
bool Forwarder::Impl::make_room(bool half_open, Instant now) {
    const bool full = table.size() == table.capacity();
    if (!full && !(half_open && table.embryonic_full())) return true;
    const SessionIndex oldest = table.oldest_embryonic();
    if (!oldest) return false;
    close(oldest, CloseReason::evicted, now);
    return true;
}

Step Forwarder::Impl::on_session(Frame& frame, const Packet& packet, const TcpSegment& tcp,
                                 SessionTable::Found found, Instant now) {
    Session& session = table.at(found.slot);
    const bool syn = tcp.has(tcp_flag::syn);
    if (syn && !tcp.has(tcp_flag::ack) && is_over(session.state) &&
        found.direction == Direction::from_client) {
        close(table.index_of(found.slot), CloseReason::replaced, now);
        return on_unmatched(frame, packet, tcp, now);
    }
    if (session.has(Session::kRelayed)) return relay(session, found.slot, found.direction);
    TcpOptions seen;
    if (syn) {
        const auto parsed = parse_tcp_options(packet.payload().subspan(20, tcp.header_size - 20u));
        if (!parsed) return dropped(parsed.error());
        seen = *parsed;
    }
    if (packet.ip.ttl <= 1) return dropped(DropReason::ttl_expired);
    const TrackStep track = track_segment(session, found.direction, tcp, seen);
    if (track.drop != DropReason::none) return dropped(track.drop);

    const bool from_client = found.direction == Direction::from_client;
    ++(from_client ? counters.from_client : counters.from_backend);
    if (track.in_window) {
        session.last_activity = now;
        if (from_client) {
            session.client_mac = packet.ethernet.source;
            session.client_vlan = packet.ethernet.vlan;
        }
    }
    Step step = pass(frame, packet, tcp, session, found.direction);
    after_tracking(session, found.slot, track, step, now);
    step.session = table.index_of(found.slot);
    if (track.syn_ack && step.verdict == Step::Verdict::transmit &&
        !session.has(Session::kCommitted)) {
        step.verdict = Step::Verdict::gate;
        ++counters.gated;
    }
    return step;
}

// Whether TCP terminates here for this segment's session, or would for the one that it begins.
bool Forwarder::Impl::relayed(SessionTable::Found found, const Packet& packet,
                              const TcpSegment& tcp) {
    if (found) return table.at(found.slot).has(Session::kRelayed);
    const auto service = book.service({packet.ip.destination, tcp.destination_port});
    return service && options.services[*service].terminates_tcp();
}

Step Forwarder::Impl::relay(const Session& session, uint32_t slot, Direction from) {
    ++counters.relayed;
    Step step;
    step.verdict = Step::Verdict::relay;
    step.direction = from;
    step.group = session.group;
    step.session = table.index_of(slot);
    return step;
}

void Forwarder::Impl::after_tracking(Session& session, uint32_t slot, const TrackStep& track,
                                     Step& step, Instant now) {
    if (!track.in_window) {
        ++counters.out_of_window;
        return;
    }
    if (track.state_changed) {
        if (!is_embryonic(session.state)) table.promote(slot);
        step.closed = is_over(session.state);
        arm(slot, now);
    }
    // Before the SYN-ACK nothing has been published that could have changed.
    step.header_changed =
        (track.state_changed || track.options_changed) && session.state != SessionState::syn_sent;
    if (track.progress && !session.has(Session::kDirtySegment)) mark_dirty(session, slot);
}

// Out to the other side: the last step of every segment that goes on.
Step Forwarder::Impl::pass(Frame& frame, const Packet& packet, const TcpSegment& tcp,
                           Session& session, Direction from) {
    const LinkHop hop = hop_towards(session, opposite(from));
    Step step;
    step.direction = from;
    step.group = session.group;
    step.ends = tcp.has(tcp_flag::rst | tcp_flag::fin);
    if (!hop) {
        step.reason = DropReason::neighbor_unresolved;
        return step;
    }
    const bool to_backend = from == Direction::from_client;
    const Endpoint& source = to_backend ? session.pool : session.vip;
    const Endpoint& destination = to_backend ? session.backend : session.client;
    std::byte* const ip = packet.bytes.data();
    if (packet.ip.v4)
        rewrite_segment<true>(ip, ip + packet.ip.header_size, source, destination);
    else
        rewrite_segment<false>(ip, ip + packet.ip.header_size, source, destination);
    rewrite_link(frame, packet.ethernet.size, packet.ethernet.type, hop);
    step.verdict = Step::Verdict::transmit;
    step.out = to_backend ? Side::back : Side::front;
    return step;
}

void Forwarder::prefetch(std::span<const Frame> frames) { impl_->prefetch(frames); }

Step Forwarder::on_frame(Frame& frame, Instant now, Outlet& outlet) {
    Step step;
    if (impl_->options.plain_path && impl_->on_plain(frame, now, step)) return step;
    impl_->outlet = &outlet;
    step = impl_->on_frame(frame, now, outlet);
    impl_->outlet = nullptr;
    if (step.verdict == Step::Verdict::drop) impl_->drops.count(step.reason);
    return step;
}

}  // namespace holdfast
