// What leaves, and when: new data, lost data, acknowledgements.
#include <algorithm>

#include "dataplane/tcp/congestion.h"
#include "dataplane/tcp/endpoint.h"

namespace holdfast {
namespace {
constexpr uint32_t kTimestampsSize = 12;
constexpr uint32_t kSackBlocksWithData = 3;
// Where segments are tiny, bytes come first.
bool sack_beside_data(const Tcb& tcb) { return tcb.mss >= 128; }
constexpr uint32_t sack_size(uint32_t blocks) { return blocks == 0 ? 0 : 4 + 8 * blocks; }
}  // namespace

bool TcpEndpoint::may_send_data() const {
    switch (tcb_.state) {
        case TcpState::established:
        case TcpState::close_wait:
        case TcpState::fin_wait_1:
        case TcpState::closing:
        case TcpState::last_ack:
            return true;
        case TcpState::closed:
        case TcpState::syn_sent:
        case TcpState::syn_received:
        case TcpState::fin_wait_2:
        case TcpState::time_wait:
            return false;
    }
    return false;
}

// Sequence numbers below may be sent: they are queued, and allowed.
SeqNum TcpEndpoint::send_end() const {
    const bool fin = tcb_.has(Tcb::fin_queued) && send_.end() == tcb_.fin_seq;
    const SeqNum end = send_.end() + (fin ? 1u : 0u);
    return tcb_.has(Tcb::limited_send) && tcb_.send_limit < end ? tcb_.send_limit : end;
}

// Payload of a full segment, the options it will carry taken off.
uint32_t TcpEndpoint::segment_limit() const {
    uint32_t options = tcb_.has(Tcb::timestamps) ? kTimestampsSize : 0;
    if (tcb_.has(Tcb::sack) && (!reassembly_.empty() || duplicate_) && sack_beside_data(tcb_))
        options += sack_size(kSackBlocksWithData);
    return tcb_.mss - options;
}

// Length, in sequence numbers, of the next new segment; 0 when the window (or the sender's side of
// the silly window syndrome, RFC 9293 section 3.8.6.2.1, but for Nagle) keeps it back.
uint32_t TcpEndpoint::next_length() const {
    const int32_t available = send_end() - tcb_.snd_nxt;
    const int32_t window = tcb_.snd_una + tcb_.snd_wnd - tcb_.snd_nxt;
    if (available <= 0 || window <= 0) return 0;
    const bool fin = tcb_.has(Tcb::fin_queued) && send_end() > tcb_.fin_seq;
    const int32_t data = available - (fin ? 1 : 0);
    const int32_t full = static_cast<int32_t>(segment_limit());
    const int32_t payload = std::min({data, window, full});
    if (payload < data && payload < full && static_cast<uint32_t>(payload) < tcb_.snd_max_wnd / 2)
        return 0;
    return static_cast<uint32_t>(payload + (fin && payload == data && window > payload ? 1 : 0));
}

void TcpEndpoint::flush(Instant now, TcpOutput& out) {
    if (!reassembly_.empty() && reassembly_.first() <= tcb_.rcv_nxt) {  // after advance_receive()
        deliver_ready(out);
        check_fin(now, out);
    }
    note_fin_acked_elsewhere(now, out);
    bool sent = false;
    if (may_send_data()) {
        sent = send_lost(now, out);
        sent |= send_new(now, out);
    }
    if (tcb_.state == TcpState::closed || tcb_.state == TcpState::syn_sent) return;
    if (tcb_.has(Tcb::ack_now) || window_update_due()) send_ack(ack_sequence(), now, out);
    arm_send_timer(now, sent && tcb_.timer == SendTimer::tail_probe);
    if (tcb_.state == TcpState::time_wait && !tcb_.has(Tcb::time_wait_told) &&
        ack_point() == tcb_.rcv_nxt) {
        tcb_.set(Tcb::time_wait_told);
        out.on_tcp_event(TcpEvent::time_wait);
    }
}

bool TcpEndpoint::send_lost(Instant now, TcpOutput& out) {
    if (log_.lost_bytes() == 0) return false;
    bool sent = false;
    const uint32_t limit = segment_limit();
    for (SentSegment* s = log_.first(); s && log_.lost_bytes() > 0; s = s->next) {
        if (!s->lost) continue;
        if (s->size() > limit && !log_.split(*s, s->start + limit)) {
            rewind();
            return sent;
        }
        // A peer that shut its window behind this gets one at a time, when the timer says.
        if (!tcb_.has(Tcb::force_retransmit) && s->end > tcb_.snd_una + tcb_.snd_wnd) break;
        if (!tcb_.has(Tcb::force_retransmit) && outstanding() + s->size() > tcb_.cwnd) {
            tcb_.set(Tcb::cwnd_limited);
            break;
        }
        tcb_.clear(Tcb::force_retransmit);
        resend(*s, now, out);
        sent = true;
    }
    return sent;
}

void TcpEndpoint::resend(SentSegment& s, Instant now, TcpOutput& out) {
    ++pool_.counters.retransmitted;
    log_.set_lost(s, false);
    s.retransmitted = true;
    s.sent = now;
    emit_range(s.start, s.size(), now, out);
}

bool TcpEndpoint::send_new(Instant now, TcpOutput& out) {
    if (tcb_.snd_nxt >= send_end()) return false;
    if (config_.slow_start_after_idle && in_flight() == 0 && tcb_.has(Tcb::rtt_valid) &&
        now - std::max(tcb_.heard_at, tcb_.progress_at) > rto())
        congestion_after_idle(tcb_, config_);
    bool sent = false;
    while (const uint32_t length = next_length()) {
        const uint32_t pipe = outstanding();
        if (pipe > 0 && pipe + length > tcb_.cwnd) {
            tcb_.set(Tcb::cwnd_limited);
            return sent;
        }
        if (!send_fresh(length, now, out)) return sent;
        sent = true;
    }
    // In slow start half a window in use is reason enough to grow (RFC 7661 section 4.1).
    if (outstanding() < tcb_.cwnd / 2) tcb_.clear(Tcb::cwnd_limited);
    return sent;
}

bool TcpEndpoint::send_fresh(uint32_t length, Instant now, TcpOutput& out) {
    const SeqNum from = tcb_.snd_nxt;
    if (!log_.append(from, from + length, now)) return false;
    if (in_flight() == 0) tcb_.progress_at = now;
    const uint32_t sent = emit_range(from, length, now, out);
    if (sent < length) log_.last()->end = from + sent;
    tcb_.snd_nxt = from + sent;
    tcb_.snd_max = later(tcb_.snd_max, tcb_.snd_nxt);
    if (tcb_.timer == SendTimer::persist || tcb_.timer == SendTimer::tail_probe) {
        if (tcb_.timer == SendTimer::persist) tcb_.backoff = 0;
        tcb_.timer = SendTimer::none;
    }
    return true;
}

// [from, from + length) as one segment, FIN included; what it came to, as a view is two pieces.
uint32_t TcpEndpoint::emit_range(SeqNum from, uint32_t length, Instant now, TcpOutput& out) {
    const SendQueue::View view = send_.view(from, length);
    const bool fin =
        view.size < length && tcb_.has(Tcb::fin_queued) && from + view.size == tcb_.fin_seq;
    TcpSegment h;
    h.seq = from;
    h.payload_size = view.size;
    if (fin) h.flags |= tcp_flag::fin;
    if (view.size > 0 && from + view.size == send_.end()) h.flags |= tcp_flag::psh;
    if (from >= tcb_.snd_max) {
        pool_.counters.bytes_out += view.size;
        if (tcb_.has(Tcb::ecn) && view.size > 0) {  // never on what is sent again (RFC 3168 6.1.5)
            ect_ = true;
            if (tcb_.has(Tcb::ecn_cwr)) h.flags |= tcp_flag::cwr;
            tcb_.clear(Tcb::ecn_cwr);
        }
    }
    emit(h, view.span(), now, out);
    ect_ = false;
    if (fin) note_fin_sent();
    return view.size + (fin ? 1 : 0);
}

void TcpEndpoint::note_fin_sent() {
    if (tcb_.state == TcpState::established) become(tcb_, TcpState::fin_wait_1);
    if (tcb_.state != TcpState::close_wait) return;
    const bool acked = tcb_.last_ack_sent == tcb_.rcv_nxt;  // the peer's FIN
    become(tcb_, acked ? TcpState::last_ack : TcpState::closing);
}

// The acknowledgement came before we knew that our stream was over: shutdown_at().
void TcpEndpoint::note_fin_acked_elsewhere(Instant now, TcpOutput& out) {
    const bool open = tcb_.state == TcpState::established || tcb_.state == TcpState::close_wait;
    if (!open || !tcb_.has(Tcb::fin_queued) || tcb_.snd_una <= tcb_.fin_seq) return;
    // Perhaps our FIN was the first of the two, so the peer's may come again until it hears of us.
    become(tcb_, tcb_.state == TcpState::established ? TcpState::fin_wait_1 : TcpState::closing);
    after_fin_acked(now, out);
}

// Where an empty segment stands: after all that was ever sent, that it is news, and not beyond the
// window, that it is taken.
SeqNum TcpEndpoint::ack_sequence() const {
    const SeqNum edge = tcb_.snd_una + tcb_.snd_wnd;
    return edge < tcb_.snd_max ? later(edge, tcb_.snd_nxt) : tcb_.snd_max;
}

void TcpEndpoint::send_ack(SeqNum seq, Instant now, TcpOutput& out) {
    TcpSegment h;
    h.seq = seq;
    emit(h, {}, now, out);
}

void TcpEndpoint::emit(TcpSegment h, std::span<const Bytes> payload, Instant now, TcpOutput& out) {
    h.flags |= tcp_flag::ack;
    h.ack = later(ack_point(), tcb_.last_ack_sent);
    if (tcb_.has(Tcb::ts_marked) && h.ack > tcb_.ts_mark_seq) {
        if (static_cast<int32_t>(tcb_.ts_mark - tcb_.ts_recent) > 0) {
            tcb_.ts_recent = tcb_.ts_mark;
            tcb_.ts_recent_at = now;
        }
        tcb_.clear(Tcb::ts_marked);
    }
    TcpOptions o;
    if (tcb_.has(Tcb::timestamps))
        o.timestamps = {timestamp_ms(now) + tcb_.ts_offset, tcb_.ts_recent};
    if (tcb_.has(Tcb::sack) && !h.has(tcp_flag::rst))
        o.sack_count = sack_options(o, payload.empty());
    if (tcb_.has(Tcb::ecn_echo)) h.flags |= tcp_flag::ece;
    h.window = window_field(h.ack);
    tcb_.last_ack_sent = h.ack;
    tcb_.clear(Tcb::ack_now);
    tcb_.ack_at = Instant::max();
    tcb_.unacked_segments = 0;
    ++pool_.counters.segments_out;
    out.transmit(*this, h, o, payload);
}

// Beside data no more than segment_limit() left room for.
uint8_t TcpEndpoint::sack_options(TcpOptions& o, bool alone) {
    if (reassembly_.empty() && !duplicate_) return 0;
    if (!alone && !sack_beside_data(tcb_)) return 0;
    const size_t room = alone && !o.timestamps ? TcpOptions::kMaxSackBlocks : kSackBlocksWithData;
    uint8_t n = 0;
    if (duplicate_) {
        o.sack[n++] = *duplicate_;
        duplicate_.reset();
    }
    return n + reassembly_.sack_blocks(std::span(o.sack).subspan(n, room - n));
}

void TcpEndpoint::send_reset(SeqNum seq, bool with_ack, Instant now, TcpOutput& out) {
    ++pool_.counters.resets_out;
    TcpSegment h;
    h.seq = seq;
    h.flags = tcp_flag::rst;
    if (with_ack) return emit(h, {}, now, out);
    ++pool_.counters.segments_out;
    out.transmit(*this, h, {}, {});
}

// The right edge to offer now: it moves when there is a full segment more, or half of all
// (RFC 9293 section 3.8.6.2.2).
SeqNum TcpEndpoint::next_edge() const {
    // A SYN-ACK that goes out again can offer no more than the first.
    if (tcb_.state == TcpState::syn_received) return tcb_.rcv_offered;
    // What cannot be said is not offered.
    const SeqNum sayable =
        later(ack_point(), tcb_.last_ack_sent) + (uint32_t{65535} << tcb_.rcv_wscale);
    const SeqNum edge = tcb_.rcv_edge < sayable ? tcb_.rcv_edge : sayable;
    const int32_t more = edge - tcb_.rcv_offered;
    // After a restore the peer may have been offered any of it already.
    const uint32_t step =
        tcb_.has(Tcb::relearn) ? 1 : std::min<uint32_t>(config_.receive_buffer / 2, config_.mss);
    const auto enough = static_cast<int32_t>(step);
    return more >= enough ? edge : tcb_.rcv_offered;
}

// In units of the scale, rounded down where the edge moves, and up where rounding down would move
// it back: what was offered stays offered.
uint16_t TcpEndpoint::window_field(SeqNum ack) {
    const uint32_t unit = 1u << tcb_.rcv_wscale;
    const auto wanted = static_cast<uint32_t>(std::max(next_edge() - ack, 0));
    uint32_t units = wanted / unit;
    if (ack + units * unit < tcb_.rcv_offered)
        units = (static_cast<uint32_t>(tcb_.rcv_offered - ack) + unit - 1) / unit;
    units = std::min(units, 65535u);
    tcb_.rcv_offered = later(tcb_.rcv_offered, ack + units * unit);
    return static_cast<uint16_t>(units);
}

// Unasked, when the peer may be waiting for it: little is left of what it was offered, and two
// segments more (or a quarter of all) can be.
bool TcpEndpoint::window_update_due() const {
    constexpr uint32_t kLittle = 32 * 1024;
    const SeqNum edge = next_edge();
    if (edge == tcb_.rcv_offered || tcb_.has(Tcb::fin_received)) return false;
    if (tcb_.rcv_nxt == tcb_.irs + 1) return false;  // what the SYN offered is untouched
    const auto left = static_cast<uint32_t>(std::max(tcb_.rcv_offered - tcb_.rcv_nxt, 0));
    const auto more = static_cast<uint32_t>(edge - tcb_.rcv_offered);
    if (left < config_.mss) return true;
    return left < std::min(config_.receive_buffer / 2, kLittle) &&
           more >= std::min<uint32_t>(config_.receive_buffer / 4, 2u * config_.mss);
}

}  // namespace holdfast
