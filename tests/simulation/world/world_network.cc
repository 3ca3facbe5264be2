// What lies between the nodes, and between them and the hosts.
#include "dataplane/wire/arp.h"
#include "dataplane/wire/icmp.h"
#include "dataplane/wire/nd.h"
#include "tests/simulation/member.h"
#include "tests/simulation/world/judge_secrets.h"
#include "tests/simulation/world/world.h"

namespace holdfast::simulation {
namespace {

using testing::ip;
using testing::mac;

const MacAddress kClientMac = mac(0xc1), kBackendMac = mac(0xb1);
constexpr size_t kBacklog = 512;  // what a kernel keeps for a process that sleeps

uint64_t hash_of(Bytes octets) {
    uint64_t h = octets.size();
    for (; octets.size() >= 8; octets = octets.subspan(8)) {
        uint64_t word;
        std::memcpy(&word, octets.data(), 8);
        h = mix64(h ^ word);
    }
    for (const std::byte b : octets) h = mix64(h ^ static_cast<uint64_t>(b));
    return h;
}

// Hosts are told apart by the families they speak: each side has one of either.
bool is_ipv6(Bytes frame) {
    const auto ethernet = parse_ethernet(frame);
    return ethernet && ethernet->type == kEtherTypeIpv6;
}

}  // namespace

void World::note(std::string_view kind, Bytes octets) {
    digest_ = mix64(digest_ ^ hash_of(octets) ^ static_cast<uint64_t>(now_.ns) ^
                    hash_of(std::as_bytes(std::span(kind))));
}

// How likely it is now that something happens to what is on its way.
double World::weather(Fault::Kind kind) const {
    double chance = 0;
    for (size_t i = 0; i < faults_.size(); ++i) {
        const Fault& f = faults_[i];
        const Instant begins = kBegin + f.at;
        if (f.kind == kind && !options_.without.contains(i) && begins <= now_ &&
            now_ < begins + f.lasts)
            chance = std::max(chance, f.chance);
    }
    return chance;
}

// Lost, doubled, late or broken, each with the chance of the weather.
void World::travel(Event event, Fault::Kind kind, uint64_t spread_us) {
    if (unplugged_[static_cast<size_t>(event.side)][is_ipv6(event.octets)]) return;
    const double chance = weather(kind);
    event.at =
        now_ + Duration::microseconds(50 + static_cast<int64_t>(network_random_.below(spread_us)));
    if (chance > 0) {
        if (network_random_.chance(chance)) return;
        if (network_random_.chance(chance))
            event.at = event.at +
                       Duration::microseconds(static_cast<int64_t>(network_random_.below(3'000)));
        if (network_random_.chance(chance / 2) && event.octets.size() > 14) {
            const size_t at = 14 + network_random_.below(event.octets.size() - 14);
            event.octets[at] ^= static_cast<std::byte>(1 + network_random_.below(255));
        }
        if (network_random_.chance(chance)) {
            event.order = ++order_;
            events_.push(event);
        }
    }
    event.order = ++order_;
    events_.push(std::move(event));
}

void World::Node::multicast(Bytes datagram) {
    world->look_at_ring(*this, datagram);
    for (uint8_t to = 0; to < world->nodes_.size(); ++to)
        if (to != seen.id) world->post_ring(*this, to, datagram);
}

void World::Node::unicast(NodeId to, Bytes datagram) {
    world->look_at_ring(*this, datagram);
    world->post_ring(*this, to.value, datagram);
}

void World::look_at_ring(const Node& from, Bytes datagram) {
    note("ring", datagram);
    for (auto& j : judges_) j->on_ring(from.seen, datagram, now_);
}

void World::post_ring(const Node& from, uint8_t to, Bytes datagram) {
    const Node& receiver = *nodes_[to];
    if (from.seen.ring_cut || from.mute || receiver.seen.ring_cut || receiver.deaf) return;
    travel({now_, 0, Event::ring, to, Side::ring, {datagram.begin(), datagram.end()}},
           Fault::Kind::ring_weather, 200);
}

void World::leave(Node& from, Side side, Bytes frame) {
    note("leaves", frame);
    const auto ethernet = parse_ethernet(frame);
    if (!ethernet) return complain("a frame that is not Ethernet");
    if (ethernet->source == kVirtualMac) learned_[static_cast<size_t>(side)] = from.seen.id;
    const auto segment = read_segment(frame);
    for (size_t i = 0; i < nodes_.size(); ++i) {
        seen_[i] = nodes_[i]->seen;
        seen_[i].clock = nodes_[i]->clock(now_);
    }
    const FrameSeen seen{seen_[from.seen.id], side, ethernet->source,
                         segment ? &*segment : nullptr};
    for (auto& j : judges_) j->on_frame(seen, seen_, now_);
    if (options_.recorder) {
        options_.recorder->frame(now_, frame);
        if (segment)
            options_.recorder->say(
                now_, "node " + std::to_string(from.seen.id) + " sends " + to_string(*segment));
    }
    travel({now_, 0, Event::to_host, 0, side, {frame.begin(), frame.end()}},
           Fault::Kind::wire_weather, 20);
}

void World::to_nodes(Side side, const Octets& frame, int only) {
    note("comes", frame);
    const auto segment = read_segment(frame);
    if (segment)
        for (auto& j : judges_) j->on_host_segment(*segment);
    if (options_.recorder) {
        options_.recorder->frame(now_, frame);
        if (segment) options_.recorder->say(now_, "a host sends " + to_string(*segment));
    }
    for (uint8_t i = 0; i < nodes_.size(); ++i)
        if (only < 0 || only == i)
            travel({now_, 0, Event::to_node, i, side, frame}, Fault::Kind::wire_weather, 20);
}

void World::deliver(const Event& event) {
    if (event.kind == Event::to_host) return on_host_frame(event.side, event.octets);
    Node& n = *nodes_[event.node];
    if (!n.worker) return;
    if (n.seen.paused) {
        if (n.backlog.size() < kBacklog) n.backlog.push_back(event);
        return;
    }
    wake(n);
    n.next_poll = now_;
    const Instant clock = n.clock(now_);
    if (event.kind == Event::ring) return n.worker->on_ring_datagram(event.octets, clock);
    hand_frame(*n.worker, event.octets, event.side, clock,
               [&](Side side, Bytes frame) { leave(n, side, frame); });
}

// ---- Hosts

void World::on_host_frame(Side side, Bytes frame) {
    if (const auto s = read_segment(frame))
        return side == Side::front ? on_client_segment(*s) : on_server_segment(*s);
    if (side == Side::back) answer_neighbors(frame);
}

// Where backends are (RFC 826, RFC 4861): both families, one MAC.
void World::answer_neighbors(Bytes frame) {
    const auto ethernet = parse_ethernet(frame);
    if (!ethernet) return;
    const Bytes body = frame.subspan(ethernet->size);
    std::vector<std::byte> reply(128);
    ByteWriter w(reply);
    if (ethernet->type == kEtherTypeArp) {
        const auto arp = parse_arp(body);
        if (!arp || arp->operation != ArpPacket::kRequest || arp->target != ip("203.0.113.11"))
            return;
        emit_ethernet({arp->sender_mac, kBackendMac, 0, kEtherTypeArp}, w);
        emit_arp({ArpPacket::kReply, kBackendMac, arp->target, arp->sender_mac, arp->sender}, w);
    } else {
        const auto header = parse_ipv6(body);
        if (!header || header->protocol != kProtocolIcmpv6) return;
        const auto nd = parse_nd(*header, body.subspan(header->header_size, header->payload_size));
        if (!nd || !nd->solicitation || nd->target != ip("2001:db8:2::11")) return;
        emit_ethernet({ethernet->source, kBackendMac, 0, kEtherTypeIpv6}, w);
        emit_nd({false, NdMessage::kSolicited | NdMessage::kOverride, nd->target, kBackendMac},
                nd->target, header->source, w);
    }
    reply.resize(w.used());
    to_nodes(Side::back, reply, -1);
}

SimpleTcp::Send World::sender(Side side) {
    return [this, side](const Segment& s) {
        to_nodes(side, build(s, side == Side::front ? kClientMac : kBackendMac, kVirtualMac),
                 learned_[static_cast<size_t>(side)]);
    };
}

void World::on_client_segment(const Segment& s) {
    for (auto& c : clients_)
        if (c->tcp.self() == s.to) {
            c->on_segment(s, now_);
            return touched(*c);
        }
}

void World::on_server_segment(const Segment& s) {
    const bool syn = s.has(Segment::kSyn) && !s.has(Segment::kAck);
    std::unique_ptr<Speaker>& slot = servers_[{s.to, s.from}];
    if (slot && syn && (slot->was_reset() || slot->ended()))
        former_servers_.push_back(std::move(slot));
    if (!slot) {
        if (!syn) return void(servers_.erase({s.to, s.from}));
        const Talk unknown;
        SimpleTcp::Options options;
        options.timestamps = host_random_.chance(0.5);
        slot = std::make_unique<Speaker>(unknown, 0, 0, options, s.to, s.from,
                                         static_cast<uint32_t>(host_random_.next()),
                                         sender(Side::back));
    }
    Speaker& server = *slot;
    server.on_segment(s, now_);
    touched(server);
    const auto number = server.introduced();
    if (!number) return;
    for (size_t i = 0; i < clients_.size(); ++i) {
        if (*number != 2 * uint64_t{talks_[i].number} + 1) continue;
        if (servers_of_[i] && servers_of_[i] != &server)
            complain("streams: two servers hear the client " + to_string(clients_[i]->tcp.self()));
        servers_of_[i] = &server;
        server.hear(*number, talks_[i].client_says);
        server.speak(*number + 1, talks_[i].server_says, talks_[i], now_);
        return touched(server);
    }
    complain("streams: a server hears a connection of nobody");
}

void World::open(const Talk& t) {
    const auto port = static_cast<uint16_t>(kFirstPort + t.number);
    const Endpoint self{t.v6 ? ip("2001:db8:9::1") : ip("192.0.2.1"), port};
    const Endpoint vip{t.v6 ? ip("2001:db8:1::10") : ip("198.51.100.10"), 443};
    SimpleTcp::Options options;
    options.timestamps = t.timestamps;
    options.window = t.window;
    const uint64_t stream = 2 * uint64_t{t.number} + 1;
    clients_.push_back(std::make_unique<Speaker>(t, stream, t.client_says, options, self, vip,
                                                 static_cast<uint32_t>(host_random_.next()),
                                                 sender(Side::front)));
    servers_of_.push_back(nullptr);
    Speaker& c = *clients_.back();
    if (t.tls)
        c.tls = std::make_unique<tls_testing::Client>(
            tls_testing::ClientOptions{.version = t.tls_version});
    c.hear(stream + 1, t.server_says);
    c.connect(now_);
    touched(c);
    if (t.tls) return;
    for (const uint64_t of :
         {stream, stream + 1}) {  // what is said is not for the ring's eavesdroppers
        const std::string octets = Speaker::octets_of(of, 8, 8);
        secrets_->keep_secret(std::as_bytes(std::span(octets)));
    }
}

void World::drive_hosts() {
    while (opened_ < talks_.size() && talks_[opened_].begins <= now_) open(talks_[opened_++]);
    if (hosts_deadline() > now_) return;
    const auto drive = [this](Speaker& s) {
        if (s.next_deadline() > now_) return;
        s.on_deadline(now_);
        touched(s);
    };
    for (auto& c : clients_) drive(*c);
    for (auto& [key, s] : servers_) drive(*s);
}

}  // namespace holdfast::simulation
