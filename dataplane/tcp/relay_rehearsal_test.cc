// What the endpoint is for, in the small: two of them back to back, each acknowledging only what
// the other's peer acknowledged, die at any moment, and another pair carries on from records that
// are up to 100 ms old (but not older than a change of state). Client and server, which never die,
// read each other's bytes whole.
#include <gtest/gtest.h>

#include <map>

#include "dataplane/tcp/testing.h"

namespace holdfast {
namespace {

using testing::Buffer;
using testing::TcpSide;
using testing::WireFaults;

constexpr Duration kPublish = Duration::milliseconds(100);

class Rehearsal {
public:
    // One end of the relay, facing a peer.
    class End final : public TcpOutput {
    public:
        End(Rehearsal& world, TcpSide& facing) : peer(facing), world_(world) {}
        void transmit(const TcpEndpoint&, const TcpSegment& header, const TcpOptions& options,
                      std::span<const Bytes> payload) override;
        size_t deliver(Bytes bytes) override {
            const size_t taken = world_.other(*this).end->write(bytes);
            EXPECT_EQ(taken, bytes.size());
            return taken;
        }
        void on_tcp_event(TcpEvent event) override { world_.on_event(*this, event); }
        const Tcb& tcb() const { return end->state(); }
        bool open() const {
            return tcb().state != TcpState::closed && tcb().state != TcpState::syn_sent &&
                   tcb().state != TcpState::syn_received;
        }

        std::unique_ptr<TcpEndpoint> end;
        TcpSide& peer;
        bool was_open = false;

    private:
        Rehearsal& world_;
        uint32_t stamp_ = 0;
        bool stamped_ = false, acked_ = false;
        SeqNum ack_, edge_;
    };

    Rehearsal(const TcpConfig& peers, const TcpConfig& config, const WireFaults& wire_faults,
              uint64_t seed)
        : relay_config(config),
          faults(wire_faults),
          random(seed),
          client("client", peers, pool, testing::endpoint("192.0.2.1:40000"),
                 testing::endpoint("198.51.100.1:80"), 0),
          server("server", peers, pool, testing::endpoint("198.51.100.2:80"),
                 testing::endpoint("198.51.100.3:1000"), 1),
          front(*this, client),
          back(*this, server) {
        client.wire = [this](Buffer p, bool) { send(Packet{&front, nullptr, std::move(p)}); };
        server.wire = [this](Buffer p, bool) { send(Packet{&back, nullptr, std::move(p)}); };
        remake();
    }

    End& other(const End& e) { return &e == &front ? back : front; }
    Instant here() const { return now + clock; }

    void remake() {
        for (End* e : {&front, &back}) e->end = std::make_unique<TcpEndpoint>(relay_config, pool);
    }

    // What `e`'s peer acknowledged may be acknowledged to the other's: an octet stands as far from
    // the beginning on both sides.
    void acknowledged(End& e) {
        End& source = other(e);
        if (!e.open() || !source.open()) return;
        const Tcb& t = e.tcb();
        const auto offset = static_cast<uint32_t>(t.snd_una - (t.iss + 1));
        const SeqNum upto = source.tcb().irs + 1 + offset;
        if (t.has(Tcb::fin_queued) && t.snd_una > t.fin_seq) {
            source.end->advance_receive_past_fin(upto, here());
        } else {
            source.end->advance_receive(upto);
        }
        source.end->allow_ack(upto);
    }

    void on_event(End& e, TcpEvent event) {
        switch (event) {
            case TcpEvent::established:
                e.was_open = true;
                e.end->allow_ack(e.tcb().irs + 1);
                if (&e == &front) back.end->connect({{0x1000}, 5}, here(), back);
                give_room(e);
                break;
            case TcpEvent::acked:
                acknowledged(e);
                break;
            case TcpEvent::peer_fin:
                other(e).end->shutdown();
                break;
            case TcpEvent::reset:
            case TcpEvent::refused:
            case TcpEvent::timed_out:
                ++aborted;
                break;
            case TcpEvent::acked_unsent:
            case TcpEvent::fin_acked:
            case TcpEvent::time_wait:
            case TcpEvent::closed:
                break;
        }
    }

    // What was not passed on yet takes room: the edge stands a buffer beyond what is acknowledged.
    void give_room(End& e) {
        const End& sink = other(e);
        const Tcb& t = sink.tcb();
        const SeqNum begin = t.state == TcpState::syn_sent ? t.iss + 1 : t.snd_una;
        const uint32_t queued = t.state == TcpState::closed
                                    ? 0
                                    : static_cast<uint32_t>(sink.end->write_position() - begin);
        const uint32_t most = relay_config.receive_buffer;
        e.end->set_receive_room(most - std::min(queued, most));
    }

    void settle() {
        for (End* e : {&front, &back})
            if (e->open()) give_room(*e);
        const auto shape = [](const End& e) {
            return static_cast<int>(e.tcb().state) * 4 + e.tcb().has(Tcb::fin_queued) * 2 +
                   e.tcb().has(Tcb::fin_received);
        };
        const int now_shape = shape(front) * 1000 + shape(back);
        if (now_shape != shape_ || now - published_ >= kPublish) publish();
        shape_ = now_shape;
        // Twice: one end's flush may deliver what the other then sends.
        for (End* e : {&front, &back, &front}) e->end->flush(here(), *e);
        for (const End* e : {&front, &back})
            EXPECT_EQ(e->end->has_work(), e->tcb().timer != SendTimer::none);
    }

    void publish() {
        published_ = now;
        front_record_ = front.end->record(here());
        back_record_ = back.end->record(here());
    }

    // The node is gone; after a while another carries on, from what it knows.
    void fail_over() {
        ++failovers;
        remake();
        clock = Duration::microseconds(static_cast<int64_t>(random.below(1u << 31)));
        down_until = now + Duration::milliseconds(static_cast<int64_t>(random.below(300)));
    }
    void adopt() {
        // The nodes' wall clocks are up to 300 ms apart.
        const auto error = static_cast<int64_t>(random.below(600)) - 300;
        const Duration age = std::max(now - published_ + Duration::milliseconds(error), Duration{});
        const TcpTakeover how{.age = age, .ts_slack_ms = 400, .relearn = true};
        front.end->restore(front_record_, how, here());
        back.end->restore(back_record_, how, here());
        for (End* e : {&front, &back}) acknowledged(*e);
        publish();
        settle();
    }

    void settle_peer(TcpSide& side) {
        for (int i = 0; i < 2; ++i) {
            side.pump();
            side.end->flush(now, side);
        }
        side.check();
    }

    struct Packet {
        End* end;
        TcpSide* side;
        Buffer bytes;
    };
    void send(Packet packet) {
        if (random.chance(faults.loss)) return;
        const auto extra =
            static_cast<int64_t>(random.below(static_cast<uint64_t>(faults.jitter.ns) + 1));
        wire_.emplace(now + faults.delay + Duration{extra}, std::move(packet));
    }

    bool step();
    void arrive(const Packet& packet);

    Duration clock{};
    Instant now{Duration::seconds(1000).ns};
    Instant down_until = Instant::max();
    TcpConfig relay_config;
    WireFaults faults;
    Random random;
    ChunkPool pool{4096};
    TcpSide client, server;
    End front, back;
    int failovers = 0, aborted = 0;

private:
    std::multimap<Instant, Packet> wire_;
    Tcb front_record_, back_record_;
    Instant published_;
    int shape_ = -1;
};

// The judge of what leaves: right bytes, nothing acknowledged that the far peer has not read, no
// timestamp and no right edge that moves back.
void Rehearsal::End::transmit(const TcpEndpoint&, const TcpSegment& header,
                              const TcpOptions& options, std::span<const Bytes> payload) {
    Buffer data;
    for (const Bytes piece : payload) data.insert(data.end(), piece.begin(), piece.end());
    const Tcb& t = tcb();
    const bool front = &peer == &world_.client;
    const TcpSide& far = front ? world_.server : world_.client;
    for (size_t i = 0; i < data.size(); ++i) {
        const auto offset = static_cast<uint32_t>(header.seq - (t.iss + 1)) + i;
        EXPECT_EQ(data[i], TcpSide::at(front ? 1 : 0, offset)) << "at " << offset;
        if (::testing::Test::HasFailure()) return;
    }
    if (header.has(tcp_flag::ack) && !header.has(tcp_flag::syn)) {
        const auto acked = static_cast<uint32_t>(header.ack - (t.irs + 1));
        EXPECT_LE(acked, far.heard + far.saw(TcpEvent::peer_fin));
        const SeqNum edge = header.ack + (uint32_t{header.window} << t.rcv_wscale);
        EXPECT_TRUE(!acked_ || header.ack < ack_ || edge >= edge_);
        if (!acked_ || header.ack >= ack_) ack_ = header.ack, edge_ = edge;
        acked_ = true;
    }
    if (options.timestamps && header.has(tcp_flag::ack)) {
        EXPECT_TRUE(!stamped_ || static_cast<int32_t>(options.timestamps->value - stamp_) >= 0);
        stamp_ = options.timestamps->value;
        stamped_ = true;
    }
    TcpSegment h = header;
    h.source_port = 1000;
    h.destination_port = 2000;
    Buffer packet(4096);
    ByteWriter w(packet);
    emit_tcp({testing::ip("192.0.2.1"), testing::ip("192.0.2.2"), h, options, data}, w);
    packet.resize(w.used());
    world_.send(Packet{nullptr, &peer, std::move(packet)});
}

void Rehearsal::arrive(const Packet& packet) {
    const auto segment = parse_tcp(packet.bytes);
    const auto options =
        parse_tcp_options(Bytes(packet.bytes).subspan(20, segment->header_size - 20u));
    const TcpInput in{*segment, *options, Bytes(packet.bytes).subspan(segment->header_size)};
    if (packet.side != nullptr) {
        TcpSide& side = *packet.side;
        const bool syn = segment->flags == tcp_flag::syn;
        if (side.end->state().state != TcpState::closed) {
            side.end->on_segment(in, now, side);
        } else if (syn) {
            side.end->accept(in, {{0x7fffff00}, 9}, now, side);
        }
        return settle_peer(side);
    }
    if (down_until != Instant::max()) return;
    End& e = *packet.end;
    const bool fresh = e.tcb().state == TcpState::closed && !e.was_open;
    if (&e == &front && fresh && segment->flags == tcp_flag::syn) {
        e.end->accept(in, {{0xfffffff0}, 3}, here(), e);
    } else {
        e.end->on_segment(in, here(), e);
    }
    settle();
}

bool Rehearsal::step() {
    struct Next {
        Instant at;
        int what;
    } next{Instant::max(), -1};
    const auto consider = [&](Instant at, int what) {
        if (at < next.at) next = {at, what};
    };
    if (!wire_.empty()) consider(wire_.begin()->first, 0);
    consider(client.end->next_deadline(), 1);
    consider(server.end->next_deadline(), 2);
    if (down_until == Instant::max()) {
        for (const auto& [e, what] : {std::pair(&front, 3), std::pair(&back, 4)}) {
            const Instant at = e->end->next_deadline();
            if (at != Instant::max()) consider(at - clock, what);
        }
    } else {
        consider(down_until, 5);
    }
    if (next.what < 0) return false;
    now = std::max(now, next.at);
    if (next.what == 0) {
        const Packet p = std::move(wire_.begin()->second);
        wire_.erase(wire_.begin());
        arrive(p);
    } else if (next.what <= 2) {
        TcpSide& side = next.what == 1 ? client : server;
        side.end->on_deadline(now, side);
        settle_peer(side);
    } else if (next.what <= 4) {
        End& e = next.what == 3 ? front : back;
        e.end->on_deadline(here(), e);
        settle();
    } else {
        down_until = Instant::max();
        adopt();
    }
    return true;
}

TcpConfig config_for(Random& random) {
    TcpConfig c;
    c.sack = random.chance(0.7);
    c.timestamps = random.chance(0.8);
    c.receive_buffer = random.chance(0.3) ? 8000 : 128 * 1024;
    c.send_buffer = c.receive_buffer + 4096;
    c.user_timeout = c.connect_timeout = {};
    c.time_wait = Duration::seconds(5);
    return c;
}

void rehearse(uint64_t seed, int& failovers) {
    Random random(seed);
    WireFaults faults;
    faults.loss = random.chance(0.5) ? 0 : 0.02;
    faults.delay = Duration::microseconds(100 + static_cast<int64_t>(random.below(20'000)));
    faults.jitter = Duration::microseconds(static_cast<int64_t>(random.below(5'000)));
    TcpConfig relay = config_for(random);
    const TcpConfig peers = config_for(random);
    Rehearsal w(peers, relay, faults, seed);
    w.client.to_say = random.below(200'000);
    w.server.to_say = random.below(400'000);
    w.client.then_close = w.server.then_close = true;
    w.client.end->connect({{0xffffff00}, 1}, w.now, w.client);
    w.settle_peer(w.client);
    const double chance = random.chance(0.5) ? 0.002 : 0.02;
    const auto heard = [&] {
        return w.client.saw(TcpEvent::peer_fin) && w.server.saw(TcpEvent::peer_fin);
    };
    for (int steps = 0; steps < 500'000 && !heard() && w.step(); ++steps) {
        if (::testing::Test::HasFailure()) break;
        const bool up = w.front.open() && w.back.open() && w.down_until == Instant::max();
        if (up && w.failovers < 30 && random.chance(chance)) w.fail_over();
    }
    failovers += w.failovers;
    EXPECT_EQ(w.client.heard, w.server.to_say);
    EXPECT_EQ(w.server.heard, w.client.to_say);
    EXPECT_TRUE(heard());
    EXPECT_EQ(w.aborted, 0);
    if (::testing::Test::HasFailure())
        ADD_FAILURE() << "seed " << seed << " failovers " << w.failovers << "\n"
                      << w.client.describe() << "\n"
                      << w.server.describe() << "\nfront " << testing::describe(*w.front.end)
                      << "\nback  " << testing::describe(*w.back.end);
}

TEST(RelayRehearsal, ManyDeathsNoByteLost) {
    int failovers = 0;
    for (uint64_t seed = 0; seed < 200 && !HasFailure(); ++seed) rehearse(seed, failovers);
    EXPECT_GT(failovers, 500);
}

}  // namespace
}  // namespace holdfast
