// Two TCP endpoints and whatever happens between them: segments lost, repeated, reordered, made up;
// limits, records, other clocks. Every option area that leaves is parsed back; nothing dies; the
// rules of the state hold after every step; and where nothing was made up, both read what the other
// wrote.
//
// Input: a byte of configuration, then steps: a byte that says what, the next that says how.
#include <algorithm>
#include <cstdlib>
#include <deque>
#include <memory>
#include <vector>

#include "base/random.h"
#include "dataplane/tcp/endpoint.h"
#include "tests/fuzz/require.h"

namespace {

using namespace holdfast;

std::byte byte_at(int side, uint64_t offset) {
    return static_cast<std::byte>(mix64(offset * 2 + static_cast<uint64_t>(side)));
}

struct Packet {
    TcpSegment segment;
    TcpOptions options;
    std::vector<std::byte> payload;
};

class Side final : public TcpOutput {
public:
    Side(int which, const TcpConfig& side_config, ChunkPool& chunk_pool)
        : id(which), config(side_config), pool(chunk_pool) {
        remake();
    }
    void remake() { end = std::make_unique<TcpEndpoint>(config, pool); }

    void transmit(const TcpEndpoint&, const TcpSegment& header, const TcpOptions& options,
                  std::span<const Bytes> payload) override {
        Packet p{header, options, {}};
        for (const Bytes piece : payload)
            p.payload.insert(p.payload.end(), piece.begin(), piece.end());
        p.segment.payload_size = static_cast<uint32_t>(p.payload.size());
        std::byte area[40];
        ByteWriter w(area);
        emit_tcp_options(options, w);
        require(w.ok(), "options fit");
        require(parse_tcp_options(w.written()) == options, "options round trip");
        const Tcb& t = end->state();
        if (!header.has(tcp_flag::syn | tcp_flag::rst) && !p.payload.empty())
            require(w.used() + p.payload.size() <= t.mss, "segment fits the path");
        if (header.has(tcp_flag::ack) && !header.has(tcp_flag::rst)) {
            const uint8_t scale = header.has(tcp_flag::syn) ? 0 : t.rcv_wscale;
            SeqNum edge = header.ack + (uint32_t{header.window} << scale);
            // Said again after an ACK that was in units of the scale.
            if (header.has(tcp_flag::syn)) edge = edge + ((1u << t.rcv_wscale) - 1);
            if (acked) require(header.ack >= last_ack, "acknowledgements rise");
            if (acked) require(edge >= last_edge, "the right edge rises");
            acked = true;
            last_ack = header.ack;
            last_edge = edge;
        }
        if (sent.size() < 64) sent.push_back(std::move(p));
    }
    size_t deliver(Bytes bytes) override {
        if (honest)
            for (size_t i = 0; i < bytes.size(); ++i)
                require(bytes[i] == byte_at(1 - id, heard + i), "bytes");
        heard += bytes.size();
        return bytes.size();
    }
    void on_tcp_event(TcpEvent) override {}

    Instant here(Instant now) const { return now + clock; }

    int id;
    TcpConfig config;
    ChunkPool& pool;
    std::unique_ptr<TcpEndpoint> end;
    std::deque<Packet> sent;
    // Of what was written, how much its endpoint has or needs no more: a restored one begins where
    // the record stood, and passes over what the peer acknowledges before it is written again.
    uint64_t position() const {
        const Tcb& t = end->state();
        if (t.state == TcpState::closed) return written;
        return static_cast<uint32_t>(end->write_position() - (t.iss + 1));
    }
    uint64_t written = 0;  // by whoever uses this side, ever
    uint64_t heard = 0;
    bool honest = true, acked = false;
    SeqNum last_ack, last_edge;
    Duration clock{};
};

class World {
public:
    World(const TcpConfig& config, bool forging)
        : pool(128), a(0, config, pool), b(1, config, pool), forges(forging) {
        a.honest = b.honest = !forging;
        a.end->connect({{0xffffff00}, 7}, now, a);
    }

    void settle(Side& s) {
        s.end->flush(s.here(now), s);
        const Tcb& t = s.end->state();
        require(t.snd_una <= t.snd_nxt && t.snd_nxt <= t.snd_max, "UNA <= NXT <= MAX");
        require(s.end->has_work() == (t.timer != SendTimer::none), "work and its timer");
        require((t.timer != SendTimer::none) == (t.send_at != Instant::max()), "timer is set");
        require(t.last_ack_sent <= t.rcv_nxt && t.rcv_nxt <= t.rcv_offered, "receive side");
        if (t.state == TcpState::closed) require(s.end->next_deadline() == Instant::max(), "quiet");
    }

    void arrive(Side& s, const Packet& p) {
        const TcpInput in{p.segment, p.options, p.payload};
        if (s.end->state().state != TcpState::closed) {
            s.end->on_segment(in, s.here(now), s);
        } else if (&s == &b && !accepted && p.segment.has(tcp_flag::syn) &&
                   !p.segment.has(tcp_flag::ack)) {
            accepted = true;
            s.end->accept(in, {{0x7ffffff0}, 9}, s.here(now), s);
        }
        settle(s);
    }

    // The next `n` bytes that this endpoint has not, as many as it takes.
    void write(Side& s, size_t n) {
        std::vector<std::byte> bytes(std::min(n, s.end->write_room()));
        for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = byte_at(s.id, s.position() + i);
        s.end->write(bytes);
        s.written = std::max(s.written, s.position());
        settle(s);
    }
    // FIN after all that was ever written: an adopter has to write it again first.
    void shutdown(Side& s) {
        if (!forges && s.position() < s.written) write(s, s.written - s.position());
        if (forges || s.position() == s.written) s.end->shutdown();
        settle(s);
    }

    void advance(Duration d) {
        const Instant until = now + d;
        for (int i = 0; i < 50; ++i) {
            Side* next = nullptr;
            Instant at = until;
            for (Side* s : {&a, &b}) {
                Instant due = s->end->next_deadline();
                if (due != Instant::max()) due = due - s->clock;
                if (due <= at) at = due, next = s;
            }
            if (next == nullptr) break;
            now = std::max(now, at);
            next->end->on_deadline(next->here(now), *next);
            settle(*next);
        }
        now = std::max(now, until);
    }

    void take_over(Side& s, uint8_t how) {
        const Tcb record = s.end->record(s.here(now));
        if (record.state == TcpState::closed) return;
        s.clock = Duration::milliseconds(how * 77);
        s.remake();
        s.end->restore(record, {.ts_slack_ms = how, .relearn = (how & 1) != 0}, s.here(now));
        const Tcb& t = s.end->state();
        if (!forges) {
            require(s.position() <= s.written, "the peer acknowledged what was written");
            write(s, s.written - s.position());
            if (t.state != TcpState::syn_sent)
                s.heard = static_cast<uint32_t>(t.rcv_nxt - (t.irs + 1)) - t.has(Tcb::fin_received);
        }
        settle(s);
    }

    // A segment that somebody made up, its numbers near where it could hurt.
    void forge(Side& s, uint8_t how, const uint8_t*& data, const uint8_t* end) {
        const auto take = [&] { return data < end ? *data++ : uint8_t{0}; };
        const Tcb& t = s.end->state();
        const SeqNum seqs[] = {t.rcv_nxt, t.last_ack_sent, t.rcv_offered, t.irs, t.rcv_nxt + 1000};
        const SeqNum acks[] = {t.snd_una, t.snd_nxt, t.snd_max, t.iss, t.fin_seq};
        Packet p;
        p.segment.flags = how;
        if (p.segment.has(tcp_flag::syn)) p.segment.flags &= ~(tcp_flag::fin | tcp_flag::rst);
        p.segment.seq = seqs[take() % 5] + static_cast<uint32_t>(static_cast<int8_t>(take()));
        p.segment.ack = acks[take() % 5] + static_cast<uint32_t>(static_cast<int8_t>(take()));
        p.segment.window = static_cast<uint16_t>(take() << (take() % 9));
        p.payload.resize(take() * size_t{take()} / 16);
        p.segment.payload_size = static_cast<uint32_t>(p.payload.size());
        std::byte area[40];
        size_t n = take() % 41;
        for (size_t i = 0; i < n; ++i) area[i] = static_cast<std::byte>(take());
        const auto options = parse_tcp_options(Bytes(area, n));
        if (!options) return;
        p.options = *options;
        if (p.options.timestamps && take() % 2) p.options.timestamps->value += t.ts_recent;
        for (SackBlock& block : p.options.sack)
            block = {t.snd_una + block.start.value % 4096, t.snd_una + block.end.value % 4096};
        arrive(s, p);
    }

    ChunkPool pool;
    Side a, b;
    Instant now{1'000'000'000};
    bool accepted = false, forges;
};

void step(World& w, uint8_t what, uint8_t how, const uint8_t*& data, const uint8_t* end) {
    Side& s = what & 0x80 ? w.b : w.a;
    Side& other = &s == &w.a ? w.b : w.a;
    switch (what % 16) {
        case 0:
        case 1:
        case 2:
            if (s.sent.empty()) break;
            {
                const size_t i = what % 16 == 2 ? how % s.sent.size() : 0;
                const Packet p = s.sent[i];
                if (what % 16 != 1) s.sent.erase(s.sent.begin() + static_cast<ptrdiff_t>(i));
                w.arrive(other, p);
            }
            break;
        case 3:
            if (!s.sent.empty()) s.sent.pop_front();
            break;
        case 4:
            w.advance(Duration::milliseconds(how));
            break;
        case 5:
            w.advance(Duration::milliseconds(how * 997));
            break;
        case 6:
            w.write(s, how * 37u);
            break;
        case 7:
            w.shutdown(s);
            break;
        case 8:
            w.take_over(s, how);
            break;
        case 9: {
            const auto old = std::move(s.end);
            s.remake();
            s.end->restore(*old);
            w.settle(s);
            break;
        }
        case 10:
            s.end->set_receive_room(how * 64u);
            w.settle(s);
            break;
        case 11:
            s.end->allow_send(s.end->state().snd_nxt + how);
            w.settle(s);
            break;
        case 12:
            s.end->allow_all_sends();
            w.settle(s);
            break;
        case 13:
            s.end->on_packet_too_big(static_cast<uint16_t>(how * 8), s.end->state().snd_una,
                                     s.here(w.now));
            w.settle(s);
            break;
        case 14:
            if (w.forges) w.forge(s, how, data, end);
            break;
        case 15:
            if (!w.forges) break;
            if (how == 0) s.end->abort(s.here(w.now), s);
            if (how % 3 == 1) s.end->allow_ack(s.end->state().rcv_nxt - how);
            if (how % 3 == 2) s.end->allow_all_acks();
            w.settle(s);
            break;
    }
}

// Left alone on a perfect wire, everything arrives.
void finish(World& w) {
    for (Side* s : {&w.a, &w.b}) s->end->allow_all_sends();
    for (int round = 0; round < 4000; ++round) {
        for (Side* s : {&w.a, &w.b}) {
            s->end->set_receive_room(s->config.receive_buffer);
            w.shutdown(*s);
        }
        bool moved = false;
        for (Side* s : {&w.a, &w.b}) {
            while (!s->sent.empty()) {
                const Packet p = std::move(s->sent.front());
                s->sent.pop_front();
                w.arrive(s == &w.a ? w.b : w.a, p);
                moved = true;
            }
        }
        const auto over = [](const Side& s) {
            return s.end->state().state == TcpState::closed ||
                   s.end->state().state == TcpState::time_wait;
        };
        if (over(w.a) && over(w.b)) break;
        if (!moved) w.advance(Duration::seconds(2));
    }
    require(w.a.heard == w.b.written && w.b.heard == w.a.written, "all bytes arrived");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 1 || size > 4096) return 0;
    const uint8_t* const end = data + size;
    const uint8_t setup = *data++;
    TcpConfig config;
    config.sack = setup & 1;
    config.timestamps = setup & 2;
    config.ecn = setup & 4;
    config.receive_buffer = setup & 8 ? 2000 : 100'000;
    config.send_buffer = 30'000;
    config.mss = setup & 16 ? 200 : 1460;
    config.min_path_mss = 64;
    config.user_timeout = config.connect_timeout = {};
    World w(config, setup & 32);
    while (end - data >= 2) {
        const uint8_t what = *data++, how = *data++;
        step(w, what, how, data, end);
    }
    if (!w.forges) finish(w);
    return 0;
}
