#include "dataplane/tcp/testing.h"

namespace holdfast::testing {

void TcpSide::transmit(const TcpEndpoint& e, const TcpSegment& header, const TcpOptions& options,
                       std::span<const Bytes> payload) {
    ++sent_segments;
    std::vector<std::byte> data;
    for (const Bytes piece : payload) data.insert(data.end(), piece.begin(), piece.end());
    EXPECT_EQ(data.size(), header.payload_size);
    EXPECT_LE(payload.size(), 2u);
    TcpSegment h = header;
    h.source_port = self_.port;
    h.destination_port = other_.port;
    Buffer packet(65535);
    ByteWriter w(packet);
    EXPECT_GT(emit_tcp({self_.address, other_.address, h, options, data}, w), 0u);
    packet.resize(w.used());

    const Tcb& t = e.state();
    if (h.has(tcp_flag::rst)) ++resets;
    if (options.timestamps && !h.has(tcp_flag::rst)) {
        EXPECT_TRUE(!stamped_ || static_cast<int32_t>(options.timestamps->value - stamp_) >= 0);
        stamped_ = true;
        stamp_ = options.timestamps->value;
    }
    if (!h.has(tcp_flag::syn)) {
        EXPECT_LE(packet.size(), 20u + t.mss);
        EXPECT_TRUE(!t.has(Tcb::limited_send) || h.length() == 0 || h.end() <= t.send_limit);
    }
    if (h.has(tcp_flag::ack)) {
        const SeqNum edge =
            h.ack + (static_cast<uint32_t>(h.window) << (h.has(tcp_flag::syn) ? 0 : t.rcv_wscale));
        if (acked_) {
            EXPECT_GE(h.ack, ack_) << name << ": the acknowledgement moved back";
            EXPECT_GE(edge, edge_) << name << ": the right edge moved back";
        }
        EXPECT_TRUE(!t.has(Tcb::limited_ack) || h.ack <= t.ack_limit || h.ack == ack_) << name;
        acked_ = true;
        ack_ = h.ack;
        edge_ = edge;
        for (size_t i = 0; i < options.sack_count; ++i) {
            const SackBlock& block = options.sack[i];
            EXPECT_LT(block.start, block.end);
            const bool duplicate = i == 0 && block.end <= h.ack;
            EXPECT_TRUE(duplicate || block.start > t.rcv_nxt)
                << name << ": SACK of what is in order";
        }
    }
    wire(std::move(packet), e.transmits_ect());
}

size_t TcpSide::deliver(Bytes bytes) {
    for (const std::byte byte : bytes) {
        if (byte != at(stream_ ^ 1, heard)) {
            ADD_FAILURE() << name << ": wrong byte at " << heard;
            return bytes.size();
        }
        ++heard;
    }
    if (reader_capacity > 0) {
        waiting += static_cast<uint32_t>(bytes.size());
        end->set_receive_room(reader_capacity - std::min(waiting, reader_capacity));
    }
    return bytes.size();
}

void TcpSide::pump() {
    if (end->state().state == TcpState::closed) return;
    while (written < to_say) {
        std::byte some[3000];
        const size_t n =
            std::min({sizeof some, static_cast<size_t>(to_say - written), end->write_room()});
        if (n == 0) return;
        for (size_t i = 0; i < n; ++i) some[i] = at(stream_, written + i);
        const size_t taken = end->write(Bytes(some, n));
        written += taken;
        if (taken < n) return;
    }
    if (then_close) end->shutdown_at(end->state().iss + 1 + static_cast<uint32_t>(to_say));
}

void TcpSide::check() {
    const Tcb& t = end->state();
    EXPECT_LE(t.snd_una, t.snd_nxt) << name;
    EXPECT_LE(t.snd_nxt, t.snd_max) << name;
    EXPECT_EQ(end->has_work(), t.timer != SendTimer::none) << name << " " << to_string(t.state);
    EXPECT_EQ(t.timer != SendTimer::none, t.send_at != Instant::max()) << name;
    EXPECT_GE(t.rcv_offered, t.rcv_nxt) << name;
    EXPECT_LE(t.last_ack_sent, t.rcv_nxt) << name;
}

std::string describe(const TcpEndpoint& end) {
    const Tcb& t = end.state();
    const auto from_iss = [&](SeqNum s) { return std::to_string(s - t.iss); };
    const auto from_irs = [&](SeqNum s) { return std::to_string(s - t.irs); };
    return std::string(to_string(t.state)) + " una " + from_iss(t.snd_una) + " nxt " +
           from_iss(t.snd_nxt) + " max " + from_iss(t.snd_max) + " end " +
           from_iss(end.write_position()) + " wnd " + std::to_string(t.snd_wnd) + " cwnd " +
           std::to_string(t.cwnd) + " rto " + std::to_string(t.rto_us) + " backoff " +
           std::to_string(t.backoff) + " timer " + std::to_string(static_cast<int>(t.timer)) +
           " rcv " + from_irs(t.rcv_nxt) + " acked " + from_irs(t.last_ack_sent) + " edge " +
           from_irs(t.rcv_edge) + " offered " + from_irs(t.rcv_offered) + " scale " +
           std::to_string(t.rcv_wscale) + " flags " + std::to_string(t.flags) + " mss " +
           std::to_string(t.mss);
}
std::string TcpSide::describe() const {
    return std::string(name) + " " + testing::describe(*end) + " waiting " +
           std::to_string(waiting);
}

TcpWorld::TcpWorld(const TcpConfig& config, WireFaults wire_faults, uint64_t seed, bool v4)
    : faults(wire_faults),
      random(seed),
      a("a", config, pool, endpoint(v4 ? "192.0.2.1:40000" : "[2001:db8::1]:40000"),
        endpoint(v4 ? "198.51.100.1:80" : "[2001:db8::2]:80"), 0),
      b("b", config, pool, endpoint(v4 ? "198.51.100.1:80" : "[2001:db8::2]:80"),
        endpoint(v4 ? "192.0.2.1:40000" : "[2001:db8::1]:40000"), 1) {
    a.wire = [this](Buffer p, bool ect) { send(a, b, std::move(p), ect); };
    b.wire = [this](Buffer p, bool ect) { send(b, a, std::move(p), ect); };
}

void TcpWorld::connect() {
    a.end->connect({{0xfffff000}, 77}, here(a), a);
    settle(a);
}

void TcpWorld::settle(TcpSide& side) {
    side.pump();
    side.end->flush(here(side), side);
    side.pump();  // what the flush made room for
    side.end->flush(here(side), side);
    side.check();
    if (after_event) after_event(side);
}

void TcpWorld::take_over(TcpSide& side, Duration new_clock) {
    const Tcb record = side.end->record(here(side));
    if (record.state == TcpState::closed) return;
    side.clock = new_clock;
    side.remake();
    side.end->restore(record, {.ts_slack_ms = 10, .relearn = random.chance(0.5)}, here(side));
    const bool said = record.has(Tcb::fin_queued) && record.snd_una > record.fin_seq;
    const int32_t acked = record.snd_una - (record.iss + 1) - (said ? 1 : 0);
    side.written = static_cast<uint64_t>(std::max(acked, 0));
    settle(side);
}

void TcpWorld::replace(TcpSide& side) {
    const std::unique_ptr<TcpEndpoint> old = std::move(side.end);
    side.remake();
    side.end->restore(*old);
}

void TcpWorld::send(TcpSide& from, TcpSide& to, Buffer packet, bool ect) {
    const auto segment = parse_tcp(packet);
    ASSERT_TRUE(segment.has_value());
    ASSERT_EQ(verify_tcp_checksum(from.self_.address, from.other_.address, packet),
              DropReason::none);
    ++on_wire;
    if (filter && !filter(from, *segment, Bytes(packet).subspan(segment->header_size))) return;
    if (random.chance(faults.loss)) return;
    for (int copies = random.chance(faults.duplicate) ? 2 : 1; copies-- > 0;) {
        const auto extra =
            static_cast<int64_t>(random.below(static_cast<uint64_t>(faults.jitter.ns) + 1));
        wire_.emplace(now + faults.delay + Duration{extra},
                      Packet{&to, packet, ect && random.chance(faults.mark)});
    }
}

void TcpWorld::arrive(const Packet& packet) {
    const auto segment = parse_tcp(packet.bytes);
    const auto options =
        parse_tcp_options(Bytes(packet.bytes).subspan(20, segment->header_size - 20u));
    ASSERT_TRUE(options.has_value());
    const TcpInput in{*segment, *options, Bytes(packet.bytes).subspan(segment->header_size),
                      packet.marked};
    TcpSide& side = *packet.to;
    if (&side == &b && b_listens && segment->flags % 0x40 == tcp_flag::syn &&
        b.end->state().state == TcpState::closed) {
        b.end->accept(in, {{0x7ffffff0}, 99}, here(b), b);
    } else if (side.end->state().state == TcpState::closed) {
        if (const auto reset = reset_for(*segment)) {
            Buffer bytes(64);
            ByteWriter writer(bytes);
            emit_tcp({side.self_.address, side.other_.address, *reset, {}, {}}, writer);
            bytes.resize(writer.used());
            send(side, &side == &a ? b : a, bytes, false);
        }
    } else {
        side.end->on_segment(in, here(side), side);
    }
    settle(side);
}

bool TcpWorld::step(Instant limit) {
    Instant next = wire_.empty() ? Instant::max() : wire_.begin()->first;
    const bool packet = next <= earlier(deadline(a), deadline(b));
    next = earlier(next, earlier(deadline(a), deadline(b)));
    if (next > limit || next == Instant::max()) return false;
    now = std::max(now, next);
    if (packet) {
        const Packet p = std::move(wire_.begin()->second);
        wire_.erase(wire_.begin());
        arrive(p);
    } else {
        TcpSide& side = deadline(a) <= now ? a : b;
        side.end->on_deadline(here(side), side);
        settle(side);
    }
    return true;
}

void TcpWorld::run_until(const std::function<bool()>& done, Duration limit) {
    const Instant end = now + limit;
    while (!done() && !::testing::Test::HasFailure() && step(end)) {
    }
}

}  // namespace holdfast::testing
