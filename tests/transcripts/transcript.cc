#include "tests/transcripts/transcript.h"

#include <algorithm>
#include <stdexcept>

#include "dataplane/wire/ip.h"

namespace holdfast::transcripts {
namespace {

constexpr SeqNum kOurIss{0xfffffe00}, kPeerIss{0x7fffff00};  // both wrap soon, in their own way
constexpr uint32_t kTimestampOffset = 0xffffff00;
constexpr Instant kBegin{1'000'000'000'000};

std::byte byte_at(bool ours, uint64_t offset) {
    return static_cast<std::byte>(mix64(offset + (ours ? 1u << 30 : 0)));
}

template <typename Enum>
using Names = std::initializer_list<std::pair<const char*, Enum>>;
constexpr std::pair<const char*, TcpEvent> kEvents[] = {{"established", TcpEvent::established},
                                                        {"peer_fin", TcpEvent::peer_fin},
                                                        {"acked", TcpEvent::acked},
                                                        {"acked_unsent", TcpEvent::acked_unsent},
                                                        {"fin_acked", TcpEvent::fin_acked},
                                                        {"time_wait", TcpEvent::time_wait},
                                                        {"reset", TcpEvent::reset},
                                                        {"refused", TcpEvent::refused},
                                                        {"timed_out", TcpEvent::timed_out},
                                                        {"closed", TcpEvent::closed}};
constexpr const char* kTimers[] = {"none", "retransmit", "persist", "tail_probe", "reorder"};

uint32_t number(const std::string& text) { return static_cast<uint32_t>(std::stoll(text)); }

}  // namespace

std::string run(const Script& script, const RunOptions& options) { return Run(script, options)(); }

Run::Run(const Script& script, const RunOptions& options)
    : script_(script), options_(options), now_(kBegin) {
    local_ = *parse_endpoint(options.v4 ? "198.51.100.1:80" : "[2001:db8::1]:80");
    remote_ = *parse_endpoint(options.v4 ? "192.0.2.1:40000" : "[2001:db8::2]:40000");
    config_.default_mss = options.v4 ? 536 : 1220;
}

void Run::fail(const std::string& what) {
    if (!failure_.empty()) return;
    failure_ = script_.file + ":" + std::to_string(line_ ? line_->number : 0) + ": [" +
               script_.name + "] " + what + (line_ ? "\n    " + line_->text : "");
}

std::string Run::operator()() try {
    for (const std::string& setting : script_.config) configure(setting);
    remake();
    for (size_t i = 0; i < script_.lines.size() && failure_.empty(); ++i) {
        line_ = &script_.lines[i];
        play(*line_);
        if (i == options_.after_line) replace();
    }
    if (failure_.empty() && !lenient_ && !outs_.empty())
        fail("left unexpectedly: " + to_string(outs_.front().packet));
    return failure_;
} catch (const std::exception& e) {
    fail(e.what());
    return failure_;
}

void Run::configure(const std::string& setting) {
    const size_t equals = setting.find('=');
    const std::string key = setting.substr(0, equals), value = setting.substr(equals + 1);
    const bool on = value == "on";
    const auto ms = [&] { return Duration::milliseconds(std::stoll(value)); };
    if (key == "mss")
        config_.mss = static_cast<uint16_t>(number(value));
    else if (key == "default_mss")
        config_.default_mss = static_cast<uint16_t>(number(value));
    else if (key == "min_path_mss")
        config_.min_path_mss = static_cast<uint16_t>(number(value));
    else if (key == "sack")
        config_.sack = on;
    else if (key == "timestamps")
        config_.timestamps = on;
    else if (key == "scale")
        config_.scale_windows = on;
    else if (key == "ecn")
        config_.ecn = on;
    else if (key == "receive_buffer")
        config_.receive_buffer = number(value);
    else if (key == "send_buffer")
        config_.send_buffer = number(value);
    else if (key == "initial_window")
        config_.initial_window = number(value);
    else if (key == "delayed_ack_ms")
        config_.delayed_ack = ms();
    else if (key == "user_timeout_ms")
        config_.user_timeout = ms();
    else if (key == "connect_timeout_ms")
        config_.connect_timeout = ms();
    else if (key == "keepalive_idle_ms")
        config_.keepalive_idle = ms();
    else if (key == "keepalive_interval_ms")
        config_.keepalive_interval = ms();
    else if (key == "keepalive_probes")
        config_.keepalive_probes = static_cast<uint8_t>(number(value));
    else if (key == "time_wait_ms")
        config_.time_wait = ms();
    else
        throw std::runtime_error("unknown setting " + key);
}

void Run::remake() { end_ = std::make_unique<TcpEndpoint>(config_, pool_); }

void Run::play(const Line& line) {
    const Instant from = now_ + line.after, until = now_ + line.until;
    if (line.kind == Line::Kind::leaves) return expect(line, from, until);
    advance(from);
    if (!lenient_ && !outs_.empty()) return fail("left before: " + to_string(outs_.front().packet));
    if (line.kind == Line::Kind::arrives) {
        arrive(line.packet);
    } else {
        command(line.words);
    }
    settle();
}

void Run::advance(Instant to) {
    // Lenient, somebody may be probed again and again; the script's spans are bounded.
    for (int i = 0; i < 100'000; ++i) {
        Instant next = end_->next_deadline();
        if (next != Instant::max()) next = next - clock_;
        if (next > to) break;
        now_ = std::max(now_, next);
        end_->on_deadline(here(), *this);
        settle();
    }
    now_ = std::max(now_, to);
}

void Run::settle() {
    if (!hold_) end_->flush(here(), *this);
    const Tcb& t = end_->state();
    if (!hold_ && end_->has_work() != (t.timer != SendTimer::none))
        fail("work and no timer, or a timer and no work");
    if (t.snd_una > t.snd_nxt || t.snd_nxt > t.snd_max) fail("SND.UNA, SND.NXT, SND.MAX disagree");
}

void Run::expect(const Line& line, Instant from, Instant until) {
    if (lenient_) return advance(from);
    if (outs_.empty()) advance(now_);  // what is due
    while (outs_.empty() && now_ < until && failure_.empty()) {
        Instant next = end_->next_deadline();
        if (next != Instant::max()) next = next - clock_;
        advance(earlier(next, until));
    }
    if (outs_.empty()) return fail("nothing left");
    const Out out = outs_.front();
    outs_.pop_front();
    Packet seen = out.packet, wanted = line.packet;
    if (!wanted.window) seen.window.reset();
    if (!wanted.ack) seen.ack.reset();
    if (!wanted.options) seen.options.reset();
    const std::string a = to_string(wanted), b = to_string(seen);
    if (a != b) return fail("expected " + a + "\n         left " + to_string(out.packet));
    // A microsecond: what is written with decimals need not be exact.
    const Duration slack = Duration::microseconds(1);
    if (out.at < from - slack || out.at > until + slack)
        fail("left at " + std::to_string((out.at - from + line.after).as_seconds()) +
             " s after the line before");
    now_ = std::max(now_, out.at);
}

void Run::arrive(const Packet& p) {
    const bool syn = (p.flags & tcp_flag::syn) != 0;
    std::vector<std::byte> payload(p.payload);
    for (size_t i = 0; i < payload.size(); ++i)
        payload[i] = byte_at(false, p.seq + i - (syn ? 0 : 1));
    TcpSegment s;
    s.source_port = remote_.port;
    s.destination_port = local_.port;
    s.seq = kPeerIss + p.seq;
    s.ack = kOurIss + p.ack.value_or(0);
    s.flags = p.flags;
    s.window = p.window.value_or(0);
    TcpOptions o = p.options.value_or(TcpOptions{});
    if (o.timestamps && p.ack) o.timestamps->echo += kTimestampOffset + timestamp_ms(kBegin);
    for (uint8_t i = 0; i < o.sack_count; ++i)
        o.sack[i] = {kOurIss + o.sack[i].start.value, kOurIss + o.sack[i].end.value};
    std::vector<std::byte> packet(20000);
    ByteWriter w(packet);
    if (emit_tcp({remote_.address, local_.address, s, o, payload}, w) == 0)
        throw std::runtime_error("does not fit a packet");
    const auto parsed = parse_tcp(w.written());
    if (!parsed) return fail("not a TCP segment");
    const auto options =
        p.raw ? parse_tcp_options(p.raw_options)
              : parse_tcp_options(w.written().subspan(20, parsed->header_size - 20u));
    if (!options) return;  // dropped, and counted, by whoever parses
    const TcpInput in{*parsed, *options, payload, p.ce};
    if (end_->state().state == TcpState::closed && !opened_ &&
        (p.flags & (tcp_flag::syn | tcp_flag::ack)) == tcp_flag::syn) {
        opened_ = true;
        end_->accept(in, {kOurIss, kTimestampOffset}, here(), *this);
    } else if (end_->state().state != TcpState::closed) {
        end_->on_segment(in, here(), *this);
    }
}

void Run::transmit(const TcpEndpoint& endpoint, const TcpSegment& header, const TcpOptions& options,
                   std::span<const Bytes> payload) {
    std::vector<std::byte> data;
    for (const Bytes piece : payload) data.insert(data.end(), piece.begin(), piece.end());
    TcpSegment h = header;
    h.source_port = local_.port;
    h.destination_port = remote_.port;
    const TcpEmit emit{local_.address, remote_.address, h, options, data};
    const IpHeader ip = ip_header(emit.source, emit.destination, kProtocolTcp, tcp_size(emit));
    std::vector<std::byte> packet(ip.payload_size + 60);
    ByteWriter w(packet);
    emit_ip(ip, w);
    emit_tcp(emit, w);
    const auto outer = options_.v4 ? parse_ipv4(w.written()) : parse_ipv6(w.written());
    if (!w.ok() || !outer) return fail("made no IP packet");
    const Bytes segment = w.written().subspan(outer->header_size, outer->payload_size);
    const auto back = parse_tcp(segment);
    if (!back || verify_tcp_checksum(local_.address, remote_.address, segment) != DropReason::none)
        return fail("made a bad segment");
    const auto seen = parse_tcp_options(segment.subspan(20, back->header_size - 20u));
    if (!seen || *seen != options) return fail("made bad options");
    judge(header, options);

    Packet p;
    p.flags = header.flags;
    p.seq = static_cast<uint32_t>(header.seq - kOurIss);
    p.payload = static_cast<uint32_t>(data.size());
    p.window = header.window;
    p.ect = endpoint.transmits_ect();
    if (header.has(tcp_flag::ack)) p.ack = static_cast<uint32_t>(header.ack - kPeerIss);
    p.options = options;
    if (p.options->timestamps)
        p.options->timestamps->value -= kTimestampOffset + timestamp_ms(kBegin);
    for (uint8_t i = 0; i < p.options->sack_count; ++i) {
        SackBlock& b = p.options->sack[i];
        b = {b.start - kPeerIss.value, b.end - kPeerIss.value};
    }
    for (size_t i = 0; i < data.size(); ++i)
        if (data[i] != byte_at(true, p.seq + i - 1)) return fail("sent wrong bytes");
    if (!lenient_) outs_.push_back({now_, p});
}

void Run::judge(const TcpSegment& h, const TcpOptions& o) {
    if (o.timestamps) {
        if (stamped_ && static_cast<int32_t>(o.timestamps->value - stamp_) < 0)
            fail("TSval moved back");
        stamped_ = true;
        stamp_ = o.timestamps->value;
    }
    if (!h.has(tcp_flag::ack) || h.has(tcp_flag::rst)) return;
    const uint8_t scale = h.has(tcp_flag::syn) ? 0 : end_->state().rcv_wscale;
    const SeqNum edge = h.ack + (uint32_t{h.window} << scale);
    if (acked_ && h.ack < ack_) fail("the acknowledgement moved back");
    if (acked_ && edge < edge_) fail("the right edge moved back");
    acked_ = true;
    ack_ = h.ack;
    edge_ = edge;
}

size_t Run::deliver(Bytes bytes) {
    for (const std::byte b : bytes)
        if (b != byte_at(false, heard_++)) fail("delivered wrong bytes");
    return bytes.size();
}

void Run::replace() {
    if (options_.replace == Replace::exact) {
        const std::unique_ptr<TcpEndpoint> old = std::move(end_);
        remake();
        end_->restore(*old);
    } else if (options_.replace == Replace::takeover) {
        take_over();
        settle();
    }
}

void Run::take_over() {
    lenient_ = true;
    outs_.clear();
    const Tcb record = end_->record(here());
    if (record.state == TcpState::closed) return;
    clock_ = Duration::microseconds(123'456'789);
    remake();
    end_->restore(record, {.ts_slack_ms = 10, .relearn = false}, here());
    // What was not acknowledged is written, and delivered, again.
    const uint64_t total = written_;
    const uint32_t acked = static_cast<uint32_t>(end_->write_position() - (kOurIss + 1));
    std::vector<std::byte> again(total - std::min<uint64_t>(total, acked));
    for (size_t i = 0; i < again.size(); ++i) again[i] = byte_at(true, acked + i);
    end_->write(again);
    if (record.state == TcpState::syn_sent) return;
    heard_ = static_cast<uint32_t>(end_->state().rcv_nxt - (kPeerIss + 1)) -
             end_->state().has(Tcb::fin_received);
}

void Run::command(const std::vector<std::string>& words) {
    const std::string& what = words.at(0);
    const auto argument = [&](size_t i) { return number(words.at(i)); };
    if (what == "connect") {
        opened_ = true;
        end_->connect({kOurIss, kTimestampOffset}, here(), *this);
    } else if (what == "write") {
        std::vector<std::byte> bytes(argument(1));
        for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = byte_at(true, written_ + i);
        const size_t n = end_->write(bytes);
        if (n != bytes.size() && !lenient_) fail("took " + std::to_string(n));
        written_ += n;
    } else if (what == "shutdown") {
        end_->shutdown();
    } else if (what == "abort") {
        end_->abort(here(), *this);
    } else if (what == "allow_ack") {
        end_->allow_ack(kPeerIss + argument(1));
    } else if (what == "allow_all_acks") {
        end_->allow_all_acks();
    } else if (what == "allow_send") {
        end_->allow_send(kOurIss + argument(1));
    } else if (what == "allow_all_sends") {
        end_->allow_all_sends();
    } else if (what == "room") {
        end_->set_receive_room(argument(1));
    } else if (what == "advance") {
        heard_ = argument(1) - 1;
        end_->advance_receive(kPeerIss + argument(1));
    } else if (what == "too_big") {
        end_->on_packet_too_big(static_cast<uint16_t>(argument(1)), kOurIss + argument(2), here());
    } else if (what == "hold" || what == "flush") {
        hold_ = what == "hold";
    } else if (what == "takeover") {
        const bool was = lenient_;
        take_over();
        lenient_ = was;
    } else if (what == "expect") {
        check(words);
    } else if (what != "nothing") {
        throw std::runtime_error("unknown command " + what);
    }
}

void Run::check(const std::vector<std::string>& words) {
    if (lenient_) return;
    const std::string &what = words.at(1), &wanted = words.at(2);
    const Tcb& t = end_->state();
    std::string seen;
    if (what == "state") {
        seen = holdfast::to_string(t.state);
    } else if (what == "timer") {
        seen = kTimers[static_cast<size_t>(t.timer)];
    } else if (what == "heard") {
        seen = std::to_string(heard_);
    } else if (what == "cwnd") {
        seen = std::to_string(t.cwnd);
    } else if (what == "ssthresh") {
        seen = std::to_string(t.ssthresh);
    } else if (what == "mss") {
        seen = std::to_string(t.mss);
    } else if (what == "chunks") {
        seen = std::to_string(pool_.used());
    } else if (what == "count") {
        const auto* c = std::ranges::find_if(kTcpCounters, [&](const auto& info) {
                            return info.name == "tcp_" + wanted;
                        }).base();
        if (c == std::to_address(kTcpCounters.end())) throw std::runtime_error("no such counter");
        const std::string value = std::to_string(pool_.counters.*(c->member));
        if (value != words.at(3)) fail(wanted + " is " + value);
        return;
    } else if (what == "event") {
        for (const auto& [name, event] : kEvents)
            if (name == wanted && std::ranges::count(events_, event) > 0) return;
        seen = "none";
    } else {
        throw std::runtime_error("expect what? " + what);
    }
    if (seen != wanted) fail(what + " is " + seen);
}

}  // namespace holdfast::transcripts
