// The short way of what nearly every frame is: a segment in the window of an established session
// whose next hop is known, without SYN, RST or FIN.
//
// An optimisation and nothing else: what it takes it does exactly as Impl::on_frame() would, and
// whatever is not so plain it leaves untouched for that to judge. It refuses nothing and counts no
// drop. A test compares both ways on random conversations (plain_test.cc). Values stay in registers
// from the frame to the frame; the long way builds headers in memory, at four times the cost.
#include "dataplane/forward/plain.h"

#include "dataplane/forward/forwarder_impl.h"
#include "dataplane/forward/window.h"
#include "dataplane/wire/checksum.h"

namespace holdfast {
namespace {

bool checksums_right(const PlainFrame& f, bool verify_tcp) {
    if (f.v4 && fold_sum(add_to_sum(0, {f.ip, 20})) != 0xffff) return false;
    if (!verify_tcp) return true;
    const uint64_t pseudo =
        pseudo_header_sum(f.flow.source, f.flow.destination, kProtocolTcp, f.segment_size);
    return fold_sum(add_to_sum(pseudo, {f.tcp, f.segment_size})) == 0xffff;
}

std::optional<TcpSegment> plain_segment(const PlainFrame& f) {
    using namespace tcp_flag;
    TcpSegment s;
    s.flags = static_cast<uint8_t>(f.tcp[13]);
    if ((s.flags & (syn | rst | fin | ack)) != ack) return std::nullopt;
    s.header_size = static_cast<uint8_t>((static_cast<uint8_t>(f.tcp[12]) >> 4) * 4);
    if (s.header_size < 20 || s.header_size > f.segment_size) return std::nullopt;
    s.seq = {load_be<uint32_t>(f.tcp + 4)};
    s.ack = {load_be<uint32_t>(f.tcp + 8)};
    s.window = load_be<uint16_t>(f.tcp + 14);
    s.payload_size = f.segment_size - s.header_size;
    return s;
}

}  // namespace

bool Forwarder::Impl::on_plain(Frame& frame, Instant now, Step& step) {
    const Ahead* ahead = next_ahead < ahead_count ? &aheads[next_ahead++] : nullptr;
    if (ahead != nullptr && ahead->data == frame.data && ahead->length == frame.length)
        return ahead->plain && pass_plain(frame, ahead->frame, ahead->hint, now, step);
    PlainFrame f;
    return parse_plain(frame, f) && pass_plain(frame, f, SessionTable::kNoHint, now, step);
}

bool Forwarder::Impl::pass_plain(Frame& frame, const PlainFrame& f, SessionTable::Hint hint,
                                 Instant now, Step& step) {
    if ((frame.data[0] & std::byte{1}) != std::byte{0}) return false;
    const auto segment = plain_segment(f);
    if (!segment || static_cast<uint8_t>(f.ip[f.v4 ? kIpv4Ttl : kIpv6HopLimit]) <= 1) return false;
    const SessionTable::Found found = table.find(f.flow, hint);
    if (!found || !checksums_right(f, options.verify_checksums)) return false;

    Session& session = table.at(found.slot);
    const GroupEntry& group = groups[session.group.value];
    TcpSide& sender = session.side(found.direction);
    TcpSide& receiver = session.side(opposite(found.direction));
    if (!group.state.active || session.has(Session::kRelayed) ||
        session.state != SessionState::established || !sender.has(TcpSide::kSynced) ||
        !in_window(session, sender, receiver, *segment))
        return false;
    const LinkHop hop = hop_towards(session, opposite(found.direction));
    if (!hop) return false;

    const bool progress = advance_window(sender, receiver, *segment);
    if (progress && !session.has(Session::kDirtySegment)) mark_dirty(session, found.slot);
    session.last_activity = now;
    const bool to_backend = found.direction == Direction::from_client;
    ++(to_backend ? counters.from_client : counters.from_backend);
    if (to_backend) {
        std::memcpy(session.client_mac.bytes.data(), frame.data + 6, 6);
        session.client_vlan = f.vlan;
    }
    const Endpoint& source = to_backend ? session.pool : session.vip;
    const Endpoint& destination = to_backend ? session.backend : session.client;
    if (f.v4)
        rewrite_segment<true>(f.ip, f.tcp, source, destination);
    else
        rewrite_segment<false>(f.ip, f.tcp, source, destination);
    rewrite_link(frame, static_cast<size_t>(f.ip - frame.data),
                 f.v4 ? kEtherTypeIpv4 : kEtherTypeIpv6, hop);

    step.verdict = Step::Verdict::transmit;
    step.out = to_backend ? Side::back : Side::front;
    step.direction = found.direction;
    step.group = session.group;
    step.session = {found.slot, session.generation};
    return true;
}

void Forwarder::Impl::prefetch(std::span<const Frame> frames) {
    ahead_count = std::min(frames.size(), kAhead);
    next_ahead = 0;
    for (size_t i = 0; i < ahead_count; ++i) {
        Ahead& a = aheads[i];
        a.data = frames[i].data;
        a.length = frames[i].length;
        a.plain = parse_plain(frames[i], a.frame);
        if (!a.plain) continue;
        a.hash = table.hash(a.frame.flow);
        table.prefetch_index(a.hash);
    }
    for (Ahead& a : std::span(aheads).first(ahead_count))
        if (a.plain) a.hint = table.prefetch_session(a.hash);
}

}  // namespace holdfast
