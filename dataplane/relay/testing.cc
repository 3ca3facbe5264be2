#include "dataplane/relay/testing.h"

#include "dataplane/wire/icmp.h"

namespace holdfast::testing {
namespace {

constexpr GroupId kGroup{1};
constexpr MacAddress kGroupMac{{0, 0, 0x5e, 0, 1, 1}};
const MacAddress kClientMac = mac(0xc1), kServerMac = mac(0xb1);

ForwardOptions forward_options_for(const RelayWorldOptions& options) {
    Service web;
    web.name = "web";
    web.mode = Mode::proxy;
    web.group = kGroup;
    web.vips = {ip("192.0.2.80"), ip("2001:db8:1::80")};
    web.port = 80;
    web.backends = {{"b0", endpoint("198.51.100.10:8080"), 1},
                    {"b1", endpoint("[2001:db8:2::10]:8080"), 1}};
    web.pools = {{ip("198.51.100.200"), 10000, 19999}, {ip("2001:db8:2::200"), 10000, 19999}};
    web.health.enabled = false;
    web.proxy_protocol = options.proxy_protocol;
    web.durability = options.durability;
    web.max_lifetime = options.max_lifetime;
    ForwardOptions o;
    o.services = {web};
    o.groups = {{kGroup, {}, kGroupMac}};
    o.front.mac = mac(0xf0);
    o.back.mac = mac(0xb0);
    o.back.own_v4 = ip("198.51.100.2");
    o.back.own_v6 = ip("2001:db8:2::2");
    o.back.prefix_v6 = 64;
    o.sessions.capacity = 64;
    o.sessions.embryonic_limit = options.embryonic_limit;
    o.sessions.seed = 1;
    o.balance_table = 251;
    o.seed = options.seed;
    return o;
}

RelayOptions relay_options_for(const RelayWorldOptions& options, Duration wall_offset) {
    RelayOptions o;
    o.client = o.backend = options.relay;
    o.chunks = options.chunks;
    o.header_every = options.header_every;
    o.wall_offset = wall_offset;
    return o;
}

}  // namespace

// ---- Peer

std::byte Peer::at(uint64_t stream, uint64_t offset) {
    if (offset < 4) return static_cast<std::byte>(stream >> 8 * offset);
    return static_cast<std::byte>(mix64(offset / 8 + stream * 0x100000000ull) >> offset % 8 * 8);
}

void Peer::connect(SeqNum iss, Instant now) {
    connected_ = true;
    end.connect({iss, 77}, now, *this);
    settle(now);
}

void Peer::on_frame(const Parsed& p, Instant now) {
    const TcpInput in{p.tcp, p.options, bytes_of(p.payload)};
    if (!connected_ && p.tcp.has(tcp_flag::syn) && !p.tcp.has(tcp_flag::ack)) {
        connected_ = true;
        end.accept(in, {{0x7fffff00u + static_cast<uint32_t>(stream)}, 5}, now, *this);
    } else {
        end.on_segment(in, now, *this);
    }
    settle(now);
}

void Peer::on_deadline(Instant now) {
    end.on_deadline(now, *this);
    settle(now);
}

void Peer::settle(Instant now) {
    for (int i = 0; i < 2; ++i) {
        pump();
        end.flush(now, *this);
    }
}

void Peer::read(uint32_t bytes, Instant now) {
    waiting -= std::min(waiting, bytes);
    if (end.state().state == TcpState::closed) return;
    end.set_receive_room(capacity - std::min(waiting, capacity));
    settle(now);
}

bool Peer::at_peace() const {
    const TcpState s = end.state().state;
    const bool closed = saw(TcpEvent::closed) || s == TcpState::time_wait;
    return closed && said_all() && saw(TcpEvent::peer_fin) && !was_reset();
}

uint32_t Peer::received() const {
    const Tcb& t = end.state();
    const bool none = t.state == TcpState::syn_sent || (t.irs == SeqNum{} && t.rcv_nxt == SeqNum{});
    return none ? 0 : static_cast<uint32_t>(t.rcv_nxt - (t.irs + 1));
}

void Peer::pump() {
    const TcpState s = end.state().state;
    if (s == TcpState::closed || s == TcpState::syn_received) return;
    while (written < to_say) {
        std::byte some[3000];
        const size_t n =
            std::min({sizeof some, static_cast<size_t>(to_say - written), end.write_room()});
        if (n == 0) return;
        for (size_t i = 0; i < n; ++i) some[i] = at(stream, written + i);
        const size_t taken = end.write(Bytes(some, n));
        written += taken;
        if (taken < n) return;
    }
    if (then_close) end.shutdown();
}

void Peer::transmit(const TcpEndpoint&, const TcpSegment& header, const TcpOptions& options,
                    std::span<const Bytes> payload) {
    Seg s{self, other, header.flags, header.seq.value, header.ack.value};
    for (const Bytes piece : payload)
        s.payload.append(reinterpret_cast<const char*>(piece.data()), piece.size());
    s.window = header.window;
    s.options = options;
    s.source_mac = mac;
    s.destination_mac = next_hop;
    s.vlan = vlan;
    wire_(frame_of(s));
}

size_t Peer::deliver(Bytes all) {
    const Bytes bytes = all.subspan(take_preface(all));
    for (const std::byte byte : bytes) {
        if (heard < 4 && hears >> 32 != 1) {
            hears |= uint64_t{std::to_integer<uint8_t>(byte)} << 8 * heard;
            if (++heard == 4) {
                hears |= uint64_t{1} << 32;
                if (on_known) on_known(*this);
            }
            continue;
        }
        if (byte != at(static_cast<uint32_t>(hears), heard)) {
            if (complaints.empty()) complaints.push_back("wrong byte at " + std::to_string(heard));
            return all.size();
        }
        ++heard;
    }
    if (capacity == 0) return all.size();
    waiting += static_cast<uint32_t>(bytes.size());
    end.set_receive_room(capacity - std::min(waiting, capacity));
    return all.size();
}

// ---- A node
// --------------------------------------------------------------------------------------------------

RelayNode::RelayNode(RelayWorld& world, Duration clock_ahead, Duration wall_error)
    : world_(world),
      clock(clock_ahead),
      forwarder(world.forward_options, *this, world.now + clock_ahead),
      relay_options(relay_options_for(world.options, wall_error - clock_ahead)),
      relay(relay_options, world.forward_options.services, forwarder, *this,
            world.now + clock_ahead) {
    forwarder.set_group(kGroup, {true, Epoch{1 + world.life_}, false});
    for (const Backend& b : world.service().backends)
        forwarder.learn_neighbor(Side::back, b.endpoint.address, kServerMac, here());
}

Instant RelayNode::here() const { return world_.now + clock; }

Instant RelayNode::next_deadline() const {
    const Instant at = earlier(forwarder.next_deadline(), relay.next_deadline());
    return at == Instant::max() ? at : at - clock;
}

void RelayNode::on_deadline() {
    forwarder.on_deadline(here(), world_.outlet);
    relay.on_deadline(here());
}

SessionIndex RelayNode::index() const { return forwarder.sessions().next(0); }

Snapshot RelayNode::snapshot(SessionIndex i) {
    Snapshot s;
    s.session = *forwarder.sessions().get(i);
    const Instant shared = here() + relay_options.wall_offset;
    if (world_.options.write) s.relay = world_.options.write(relay.state(i, here()), shared);
    s.number = ++world_.snapshots;
    return s;
}

SessionIndex RelayNode::adopt(const Snapshot& s) {
    const auto i = forwarder.restore(s.session, here());
    EXPECT_TRUE(i.has_value());
    if (!i) return {};
    update(s);
    return *i;
}

void RelayNode::update(const Snapshot& s) {
    const Instant shared = here() + relay_options.wall_offset;
    if (index()) relay.restore(index(), world_.options.read(s.relay, shared), here());
}

bool RelayNode::on_relay_frame(SessionIndex i, Direction towards, Bytes frame, Reveals reveals,
                               Instant) {
    const auto ethernet = parse_ethernet(frame);
    const Bytes body = frame.subspan(ethernet->size);
    const auto ip = ethernet->type == kEtherTypeIpv4 ? parse_ipv4(body) : parse_ipv6(body);
    if (ip->protocol != kProtocolTcp) return ++world_.wakes > 0;
    const Buffer copy(frame.begin(), frame.end());
    world_.frames.push_back({towards, reveals, parse_frame(frame), world_.now});
    if (reveals == Reveals::nothing || reveals == Reveals::end) {
        world_.release(towards, copy);
        return true;
    }
    if (world_.gate_room == 0) return false;
    world_.hold({towards, copy, reveals, i, snapshot(i), world_.life_}, world_.options.gate);
    return true;
}

void RelayNode::on_relay_changed(SessionIndex i, Instant) {
    if (world_.random.chance(world_.options.publish_loss)) return;
    if (!world_.headers.empty()) world_.headers.push_back(snapshot(i));
}

// ---- The world
// -----------------------------------------------------------------------------------------------

RelayWorld::RelayWorld(const RelayWorldOptions& world_options)
    : options(world_options),
      forward_options(forward_options_for(world_options)),
      random(world_options.seed) {
    const char* self = options.v4 ? "203.0.113.9:40000" : "[2001:db8:9::9]:40000";
    const char* vip = options.v4 ? "192.0.2.80:80" : "[2001:db8:1::80]:80";
    client = std::make_unique<Peer>(options.peers, pool, endpoint(self), endpoint(vip),
                                    [this](Buffer frame) {
                                        on_wire(std::move(frame), false, [this](const Buffer& f) {
                                            if (node) node->on_frame(f, Side::front);
                                        });
                                    });
    client->mac = kClientMac;
    client->next_hop = kGroupMac;
    client->vlan = options.vlan;
    client->stream = 2;
    client->hears = uint64_t{1} << 32 | 3;
    node = std::make_unique<RelayNode>(*this, Duration{}, Duration{});
}

RelayWorld::~RelayWorld() = default;

void RelayWorld::connect() { client->connect({0xfffffff0}, now); }

void RelayWorld::exchange(uint64_t client_said, uint64_t server_said, bool client_ends,
                          bool server_ends) {
    client->to_say = client_said;
    client->then_close = client_ends;
    server_says = server_said;
    server_closes = server_ends;
    connect();
}

void RelayWorld::on_wire(Buffer frame, bool from_relay, std::function<void(const Buffer&)> arrive) {
    if (filter && !filter(parse_frame(frame), from_relay)) return;
    if (random.chance(options.loss)) return;
    const auto extra =
        static_cast<int64_t>(random.below(static_cast<uint64_t>(options.jitter.ns) + 1));
    after(options.delay + Duration{extra},
          [frame = std::move(frame), arrive = std::move(arrive)] { arrive(frame); });
}

void RelayWorld::hold(const Held& held, Duration d) {
    after(d, [this, held] {
        if (held.life != life_) return;
        if (shut) return hold(held, Duration::milliseconds(1));
        headers = {held.state};
        release(held.towards, held.frame);
        node->relay.on_committed(held.index, held.reveals);
        settle_node();
    });
}

void RelayWorld::release(Direction towards, Buffer frame) {
    judge(towards, parse_frame(frame));
    on_wire(std::move(frame), true,
            [this, towards](const Buffer& f) { arrive_at_peer(towards, f); });
}

void RelayWorld::arrive_at_peer(Direction towards, const Buffer& frame) {
    const Parsed p = parse_frame(frame);
    if (towards == Direction::from_client) {
        if (p.to() != client->self) return void(++answered_flood);
        EXPECT_EQ(p.ethernet.vlan, options.vlan);
        return client->on_frame(p, now);
    }
    const bool syn = p.tcp.has(tcp_flag::syn) && !p.tcp.has(tcp_flag::ack);
    const auto back = [this](Buffer f) {
        on_wire(std::move(f), false, [this](const Buffer& b) {
            if (node) node->on_frame(b, Side::back);
        });
    };
    if (server_refuses) {
        const auto reset = reset_for(p.tcp);
        if (!reset) return;
        Seg s{p.to(), p.from(), reset->flags, reset->seq.value, reset->ack.value};
        s.source_mac = kServerMac;
        s.destination_mac = kGroupMac;
        return back(frame_of(s));
    }
    if (syn && (!server || server->other != p.from())) {
        TcpConfig config = options.peers;
        if (server_mss > 0) config.mss = server_mss;
        server = std::make_unique<Peer>(config, pool, p.to(), p.from(), back);
        server->mac = kServerMac;
        server->next_hop = kGroupMac;
        server->stream = 3;
        server->hears = uint64_t{1} << 32 | 2;
        server->to_say = server_says;
        server->then_close = server_closes;
        server->capacity = server_capacity;
        server->wants_preface = options.proxy_protocol != ProxyProtocol::off;
    }
    if (!server) return;
    server->on_frame(p, now);
    check_preface();
}

// I1 and end-to-end acknowledgement, at the moment a frame leaves.
void RelayWorld::judge(Direction towards, const Parsed& p) {
    const Peer* far = towards == Direction::from_client ? server.get() : client.get();
    const Peer* near = towards == Direction::from_client ? client.get() : server.get();
    Edge& e = seen_[towards];
    if (!near || p.to() != near->self || !p.tcp.has(tcp_flag::ack) || p.tcp.has(tcp_flag::rst))
        return;
    if (p.options.timestamps) {  // clocks may cut a millisecond at different places, each time
        EXPECT_TRUE(!e.stamped || static_cast<int32_t>(p.options.timestamps->value - e.stamp) >=
                                      -static_cast<int32_t>(life_))
            << "a timestamp to the " << (towards == Direction::from_client ? "client" : "server")
            << " moved back by " << e.stamp - p.options.timestamps->value << " ms";
        e.stamp = p.options.timestamps->value;
        e.stamped = true;
    }
    const Tcb& t = near->end.state();
    const auto acked = static_cast<int32_t>(p.tcp.ack - (t.iss + 1));
    uint32_t received = far ? far->received() : 0;
    if (far == server.get())
        received -= std::min(received, static_cast<uint32_t>(expected_preface().size()));
    EXPECT_LE(acked, static_cast<int32_t>(received))
        << "acknowledged to the " << (towards == Direction::from_client ? "client" : "server")
        << " what the other has not received";
    if (p.tcp.has(tcp_flag::syn)) return;
    const SeqNum edge = p.tcp.ack + (uint32_t{p.tcp.window} << t.snd_wscale);
    // By less than one unit of the scale it may: which way it was rounded is not told.
    const SeqNum rounded = edge + ((1u << t.snd_wscale) - 1);
    const bool done = near->said_all() && near->then_close;  // and nothing will come
    EXPECT_TRUE(!e.acked || p.tcp.ack < e.ack || rounded >= e.edge || done)
        << "the right edge moved back by " << e.edge - edge;
    if (!e.acked || p.tcp.ack >= e.ack) e.ack = p.tcp.ack, e.edge = edge;
    e.acked = true;
}

void RelayWorld::kill() {
    node.reset();
    ++life_;
}

void RelayWorld::adopt(const Snapshot& header, Duration clock, Duration wall_error) {
    kill();
    node = std::make_unique<RelayNode>(*this, clock, wall_error);
    const SessionIndex i = node->adopt(header);
    if (i) headers.push_back(node->snapshot(i));
    settle_node();
}

void RelayWorld::adopt_nothing() {
    kill();
    node = std::make_unique<RelayNode>(*this, Duration::milliseconds(777), Duration{});
    segments.clear();
    seen_.clear();
}

void RelayWorld::publish_segment() {
    if (node && node->index()) segments.push_back(node->snapshot(node->index()));
}

void RelayWorld::settle_node() {
    if (node) node->relay.on_burst_end(node->here());
}

void RelayWorld::icmp_too_big(Direction of, uint16_t mtu, SeqNum quoted) {
    const Session& s = *node->forwarder.sessions().get(node->index());
    const bool to_client = of == Direction::from_client;
    const Endpoint& source = to_client ? s.vip : s.pool;
    const Endpoint& destination = to_client ? s.client : s.backend;
    const bool v4 = source.address.is_v4();
    const size_t quote = (v4 ? 20 : 40) + 8;
    const Buffer about = frame_of({source, destination, tcp_flag::ack, quoted.value, 0});
    Buffer frame(14 + 4 + 40 + 8 + quote);
    ByteWriter w(frame);
    emit_ethernet({kGroupMac, mac(0x77), to_client ? options.vlan : uint16_t{0},
                   v4 ? kEtherTypeIpv4 : kEtherTypeIpv6},
                  w);
    emit_ip(ip_header(destination.address, source.address, v4 ? kProtocolIcmp : kProtocolIcmpv6,
                      8 + quote),
            w);
    const size_t at = w.used();
    w.be<uint8_t>(v4 ? icmp_type::unreachable : icmpv6_type::packet_too_big);
    w.be<uint8_t>(v4 ? 4 : 0);
    w.be<uint16_t>(0);
    w.be<uint32_t>(mtu);
    w.put(Bytes(about).subspan(14, quote));
    finish_icmp(destination.address, source.address, MutableBytes(frame).subspan(at, 8 + quote));
    frame.resize(w.used());
    after(options.delay, [this, frame, to_client] {
        if (node) node->on_frame(frame, to_client ? Side::front : Side::back);
    });
}

std::vector<RelayFrame> RelayWorld::sent(Reveals what) const {
    std::vector<RelayFrame> found;
    for (const RelayFrame& f : frames)
        if (f.reveals == what) found.push_back(f);
    return found;
}

std::string RelayWorld::describe() const {
    const auto text = [](const Tcb& t) {
        const auto sent = [&](SeqNum s) { return std::to_string(s - t.iss - 1); };
        const auto got = [&](SeqNum s) { return std::to_string(s - t.irs - 1); };
        return std::string(to_string(t.state)) + " una " + sent(t.snd_una) + " nxt " +
               sent(t.snd_nxt) + " max " + sent(t.snd_max) +
               (t.has(Tcb::fin_queued) ? " fin " + sent(t.fin_seq) : "") + " wnd " +
               std::to_string(t.snd_wnd) + " rcv " + got(t.rcv_nxt) + " acked " +
               got(t.last_ack_sent) + " limit " +
               (t.has(Tcb::limited_ack) ? got(t.ack_limit) : "none") + " edge " + got(t.rcv_edge) +
               " offered " + got(t.rcv_offered) +
               (t.has(Tcb::fin_received) ? " fin received" : "") + " timer " +
               std::to_string(static_cast<int>(t.timer));
    };
    std::string s =
        "client " + text(client->end.state()) + " heard " + std::to_string(client->heard);
    if (node && node->index()) {
        const RelayState state = node->state();
        s += "\nstage " + std::to_string(static_cast<int>(state.stage));
        s += "\nfront  " + text(state.client);
        s += "\nback   " + text(state.backend);
    }
    if (server)
        s += "\nserver " + text(server->end.state()) + " heard " + std::to_string(server->heard);
    return s;
}

bool RelayWorld::step(Instant limit) {
    Instant at = events_.empty() ? Instant::max() : events_.begin()->first;
    int what = 0;
    const auto consider = [&](Instant due, int which) {
        if (due < at) at = due, what = which;
    };
    consider(client->next_deadline(), 1);
    if (server) consider(server->next_deadline(), 2);
    if (node) consider(node->next_deadline(), 3);
    if (at > limit || at == Instant::max()) return false;
    now = std::max(now, at);
    if (what == 0) {
        const Event event = std::move(events_.begin()->second);
        events_.erase(events_.begin());
        event.run();
    } else if (what == 3) {
        node->on_deadline();
    } else {
        (what == 1 ? client : server)->on_deadline(now);
    }
    for (const Peer* p : {client.get(), server.get()})
        if (p)
            for (const std::string& c : p->complaints) ADD_FAILURE() << c;
    return true;
}

void RelayWorld::run_until(const std::function<bool()>& done, Duration limit) {
    const Instant end = now + limit;
    while (!done() && !::testing::Test::HasFailure() && step(end)) {
    }
}

void RelayWorld::run_for(Duration d) {
    const Instant end = now + d;
    run_until([] { return false; }, d);
    now = std::max(now, end);
}

}  // namespace holdfast::testing
