// For tests: a client and a server with TCP endpoints of their own, and between them a relay that
// may die at any moment, in virtual time.
//
// Judges look at every frame of the relay's: nothing is acknowledged to one side that the other has
// not received, no timestamp and no right edge moves back, every checksum is right. What each peer
// reads is compared with what the other one wrote, byte by byte.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "base/random.h"
#include "dataplane/relay/relay.h"
#include "dataplane/wire/testing.h"

namespace holdfast::testing {

// A host at one end. Its stream is a function of its number and the position; the first four bytes
// are the number, so that whoever reads it knows what to expect.
class Peer final : public TcpOutput {
public:
    using Transmit = std::function<void(Buffer frame)>;
    Peer(const TcpConfig& peer_config, ChunkPool& pool, Endpoint self_endpoint,
         Endpoint other_endpoint, Transmit transmit_frame)
        : config(peer_config),
          self(self_endpoint),
          other(other_endpoint),
          end(config, pool),
          wire_(std::move(transmit_frame)) {}

    void connect(SeqNum iss, Instant now);
    void on_frame(const Parsed& frame, Instant now);
    Instant next_deadline() const { return end.next_deadline(); }
    void on_deadline(Instant now);
    // Writes what there is room for, and the end when all is written; sends.
    void settle(Instant now);
    // A slow reader takes some of what waits.
    void read(uint32_t bytes, Instant now);
    void abort(Instant now) { end.abort(now, *this); }
    const Transmit& wire() const { return wire_; }

    bool saw(TcpEvent e) const { return std::ranges::count(events, e) > 0; }
    bool was_reset() const { return saw(TcpEvent::reset) || saw(TcpEvent::refused); }
    bool opened() const { return saw(TcpEvent::established); }
    bool said_all() const { return written == to_say; }
    // All is said, heard and acknowledged, both ways.
    bool at_peace() const;
    // Sequence numbers of the other's stream received in order, its FIN among them.
    uint32_t received() const;

    static std::byte at(uint64_t stream, uint64_t offset);

    const TcpConfig config;
    const Endpoint self, other;
    TcpEndpoint end;
    MacAddress mac, next_hop;
    uint16_t vlan = 0;
    uint64_t stream = 0;
    uint64_t hears = 0;  // the other's stream; 0: not known before it has said so
    std::function<void(Peer&)> on_known;
    uint64_t to_say = 0, written = 0, heard = 0;
    bool wants_preface = false;      // a PROXY header before the first octet
    std::vector<std::byte> preface;  // as far as it came
    bool then_close = false;
    // A slow reader: heard bytes wait here until read() takes them. 0: reads all at once.
    uint32_t capacity = 0, waiting = 0;
    std::vector<TcpEvent> events;
    std::vector<std::string> complaints;

    // TcpOutput
    void transmit(const TcpEndpoint&, const TcpSegment& header, const TcpOptions& options,
                  std::span<const Bytes> payload) override;
    size_t deliver(Bytes bytes) override;
    void on_tcp_event(TcpEvent event) override { events.push_back(event); }

private:
    void pump();
    size_t take_preface(Bytes bytes);
    Transmit wire_;
    bool connected_ = false;
};

struct RelayWorldOptions {
    bool v4 = true;
    uint16_t vlan = 0;
    TcpConfig peers, relay;
    uint32_t chunks = 2048, header_every = 1u << 28;
    Duration delay = Duration::milliseconds(2), jitter{};
    double loss = 0;
    Duration gate = Duration::microseconds(300);  // until what was published is held
    uint64_t seed = 1;
    uint32_t embryonic_limit = 32;
    Duration max_lifetime{};
    ProxyProtocol proxy_protocol = ProxyProtocol::off;
    Durability durability = Durability::state;
    double publish_loss = 0;  // of headers that nothing waits for
    std::vector<std::byte> (*write)(const RelayState&, Instant shared_now) = nullptr;
    RelayState (*read)(Bytes, Instant shared_now) = nullptr;
};

class RelayWorld;

// What another node may know of the session.
struct Snapshot {
    Session session;
    std::vector<std::byte> relay;
    uint64_t number = 0;
};

struct RelayFrame {
    Direction towards;
    Reveals reveals;
    Parsed parsed;
    Instant at;
};

// One appliance, without its ring.
class RelayNode final : public ForwardEvents, public RelayEvents {
public:
    RelayNode(RelayWorld& world, Duration clock, Duration wall_error);
    void on_frame(Bytes frame, Side in);
    Instant next_deadline() const;
    void on_deadline();
    Instant here() const;
    SessionIndex index() const;  // of the one session; none when there is none
    RelayState state() const { return relay.state(index(), here()); }
    Snapshot snapshot(SessionIndex index);
    SessionIndex adopt(const Snapshot& s);
    void update(const Snapshot& s);

    // ForwardEvents, RelayEvents
    void on_session_closed(SessionIndex index, const Session&, CloseReason reason,
                           Instant now) override {
        relay.on_closed(index, reason == CloseReason::idle || reason == CloseReason::expired, now);
    }
    void on_neighbor(Side, const IpAddress&, const MacAddress&, Instant) override {}
    bool on_relay_frame(SessionIndex index, Direction towards, Bytes frame, Reveals reveals,
                        Instant now) override;
    void on_relay_changed(SessionIndex index, Instant now) override;
    bool on_relay_commit(SessionIndex, uint8_t, bool, Instant) override { return false; }
    void on_relay_finished(SessionIndex index, Instant now) override {
        on_relay_changed(index, now);
    }
    // Looks whether they are what that peer said.
    void on_relay_copies(SessionIndex index, Instant now) override;

private:
    RelayWorld& world_;

public:
    const Duration clock;
    Forwarder forwarder;
    RelayOptions relay_options;
    Relay relay;
};

class RelayWorld {
public:
    explicit RelayWorld(const RelayWorldOptions& world_options);
    ~RelayWorld();

    void connect();
    // Both say so much and, where told, close when they have.
    void exchange(uint64_t client_said, uint64_t server_said, bool client_ends = true,
                  bool server_ends = true);
    void run_until(const std::function<bool()>& done, Duration limit = Duration::seconds(120));
    void run_for(Duration d);
    bool step(Instant limit);
    // The node dies. Another, with another clock, carries on from what it knows.
    void kill();
    void adopt(const Snapshot& header, Duration clock, Duration wall_error);
    void adopt_nothing();
    void adopt_newest() { adopt(headers.back(), Duration::milliseconds(777), {}); }
    void publish_segment();
    void settle_node();
    void forget_edges() { seen_.clear(); }  // another connection begins
    // SYNs of so many clients that will never answer.
    void flood(unsigned count);
    void icmp_too_big(Direction of, uint16_t mtu, SeqNum quoted);

    const Service& service() const { return forward_options.services[0]; }
    Peer& peer(Direction d) { return d == Direction::from_client ? *client : *server; }
    Direction other(const Peer& p) const {
        return &p == client.get() ? Direction::from_backend : Direction::from_client;
    }
    bool at_peace() const { return client && server && client->at_peace() && server->at_peace(); }
    bool heard_all() const;
    std::vector<std::byte> expected_preface() const;
    void check_preface() const;  // as far as it came
    std::vector<RelayFrame> sent(Reveals what) const;
    std::string describe() const;

    RelayWorldOptions options;
    ForwardOptions forward_options;
    Random random;
    Instant now{Duration::seconds(5000).ns};
    ChunkPool pool{8192};  // of the peers
    std::unique_ptr<Peer> client, server;
    std::unique_ptr<RelayNode> node;
    uint64_t server_says = 0;
    bool server_closes = false, server_refuses = false;
    uint32_t server_capacity = 0;
    uint16_t server_mss = 0;  // 0: as all peers
    RecordingOutlet outlet;
    // What is held elsewhere: the gate's last release, and all that was published since.
    std::vector<Snapshot> headers, segments;
    std::vector<RelayFrame> frames;
    uint64_t snapshots = 0, wakes = 0, octets_copied = 0;
    uint32_t flooded = 0, answered_flood = 0;
    bool shut = false;  // the gate
    unsigned gate_room = 1000;
    // Looked at before a frame of a peer's or the relay's is put on the wire: false loses it.
    std::function<bool(const Parsed&, bool from_relay)> filter;

private:
    friend class RelayNode;
    struct Event {
        std::function<void()> run;
    };
    struct Held {
        Direction towards;
        Buffer frame;
        Reveals reveals;
        SessionIndex index;
        Snapshot state;
        uint64_t life;
    };
    struct Edge {
        bool acked = false, stamped = false;
        SeqNum ack, edge;
        uint32_t stamp = 0;
    };
    void after(Duration d, std::function<void()> run) { events_.emplace(now + d, Event{run}); }
    void on_wire(Buffer frame, bool from_relay, std::function<void(const Buffer&)> arrive);
    void hold(const Held& held, Duration d);
    void release(Direction towards, Buffer frame);
    void arrive_at_peer(Direction towards, const Buffer& frame);
    void judge(Direction towards, const Parsed& p);

    std::multimap<Instant, Event> events_;
    std::map<Direction, Edge> seen_;
    uint64_t life_ = 0;
};

}  // namespace holdfast::testing
