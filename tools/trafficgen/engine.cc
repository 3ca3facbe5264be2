#include "tools/trafficgen/engine.h"

namespace holdfast::gen {
namespace {

// Servers may have more: connections whose client has already gone, and a flood's half-open ones.
constexpr uint32_t kServerMargin = 65'536;

Link with_own(Link link, const IpAddress& v4, const IpAddress& v6) {
    link.own_v4 = v4;
    link.own_v6 = v6;
    return link;
}

Link back_link(const EngineOptions& o) {
    IpAddress v4, v6;
    for (const Endpoint& s : o.addresses.servers) (s.address.is_v4() ? v4 : v6) = s.address;
    return with_own(o.back, v4, v6);
}

}  // namespace

Engine::Engine(const EngineOptions& options, FrameOut& out, Instant now)
    : options_(options),
      classes_(options.profile.classes, options.seed),
      out_(out, counters_),
      detector_(options.gap),
      neighbors_(with_own(options.front, options.addresses.client_v4, options.addresses.client_v6),
                 back_link(options), out_, counters_,
                 [this](const IpAddress& a) { return is_ours(a); }),
      context_{options_.addresses, classes_,  options.seed, options.limits, options.timeout, out_,
               neighbors_,         counters_, detector_,    latencies_},
      clients_(context_, options_.profile, now),
      servers_(context_, options_.profile.sessions + kServerMargin, now),
      attacker_(context_, options_.profile) {
    clients_.set_intended([this](uint32_t session, uint32_t request) {
        return requests_.intended(uint64_t{request} * options_.profile.sessions + session);
    });
}

bool Engine::is_ours(const IpAddress& a) const {
    for (const Endpoint& s : options_.addresses.servers)
        if (s.address == a) return true;
    const auto n = options_.addresses.number_of(a);
    return n &&
           *n < options_.addresses.client_addresses(options_.profile.sessions) + Attacker::kSources;
}

// ---- What is due

void Engine::start(Instant now) {
    if (phase_ != Phase::stopped) return;
    phase_ = Phase::resolving;
    on_deadline(now);
}

void Engine::stop(Instant now) {
    phase_ = Phase::stopped;
    opens_.set_rate(0, now);
    requests_.set_rate(0, now);
    attacker_.set_rates({}, now);
}

void Engine::set_rate(double rate, Instant now) {
    options_.profile.rate = rate;
    if (phase_ == Phase::running) requests_.set_rate(rate, now);
}

void Engine::set_attack(const Attack& attack, Instant now) {
    options_.profile.attack = attack;
    if (phase_ == Phase::running) attacker_.set_rates(attack, now);
}

void Engine::run(Instant now) {
    phase_ = Phase::running;
    if (options_.profile.kind != Kind::nothing) requests_.set_rate(options_.profile.rate, now);
    attacker_.set_rates(options_.profile.attack, now);
}

Instant Engine::next_deadline() const {
    Instant next = earlier(clients_.next_deadline(), servers_.next_deadline());
    const bool may_open =
        to_open_ < clients_.capacity() && clients_.opening() < options_.profile.half_open;
    if (phase_ == Phase::opening && may_open) next = earlier(next, opens_.next_deadline());
    return earlier(next, earlier(requests_.next_deadline(), attacker_.next_deadline()));
}

void Engine::on_deadline(Instant now) {
    clients_.on_deadline(now);
    servers_.on_deadline(now);
    switch (phase_) {
        case Phase::stopped:
            return run_some(now);  // what was due before
        case Phase::resolving:
            if (!clients_.resolved(now)) return;
            if (options_.profile.kind != Kind::sessions || to_open_ == clients_.capacity())
                return run(now);
            phase_ = Phase::opening;
            opens_.set_rate(options_.profile.open_rate, now);
            return;
        case Phase::opening:
            return open_some(now);
        case Phase::running:
            return run_some(now);
    }
}

// Paced, but not open-loop: this is the way there, not what is measured.
void Engine::open_some(Instant now) {
    for (unsigned i = 0; i < kAtOnce && to_open_ < clients_.capacity() &&
                         clients_.opening() < options_.profile.half_open;
         ++i) {
        const auto ticket = opens_.take(now);
        if (!ticket) break;
        clients_.connect(now, now);
        ++to_open_;
    }
    if (to_open_ == clients_.capacity() && clients_.opening() == 0) run(now);
}

void Engine::run_some(Instant now) {
    attacker_.on_deadline(now);
    for (unsigned i = 0; i < kAtOnce; ++i) {
        const auto ticket = requests_.take(now);
        if (!ticket) return;
        if (options_.profile.kind == Kind::sessions)
            clients_.request(static_cast<uint32_t>(*ticket % options_.profile.sessions), now);
        else
            clients_.connect(requests_.intended(*ticket).value_or(now), now);
    }
}

void Engine::on_stall(Duration gap) {
    ++counters_.own_stalls;
    counters_.own_longest_stall_us =
        std::max(counters_.own_longest_stall_us, static_cast<uint64_t>(gap.as_microseconds()));
}

void Engine::clear() {
    counters_ = {};
    drops_ = {};
    latencies_ = {};
    detector_.clear();
}

// ---- Frames

void Engine::on_frame(unsigned port, Bytes frame, Instant now) {
    ++counters_.rx_frames;
    counters_.rx_octets += frame.size();
    const auto ethernet = parse_ethernet(frame);
    if (!ethernet) return drops_.count(ethernet.error());
    neighbors_.on_source(port, ethernet->source);
    const Bytes body = frame.subspan(ethernet->size);
    if (ethernet->type == kEtherTypeArp) return neighbors_.on_arp(port, *ethernet, body);
    if (ethernet->type == kEtherTypeIpv4 || ethernet->type == kEtherTypeIpv6)
        return on_ip(port, *ethernet, body, now);
    drops_.count(DropReason::unknown_ethertype);
}

void Engine::on_ip(unsigned port, const EthernetHeader& ethernet, Bytes packet, Instant now) {
    const auto ip = ethernet.type == kEtherTypeIpv4 ? parse_ipv4(packet) : parse_ipv6(packet);
    if (!ip) return drops_.count(ip.error());
    const Bytes payload = packet.subspan(ip->header_size, ip->payload_size);
    if (ip->protocol == kProtocolTcp) return on_tcp(port, ethernet, *ip, payload, now);
    if (ip->protocol == kProtocolIcmp || ip->protocol == kProtocolIcmpv6)
        return on_icmp(port, ethernet, *ip, packet, now);
    drops_.count(DropReason::unsupported_protocol);
}

void Engine::on_tcp(unsigned port, const EthernetHeader& ethernet, const IpHeader& ip,
                    Bytes segment, Instant now) {
    const auto tcp = parse_tcp(segment);
    if (!tcp) return drops_.count(tcp.error());
    const Endpoint from{ip.source, tcp->source_port}, to{ip.destination, tcp->destination_port};
    const auto session = options_.addresses.session_of(to, from);
    const auto server = session ? std::nullopt : options_.addresses.server_of(to);
    if (!session && !server) return on_nobodys(to.address);
    const DropReason bad = verify_tcp_checksum(ip.source, ip.destination, segment);
    if (bad != DropReason::none) return drops_.count(bad);
    const Bytes payload = segment.subspan(tcp->header_size);
    if (server) {
        const Servers::Arrival arrival{from, *server, ethernet.source, port};
        servers_.on_segment(arrival, *tcp, payload, now);
    } else if (*session < clients_.capacity()) {
        clients_.on_segment(*session, *tcp, payload, now);
    } else {
        ++counters_.attack_answers;
    }
}

void Engine::on_nobodys(const IpAddress& address) {
    if (!is_ours(address)) return drops_.count(DropReason::not_for_us);
    const auto n = options_.addresses.number_of(address);
    const bool made_up = n && *n >= options_.addresses.client_addresses(options_.profile.sessions);
    ++(made_up ? counters_.attack_answers : counters_.stray);
}

void Engine::on_icmp(unsigned port, const EthernetHeader& ethernet, const IpHeader& ip,
                     Bytes packet, Instant now) {
    const Bytes message = packet.subspan(ip.header_size, ip.payload_size);
    const auto icmp = parse_icmp(ip, message);
    if (!icmp) return drops_.count(icmp.error());
    if (icmp->error) return on_error(ip, *icmp, message.subspan(kIcmpHeaderSize), now);
    if (icmp->echo_request && is_ours(ip.destination)) return echo(port, ethernet, ip, packet);
    const bool nd = !ip.v4 && (icmp->type == icmpv6_type::neighbor_solicitation ||
                               icmp->type == icmpv6_type::neighbor_advertisement);
    if (nd) return neighbors_.on_nd(port, ethernet, ip, message);
    drops_.count(DropReason::icmp_unsupported);
}

// Only "too big" is acted upon, as a host does that looks for the path's MTU (RFC 1191, RFC 8201).
void Engine::on_error(const IpHeader& ip, const IcmpHeader& icmp, Bytes quote, Instant now) {
    ++counters_.icmp_errors;
    const bool too_big = ip.v4 ? icmp.type == icmp_type::unreachable && icmp.code == 4
                               : icmp.type == icmpv6_type::packet_too_big;
    const auto inner = parse_quoted(quote, ip.v4);
    if (!too_big || !inner || inner->protocol != kProtocolTcp || inner->payload_size < 8) return;
    const std::byte* tcp = quote.data() + inner->header_size;
    const Endpoint from{inner->source, load_be<uint16_t>(tcp)};
    const Endpoint to{inner->destination, load_be<uint16_t>(tcp + 2)};
    const SeqNum seq{load_be<uint32_t>(tcp + 4)};
    const uint32_t mtu = ip.v4 ? icmp.rest & 0xffff : icmp.rest;
    if (const auto session = options_.addresses.session_of(from, to))
        clients_.on_too_big(*session, seq, mtu, now);
    else if (const auto server = options_.addresses.server_of(from))
        servers_.on_too_big(to, *server, seq, mtu, now);
}

void Engine::echo(unsigned port, const EthernetHeader& ethernet, const IpHeader& ip, Bytes packet) {
    const size_t size = ip.header_size + ip.payload_size;
    const MutableBytes frame = out_.compose(port, std::max(14 + size, kSmallestFrame));
    if (frame.empty()) return;
    std::ranges::fill(frame, std::byte{0});
    ByteWriter w(frame);
    emit_ethernet({ethernet.source, ethernet.destination, 0, ethernet.type}, w);
    w.put(packet.first(size));
    make_echo_reply(ip, frame.subspan(14, size));
}

}  // namespace holdfast::gen
