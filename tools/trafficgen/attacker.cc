#include "tools/trafficgen/attacker.h"

namespace holdfast::gen {

Attacker::Attacker(Context& context, const Profile& profile)
    : context_(context), sessions_(profile.sessions), random_(mix64(context.seed ^ 0xa77ac)) {
    for (const Endpoint& target : context.addresses.targets)
        neighbors_.push_back(context.neighbors.add(target.address, Side::front));
}

void Attacker::set_rates(const Attack& rates, Instant now) {
    const std::array<double, kSorts> all{rates.syn, rates.flags, rates.rst, rates.ack,
                                         rates.fragments};
    for (size_t i = 0; i < kSorts; ++i) schedules_[i].set_rate(all[i], now);
}

Instant Attacker::next_deadline() const {
    Instant next = Instant::max();
    for (const Schedule& s : schedules_) next = earlier(next, s.next_deadline());
    return next;
}

void Attacker::on_deadline(Instant now) {
    for (unsigned sort = 0; sort < kSorts; ++sort)
        for (unsigned i = 0; i < kAtOnce && schedules_[sort].take(now); ++i)
            send(static_cast<Sort>(sort), now);
}

// Behind the last client of the target's family.
Endpoint Attacker::made_up(uint32_t target) {
    const Addresses& a = context_.addresses;
    const bool v4 = a.targets[target].address.is_v4();
    const uint32_t behind =
        a.client_addresses(sessions_) + static_cast<uint32_t>(random_.below(kSources));
    return {Addresses::plus(v4 ? a.client_v4 : a.client_v6, behind),
            static_cast<uint16_t>(1024 + random_.below(64'512))};
}

void Attacker::send(Sort sort, Instant now) {
    const Addresses& a = context_.addresses;
    auto target = static_cast<uint32_t>(random_.below(a.targets.size()));
    Endpoint from = made_up(target);
    SegmentOut s{.seq = {static_cast<uint32_t>(random_.next())},
                 .ack = {static_cast<uint32_t>(random_.next())}};
    const auto anybody = static_cast<uint32_t>(random_.below(sessions_));
    const auto flags = static_cast<uint8_t>(random_.next());
    if (sort == kRst || sort == kAck) {
        target = static_cast<uint32_t>(anybody % a.targets.size());
        from = a.client_of(anybody);
    }
    const Hop* hop = context_.neighbors.hop(neighbors_[target], now);
    if (hop == nullptr) return void(++context_.counters.tx_unresolved);
    ++context_.counters.attack_frames;
    const Endpoint& to = a.targets[target];
    switch (sort) {
        case kSyn:
            s.flags = tcp_flag::syn, s.ack = {0}, s.mss = 1460;
            break;
        case kFlags:
            s.flags = flags;
            break;
        case kRst:
            s.flags = tcp_flag::rst;
            break;
        case kAck:
            s.flags = tcp_flag::ack, s.payload = 1;
            break;
        case kFragments:
            return send_fragment(*hop, from, to);
        case kSorts:
            return;
    }
    send_segment(context_.out, *hop, from, to, s,
                 [](MutableBytes octets) { std::ranges::fill(octets, std::byte{0x55}); });
}

// IPv4 says so in its header; IPv6 in one of its own (RFC 8200 section 4.5). The first fragment has
// the TCP header and more to follow; others lie somewhere behind it.
void Attacker::send_fragment(const Hop& hop, const Endpoint& from, const Endpoint& to) {
    const bool v4 = from.address.is_v4(), first = random_.chance(0.5);
    constexpr size_t kPiece = 64;
    const size_t size = 14 + (v4 ? 20 : 48) + kPiece;
    MutableBytes frame = context_.out.compose(hop.port, size);
    if (frame.empty()) return;
    std::byte piece[kPiece]{};
    store_be(piece, from.port);
    store_be(piece + 2, to.port);
    piece[12] = std::byte{5 << 4};
    piece[13] = std::byte{tcp_flag::syn};
    const auto place = static_cast<uint16_t>(first ? 0 : 8 * (1 + random_.below(100)));
    ByteWriter w(frame);
    emit_ethernet({hop.to, hop.from, 0, v4 ? kEtherTypeIpv4 : kEtherTypeIpv6}, w);
    IpHeader ip = ip_header(from.address, to.address, v4 ? kProtocolTcp : uint8_t{44},
                            v4 ? kPiece : kPiece + 8);
    emit_ip(ip, w);
    if (v4) {
        std::byte* p = frame.data() + 14;
        store_be(p + 6, static_cast<uint16_t>(0x2000 | place / 8));
        store_be(p + 10, uint16_t{0});
        store_checksum(p + 10, checksum_of(add_to_sum(0, {p, 20})));
    } else {
        w.be<uint16_t>(kProtocolTcp << 8);
        w.be<uint16_t>(static_cast<uint16_t>(place | 1));
        w.be<uint32_t>(static_cast<uint32_t>(random_.next()));
    }
    w.put(piece);
}

}  // namespace holdfast::gen
