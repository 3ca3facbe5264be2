// ICMP errors about a session's packets, carried to the end that sent them (RFC 5508 section 4).
//
// The quoted packet is turned back into what its sender sent. The outer source becomes the address
// that end knows its peer by (VIP or pool address), as both sides are translated: a router behind
// us would otherwise show an address the other end has no route to.
#include "dataplane/forward/forwarder_impl.h"

namespace holdfast {
namespace {

// RFC 5927 section 4.1: an error about a segment that cannot be in flight is forged or stale.
bool in_flight(const Session& session, Direction sender, SeqNum seq) {
    const TcpSide& s = session.side(sender);
    const TcpSide& r = session.side(opposite(sender));
    if (!s.has(TcpSide::kSynced) || !r.has(TcpSide::kSynced)) return true;
    const SeqNum oldest = session.state == SessionState::syn_sent ? s.isn : r.ack;
    // A SYN's sequence number is one less than what its acknowledgement will say.
    return seq >= oldest - 1 && seq <= s.end;
}

// The next hop's MTU of "fragmentation needed" (RFC 1191 section 4) or "packet too big" (RFC 4443
// section 3.2); 0: another error, or a router from before RFC 1191.
uint32_t too_big_mtu(const IpHeader& ip, Bytes message) {
    const auto icmp = parse_icmp(ip, message);
    if (!icmp) return 0;
    if (ip.v4)
        return icmp->type == icmp_type::unreachable && icmp->code == 4 ? icmp->rest & 0xffff : 0;
    return icmp->type == icmpv6_type::packet_too_big ? icmp->rest : 0;
}

}  // namespace

Step Forwarder::Impl::on_icmp_error(Frame& frame, const Packet& packet) {
    const MutableBytes message = packet.payload();
    const MutableBytes quote = message.subspan(kIcmpHeaderSize);
    const auto quoted = parse_quoted(quote, packet.ip.v4);
    if (!quoted) return dropped(quoted.error());
    if (quoted->protocol != kProtocolTcp) return dropped(DropReason::icmp_unsupported);
    if (quoted->payload_size < 8) return dropped(DropReason::icmp_malformed);
    const std::byte* tcp = quote.data() + quoted->header_size;
    const FlowKey sent{{quoted->source, load_be<uint16_t>(tcp)},
                       {quoted->destination, load_be<uint16_t>(tcp + 2)}};
    if (quoted->source != packet.ip.destination) return dropped(DropReason::icmp_no_session);

    const AddressBook::Owner* owner = book.owner(packet.ip.destination);
    if (owner == nullptr) return dropped(DropReason::not_for_us);
    if (!groups[owner->group.value].state.active) return dropped(DropReason::not_holder);
    const SessionTable::Found found = table.find({sent.destination, sent.source});
    if (!found) return dropped(DropReason::icmp_no_session);
    const Session& session = table.at(found.slot);
    // The error comes from where the quoted packet was going, and goes to where it came from.
    const Direction towards = opposite(found.direction);
    if (!session.has(Session::kRelayed) &&
        !in_flight(session, towards, {load_be<uint32_t>(tcp + 4)}))
        return dropped(DropReason::icmp_out_of_window);
    if (session.has(Session::kRelayed)) {
        const uint32_t mtu = too_big_mtu(packet.ip, message);
        if (mtu == 0) return dropped(DropReason::icmp_unsupported);
        Step step = relay(session, found.slot, found.direction);
        step.too_big_mtu = mtu;
        step.too_big_seq = {load_be<uint32_t>(tcp + 4)};
        return step;
    }
    if (packet.ip.ttl <= 1) return dropped(DropReason::ttl_expired);
    const LinkHop hop = hop_towards(session, towards);
    if (!hop) return dropped(DropReason::neighbor_unresolved);

    const bool to_backend = towards == Direction::from_backend;
    const FlowKey original = to_backend ? backend_key(session) : client_key(session);
    rewrite_quote(quote, *quoted, sent, original);
    rewrite_ip(packet.bytes.data(), packet.ip, original.destination.address,
               original.source.address);
    finish_icmp(original.destination.address, original.source.address, message);
    rewrite_link(frame, packet.ethernet.size, packet.ethernet.type, hop);
    ++counters.icmp_translated;
    Step step;
    step.verdict = Step::Verdict::transmit;
    step.out = to_backend ? Side::back : Side::front;
    step.direction = found.direction;
    step.group = session.group;
    step.session = table.index_of(found.slot);
    return step;
}

}  // namespace holdfast
