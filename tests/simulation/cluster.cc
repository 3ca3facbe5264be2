#include "tests/simulation/cluster.h"

#include <algorithm>

#include "dataplane/wire/arp.h"
#include "tests/simulation/copies_held.h"
#include "tests/simulation/member.h"

namespace holdfast::simulation {
namespace {

using testing::endpoint;
using testing::frame_of;
using testing::ip;
using testing::mac;
using testing::parse_frame;

const MacAddress kVirtualMac{{0, 0, 0x5e, 0, 1, 1}};
const MacAddress kClientMac = mac(0xc1), kBackendMac = mac(0xb1);
const Endpoint kVip = endpoint("198.51.100.10:80");

}  // namespace

Cluster::Cluster(const ClusterOptions& options)
    : options_(options),
      random_(options.seed),
      ring_loss_(options.ring_loss),
      hosts_(kClientMac, kBackendMac, kVirtualMac,
             [this](Side side, const testing::Buffer& frame) { send_bytes(side, frame); }) {
    for (uint8_t i = 0; i < options.nodes; ++i) {
        nodes_.push_back(std::make_unique<Node>());
        nodes_[i]->cluster = this;
        nodes_[i]->id = i;
    }
    services_ = worker_options(0).forward.services;
    for (uint8_t i = 0; i < options.nodes; ++i) start(i);
}

Cluster::~Cluster() = default;

WorkerOptions Cluster::worker_options(uint8_t node) const {
    Service web;
    web.name = "web";
    web.mode = options_.mode;
    web.group = kGroup;
    web.vips = {kVip.address};
    web.port = kVip.port;
    web.backends = {{"b1", endpoint("203.0.113.11:80"), 1}, {"b2", endpoint("203.0.113.12:80"), 1}};
    web.pools = {{ip("203.0.113.200"), 10000, 19999}};
    web.health.enabled = false;
    web.commit = options_.commit;
    web.durability = options_.durability;

    WorkerOptions o;
    make_member(o, {node}, options_.nodes, {(lives_ << 8) + node}, kGroup, kVirtualMac);
    o.forward.services = {web};
    o.forward.sessions.capacity = 4096;
    o.forward.sessions.embryonic_limit = options_.embryonic;
    o.forward.sessions.seed = 7;
    o.forward.seed = options_.seed + node;
    o.forward.balance_table = 251;
    o.replicator.ring.slots = options_.ring_slots;
    o.replicator.ring.seed = options_.seed * 31 + node;
    o.replicator.membership.copies = options_.copies;
    o.replicator.membership.solo = options_.solo;
    o.replicator.membership.remembered = nodes_[node]->remembered;
    o.replicator.store = {16'384, 4u << 20, 9};
    o.replicator.memory = nodes_[node].get();
    o.replicator.gate_packets = 512;
    o.parked_frames = 256;
    o.relay.chunks = 8192;
    o.resumable.sessions = options_.resumable;
    return o;
}

void Cluster::start(uint8_t node) {
    ++lives_;
    Node& n = *nodes_[node];
    n.paused = false;
    n.worker = std::make_unique<Worker>(worker_options(node), n, n, now_);
}

void Cluster::kill(uint8_t node) { nodes_[node]->worker.reset(); }

void Cluster::pause(uint8_t node, bool on) {
    Node& n = *nodes_[node];
    if (n.paused && !on && n.worker) n.worker->on_stall(Duration::seconds(1), now_);
    n.paused = on;
}

void Cluster::hurt(uint8_t node) {
    switch (random_.below(3)) {
        case 0:
            return kill(node);
        case 1:
            return pause(node);
        case 2:
            return cut_ring(node);
    }
}

void Cluster::mend(uint8_t node) {
    if (!alive(node)) start(node);
    pause(node, false);
    cut_ring(node, false);
}

void Cluster::Node::multicast(Bytes datagram) {
    if (recorded.size() < 4096) recorded.emplace_back(datagram.begin(), datagram.end());
    for (uint8_t to = 0; to < cluster->nodes_.size(); ++to)
        if (to != id) cluster->post_ring(id, to, datagram);
}

void Cluster::post_ring(uint8_t from, uint8_t to, Bytes datagram) {
    if (ring_cut_.contains(from) || ring_cut_.contains(to) || cut_pairs_.contains({from, to}))
        return;
    if (random_.chance(ring_loss_)) return;
    const Duration delay = Duration::microseconds(60 + static_cast<int64_t>(random_.below(200)));
    events_.push(
        {now_ + delay, ++order_, Event::ring, to, Side::ring, {datagram.begin(), datagram.end()}});
}

// ---- Time
// ------------------------------------------------------------------------------------------------------

void Cluster::run(Duration d) {
    for (const Instant end = now_ + d; now_ < end;) step();
}

void Cluster::step() {
    now_ = now_ + kStep;
    while (!events_.empty() && events_.top().at <= now_) {
        const Event event = events_.top();
        events_.pop();
        deliver(event);
    }
    for (auto& n : nodes_) {
        if (!n->worker || n->paused) continue;
        n->worker->on_burst_end(now_);
        if (n->worker->next_deadline() <= now_) n->worker->on_deadline(now_);
    }
    drive_hosts();
}

void Cluster::deliver(const Event& event) {
    if (event.kind == Event::host) return to_host(event.side, event.bytes);
    Node& n = *nodes_[event.to];
    if (!n.worker || n.paused) return;  // a paused process's sockets overflow: as good as lost
    if (event.kind == Event::ring) return n.worker->on_ring_datagram(event.bytes, now_);
    hand_frame(*n.worker, event.bytes, event.side, now_,
               [&](Side side, Bytes frame) { leave(n, side, frame); });
}

// ---- The switches
// ------------------------------------------------------------------------------------------------

void Cluster::leave(Node& from, Side side, Bytes frame) {
    const auto ethernet = parse_ethernet(frame);
    if (!ethernet) return complain("a frame that is not Ethernet");
    if (ethernet->source == kVirtualMac) {
        learned_[side] = from.id;
        judge_holder(from);
    }
    if (ethernet->type == kEtherTypeIpv4) {
        const auto header = parse_ipv4(frame.subspan(ethernet->size));
        if (header && header->protocol == kProtocolTcp) {
            const Parsed p = parse_frame(frame);
            if (p.tcp.has(tcp_flag::syn) && p.tcp.has(tcp_flag::ack)) judge_commit(from, p);
            if (side == Side::back && options_.mode == Mode::proxy) judge_agreed(from, p);
            if (random_.chance(options_.wire_loss)) return;
        }
    }
    events_.push({now_ + Duration::microseconds(50),
                  ++order_,
                  Event::host,
                  0,
                  side,
                  {frame.begin(), frame.end()}});
}

void Cluster::to_node(Side side, const std::vector<std::byte>& frame) {
    const auto port = learned_.find(side);
    for (uint8_t i = 0; i < nodes_.size(); ++i) {
        if (port != learned_.end() && port->second != i) continue;
        events_.push({now_ + Duration::microseconds(50), ++order_, Event::frame, i, side, frame});
    }
}

void Cluster::send(Side side, const Seg& segment) {
    Seg s = segment;
    s.source_mac = side == Side::front ? kClientMac : kBackendMac;
    s.destination_mac = kVirtualMac;
    to_node(side, frame_of(s));
}

void Cluster::flood(uint8_t node, uint16_t count) {
    for (uint16_t i = 0; i < count; ++i) {
        Seg s{endpoint("203.0.113.77:" + std::to_string(1024 + i)), kVip, tcp_flag::syn, 1000, 0};
        s.window = 1000;
        s.source_mac = kClientMac;
        s.destination_mac = kVirtualMac;
        events_.push({now_, ++order_, Event::frame, node, Side::front, frame_of(s)});
    }
}

void Cluster::send_bytes(Side side, const std::vector<std::byte>& frame) {
    if (hosts_cut_.contains(side)) return;
    if (!random_.chance(options_.wire_loss)) to_node(side, frame);
}

// ---- Judges
// ----------------------------------------------------------------------------------------------------

void Cluster::complain(std::string what) {
    if (complaints_.size() < 20)
        complaints_.push_back(std::to_string(now_.ns / 1'000) + " us: " + std::move(what));
}

void Cluster::judge_holder(const Node& from) {
    for (const auto& other : nodes_) {
        if (other->id == from.id || !other->worker || other->paused) continue;
        const Membership& m = other->worker->replicator().membership();
        if (m.may_transmit(kGroup, now_))
            complain("node " + std::to_string(from.id) + " speaks while node " +
                     std::to_string(other->id) + " may");
    }
}

void Cluster::judge_commit(const Node& from, const Parsed& p) {
    if (!judge_commit_ || !from.worker || p.ethernet.source != kVirtualMac) return;
    const SessionIndex index = from.worker->forwarder().sessions().find_client(p.to(), p.from());
    if (!index) return complain("a SYN-ACK of no session");
    held(from, index, "a SYN-ACK", false);
}

// The first frame that tells a backend that it was accepted.
void Cluster::judge_agreed(const Node& from, const Parsed& p) {
    if (!judge_commit_ || !from.worker || p.ethernet.source != kVirtualMac) return;
    if (p.tcp.has(tcp_flag::syn) || p.tcp.has(tcp_flag::rst) || !p.tcp.has(tcp_flag::ack)) return;
    if (agreed_.contains({p.to(), p.from()})) return;
    const SessionIndex index = from.worker->forwarder().sessions().find_backend(p.to(), p.from());
    if (!index) return complain("an acceptance of no session");
    if (held(from, index, "an acceptance", true)) agreed_.insert({p.to(), p.from()});
}

// Whether as many standbys hold the session as the service asks: and, with `agreed`, what was
// agreed with the backend.
bool Cluster::held(const Node& from, SessionIndex index, std::string_view what, bool agreed) {
    const CopiesWanted wanted{options_.commit, options_.copies, services_, agreed};
    const std::string missing = missing_copies(*from.worker, index, wanted, workers(), now_);
    if (!missing.empty()) complain(std::string(what) + " " + missing);
    return missing.empty();
}

std::vector<const Worker*> Cluster::workers() const {
    std::vector<const Worker*> all;
    for (const auto& n : nodes_) all.push_back(n->worker.get());
    return all;
}

// ---- Clients and backends
// --------------------------------------------------------------------------------------

void Cluster::to_host(Side side, Bytes frame) {
    const auto ethernet = parse_ethernet(frame);
    if (ethernet->type == kEtherTypeArp) return host_arp(side, frame);
    if (ethernet->type != kEtherTypeIpv4 || hosts_cut_.contains(side)) return;
    const auto header = parse_ipv4(frame.subspan(ethernet->size));
    if (!header || header->protocol != kProtocolTcp) return;
    host_tcp(side, parse_frame(frame));
}

void Cluster::host_arp(Side side, Bytes frame) {
    const auto arp = parse_arp(frame.subspan(14));
    if (!arp || arp->operation != ArpPacket::kRequest || side != Side::back) return;
    if (arp->target != ip("203.0.113.11") && arp->target != ip("203.0.113.12")) return;
    std::vector<std::byte> reply(64);
    ByteWriter w(reply);
    emit_ethernet({arp->sender_mac, kBackendMac, 0, kEtherTypeArp}, w);
    emit_arp({ArpPacket::kReply, kBackendMac, arp->target, arp->sender_mac, arp->sender}, w);
    reply.resize(w.used());
    for (uint8_t i = 0; i < nodes_.size(); ++i)
        events_.push(
            {now_ + Duration::microseconds(50), ++order_, Event::frame, i, Side::back, reply});
}

void Cluster::host_tcp(Side side, const Parsed& p) {
    if (hosts_.size() > 0)
        return hosts_.on_frame(side, p, static_cast<uint32_t>(random_.next()), now_);
    if (side == Side::front) {
        for (Client& c : clients_) {
            if (c.tcp.self() != p.to()) continue;
            if (auto answer = c.tcp.on_segment(p, now_)) send(Side::front, *answer);
            if (!c.expected.starts_with(c.tcp.received))
                complain("a client read what nobody wrote");
        }
        return;
    }
    const std::pair key{p.to(), p.from()};
    auto found = backends_.find(key);
    if (found == backends_.end()) {
        if (!p.tcp.has(tcp_flag::syn)) return;
        const auto isn = static_cast<uint32_t>(random_.next());
        found = backends_.emplace(key, Backend{ToyTcp(p.to(), p.from(), isn)}).first;
    }
    if (auto answer = found->second.tcp.on_segment(p, now_)) send(Side::back, *answer);
}

void Cluster::drive_hosts() {
    hosts_.drive(now_);
    for (Client& c : clients_) {
        if (auto s = c.tcp.on_timer(now_)) send(Side::front, *s);
        if (c.written < c.messages && c.tcp.idle() && c.tcp.received == c.expected) {
            const std::string line =
                "message " + std::to_string(c.written) + " of " + to_string(c.tcp.self()) + "\n";
            if (auto s = c.tcp.write(line, now_)) {
                c.expected += line;
                ++c.written;
                send(Side::front, *s);
            }
        }
    }
    for (auto& [key, b] : backends_) {
        if (auto s = b.tcp.on_timer(now_)) send(Side::back, *s);
        if (b.echoed == b.tcp.received.size() || !b.tcp.idle()) continue;
        if (auto s = b.tcp.write(b.tcp.received.substr(b.echoed), now_)) {
            b.echoed = b.tcp.received.size();
            send(Side::back, *s);
        }
    }
}

size_t Cluster::connect(unsigned messages) {
    const auto n = clients_.size();
    const Endpoint self{IpAddress::v4(0xc0000200 + 1 + static_cast<uint32_t>(n / 1000)),
                        static_cast<uint16_t>(20'000 + n % 1000)};
    clients_.push_back(
        {ToyTcp(self, kVip, static_cast<uint32_t>(random_.next())), messages, 0, ""});
    send(Side::front, clients_.back().tcp.connect(now_));
    return n;
}

void Cluster::reconnect(size_t client) {
    Client& c = clients_[client];
    Seg reset = c.tcp.repeat();
    reset.flags = tcp_flag::rst | tcp_flag::ack;
    reset.payload.clear();
    send(Side::front, reset);
    run(kStep * 4);
    c = {ToyTcp(c.tcp.self(), kVip, static_cast<uint32_t>(random_.next())), c.messages, 0, ""};
    send(Side::front, c.tcp.connect(now_));
}

size_t Cluster::transfer(const Plan& plan) {
    const size_t n = hosts_.size();
    const Endpoint self{IpAddress::v4(0xc0000200 + 1 + static_cast<uint32_t>(n / 1000)),
                        static_cast<uint16_t>(20'000 + n % 1000)};
    return hosts_.connect(self, kVip, plan, static_cast<uint32_t>(random_.next()), now_);
}

bool Cluster::established(size_t c) const {
    return clients_[c].tcp.state() == ToyTcp::State::established;
}
bool Cluster::was_reset(size_t c) const { return clients_[c].tcp.state() == ToyTcp::State::reset; }
bool Cluster::finished(size_t c) const {
    return clients_[c].written == clients_[c].messages &&
           clients_[c].tcp.received == clients_[c].expected && clients_[c].tcp.idle();
}
unsigned Cluster::count_finished() const {
    unsigned n = 0;
    for (size_t c = 0; c < clients_.size(); ++c) n += finished(c);
    return n;
}
unsigned Cluster::count_reset() const {
    unsigned n = 0;
    for (size_t c = 0; c < clients_.size(); ++c) n += was_reset(c);
    return n;
}

std::optional<uint8_t> Cluster::holder() const {
    for (const auto& n : nodes_)
        if (n->worker && !n->paused && n->worker->replicator().may_transmit(kGroup, now_))
            return n->id;
    return std::nullopt;
}

SessionIndex Cluster::session_of(size_t client, uint8_t node) {
    return worker(node).forwarder().sessions().find_client(clients_[client].tcp.self(), kVip);
}

}  // namespace holdfast::simulation
