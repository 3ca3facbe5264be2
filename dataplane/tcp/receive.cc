// Segments of a synchronised connection: RFC 9293 section 3.10.7.4, in its order.
#include <algorithm>

#include "dataplane/tcp/endpoint.h"

namespace holdfast {
namespace {
// RFC 7323 section 5.5: a timestamp that has not moved for so long says nothing any more.
constexpr Duration kTimestampLife = Duration::seconds(24 * 24 * 3600);
}  // namespace

void TcpEndpoint::on_segment(const TcpInput& in, Instant now, TcpOutput& out) {
    if (tcb_.state == TcpState::closed) return void(++pool_.counters.ignored);
    ++pool_.counters.segments_in;
    if (tcb_.state == TcpState::syn_sent) return on_segment_syn_sent(in, now, out);
    if (tcb_.state == TcpState::syn_received) return on_segment_syn_received(in, now, out);
    on_segment_synchronized(in, now, out);
}

void TcpEndpoint::on_segment_synchronized(const TcpInput& in, Instant now, TcpOutput& out) {
    if (!check_sequence(in, now)) return;
    if (!check_reset(in, now, out)) return;
    if (in.segment.has(tcp_flag::syn)) return challenge(now);  // RFC 5961 section 4
    take_marks(in);
    if (!check_ack(in, now, out)) return;
    // Urgent data is data.
    take_text(in, now, out);
    check_fin(now, out);
}

bool TcpEndpoint::check_sequence(const TcpInput& in, Instant now) {
    const TcpSegment& s = in.segment;
    const auto& ts = in.options.timestamps;
    if (tcb_.has(Tcb::timestamps) && ts && tcb_.has(Tcb::ts_recent_valid) &&
        static_cast<int32_t>(ts->value - tcb_.ts_recent) < 0 && !s.has(tcp_flag::rst)) {
        if (now - tcb_.ts_recent_at < kTimestampLife) {
            ++pool_.counters.stale_timestamps;
            if (in.payload.empty()) {
                challenge(now);
            } else {
                tcb_.set(Tcb::ack_now);
            }
            return false;
        }
        tcb_.clear(Tcb::ts_recent_valid);
    }
    // The left edge is what we acknowledged, not RCV.NXT: what lies between will be sent again as
    // long as an acknowledgement is withheld, and brings news of its own. The right edge is
    // inclusive, as a sender that filled the window speaks from there.
    // While we relearn, the peer may have gone far ahead with another node, and what it
    // acknowledges there is the news we wait for; its bytes are still taken from the window only.
    const SeqNum left = tcb_.last_ack_sent;
    const SeqNum right = tcb_.has(Tcb::relearn) ? tcb_.rcv_nxt + kRelearnBound : tcb_.rcv_offered;
    const bool within = s.seq <= right && (s.length() > 0 ? s.end() > left : s.seq >= left);
    if (!within) {
        ++pool_.counters.out_of_window;
        // RFC 5961 section 5 limits answers, but a sender of data must be told where we are.
        if (s.has(tcp_flag::rst)) return false;
        if (!in.payload.empty() && s.end() <= left) duplicate_ = SackBlock{s.seq, s.end()};
        if (!in.payload.empty() || s.has(tcp_flag::fin)) {
            tcb_.set(Tcb::ack_now);
        } else {
            challenge(now);
        }
        if (tcb_.state == TcpState::time_wait && s.has(tcp_flag::fin)) enter_time_wait(now);
        // Two ends that probed each other's closed window with the same byte, and lost the answers,
        // speak from one byte back for ever: what they acknowledge counts.
        const bool probe = s.seq == left - 1 && s.length() <= 1 && s.has(tcp_flag::ack) &&
                           !s.has(tcp_flag::syn) && tcb_.state != TcpState::syn_received;
        if (probe) tcb_.heard_at = now;
        return probe;
    }
    tcb_.heard_at = now;
    tcb_.keepalives = 0;
    if (!s.has(tcp_flag::rst)) take_timestamp(in, now);
    return true;
}

// RFC 7323 section 4.3: the echo is of the earliest segment that is not acknowledged yet.
void TcpEndpoint::take_timestamp(const TcpInput& in, Instant now) {
    if (!tcb_.has(Tcb::timestamps) || !in.options.timestamps) return;
    const uint32_t value = in.options.timestamps->value;
    if (in.segment.seq <= tcb_.last_ack_sent) {
        if (tcb_.has(Tcb::ts_recent_valid) && static_cast<int32_t>(value - tcb_.ts_recent) < 0)
            return;
        tcb_.set(Tcb::ts_recent_valid);
        tcb_.ts_recent = value;
        tcb_.ts_recent_at = now;
    } else if (!tcb_.has(Tcb::ts_marked)) {
        tcb_.set(Tcb::ts_marked);
        tcb_.ts_mark = value;
        tcb_.ts_mark_seq = in.segment.seq;
    }
}

// RFC 5961 section 3; the ACK number last sent counts as exact too: a peer that has forgotten the
// connection answers our segments with it.
bool TcpEndpoint::check_reset(const TcpInput& in, Instant now, TcpOutput& out) {
    const TcpSegment& s = in.segment;
    if (!s.has(tcp_flag::rst)) return true;
    const bool exact = s.seq == tcb_.rcv_nxt || s.seq == tcb_.last_ack_sent;
    if (tcb_.state == TcpState::time_wait || !exact) {  // RFC 1337
        ++pool_.counters.resets_ignored;
        if (!exact) challenge(now);
        return false;
    }
    ++pool_.counters.resets_in;
    close(TcpEvent::reset, out);
    return false;
}

void TcpEndpoint::take_marks(const TcpInput& in) {
    if (!tcb_.has(Tcb::ecn)) return;
    if (in.segment.has(tcp_flag::cwr)) tcb_.clear(Tcb::ecn_echo);
    if (in.congestion_experienced) {
        ++pool_.counters.congestion_marks;
        tcb_.set(Tcb::ecn_echo);
    }
}

// Up to where bytes are taken: what was promised, and the little that a window in units of its
// scale may have said beyond that.
SeqNum TcpEndpoint::take_limit() const {
    const SeqNum promised = tcb_.rcv_edge + ((1u << tcb_.rcv_wscale) - 1);
    return promised < tcb_.rcv_offered ? promised : tcb_.rcv_offered;
}

void TcpEndpoint::take_text(const TcpInput& in, Instant now, TcpOutput& out) {
    const TcpSegment& s = in.segment;
    Bytes text = in.payload;
    SeqNum seq = s.seq + (s.has(tcp_flag::syn) ? 1u : 0u);
    const SeqNum end = seq + static_cast<uint32_t>(text.size());
    if (tcb_.has(Tcb::fin_received)) {
        if (s.length() > 0) tcb_.set(Tcb::ack_now);  // its FIN again
        return;
    }
    if (!text.empty() && end <= tcb_.rcv_nxt) {
        ++pool_.counters.duplicates;
        if (end <= tcb_.last_ack_sent) duplicate_ = SackBlock{seq, end};
        return tcb_.set(Tcb::ack_now);
    }
    if (seq < tcb_.rcv_nxt) {
        const uint32_t known = static_cast<uint32_t>(tcb_.rcv_nxt - seq);
        text = text.subspan(std::min<size_t>(known, text.size()));
        seq = tcb_.rcv_nxt;
    }
    bool whole = true;
    const int32_t room = take_limit() - seq;
    if (room < static_cast<int64_t>(text.size())) {
        text = text.first(static_cast<size_t>(std::max(room, 0)));
        whole = false;
        ++pool_.counters.out_of_window;
        tcb_.set(Tcb::ack_now);
    }
    if (whole && s.has(tcp_flag::fin)) reassembly_.insert_fin(end);
    if (seq == tcb_.rcv_nxt) {
        if (text.empty()) return;
        const bool fills = !reassembly_.empty();
        if (deliver_in_order(text, out)) deliver_ready(out);
        owe_ack(now, fills);  // RFC 5681 section 4.2
    } else if (s.length() > 0) {
        ++pool_.counters.out_of_order;
        const uint32_t pieces = config_.receive_buffer / 1024 + 8;
        if (pool_.scarce() || !reassembly_.insert(seq, text, pieces)) ++pool_.counters.no_memory;
        tcb_.set(Tcb::ack_now);
        // Without SACK the sender counts them (RFC 5681 section 3.2).
        if (!tcb_.has(Tcb::sack)) send_ack(ack_sequence(), now, out);
    }
}

// False when not all of it was taken.
bool TcpEndpoint::deliver_in_order(Bytes bytes, TcpOutput& out) {
    const SeqNum before = tcb_.rcv_nxt;
    tcb_.rcv_nxt = before + static_cast<uint32_t>(bytes.size());
    if (!tcb_.has(Tcb::managed_room))
        tcb_.rcv_edge = later(tcb_.rcv_edge, tcb_.rcv_nxt + config_.receive_buffer);
    const size_t taken = out.deliver(bytes);
    pool_.counters.bytes_in += taken;
    if (taken == bytes.size()) return true;
    tcb_.rcv_nxt = before + static_cast<uint32_t>(taken);
    ++pool_.counters.no_memory;
    reassembly_.clear();  // what lies behind a hole takes memory that is needed to fill it
    return false;
}

bool TcpEndpoint::receive_copy(SeqNum seq, Bytes bytes, TcpOutput& out) {
    const SeqNum end = seq + static_cast<uint32_t>(bytes.size()), before = tcb_.rcv_nxt;
    const bool open = tcb_.state == TcpState::established || tcb_.state == TcpState::fin_wait_1 ||
                      tcb_.state == TcpState::fin_wait_2;
    if (!open || tcb_.has(Tcb::fin_received) || seq > before || end <= before) return false;
    // It was in the window, or it would not have been kept.
    tcb_.rcv_edge = later(tcb_.rcv_edge, end);
    tcb_.rcv_offered = later(tcb_.rcv_offered, end);
    deliver_in_order(bytes.subspan(static_cast<uint32_t>(before - seq)), out);
    return tcb_.rcv_nxt != before;
}

void TcpEndpoint::deliver_ready(TcpOutput& out) {
    for (Bytes next; !reassembly_.empty() && !(next = reassembly_.ready(tcb_.rcv_nxt)).empty();)
        if (!deliver_in_order(next, out)) return;
    reassembly_.drop_before(tcb_.rcv_nxt);
}

void TcpEndpoint::check_fin(Instant now, TcpOutput& out) {
    if (tcb_.state == TcpState::closed || tcb_.has(Tcb::fin_received) ||
        !reassembly_.is_fin(tcb_.rcv_nxt))
        return;
    reassembly_.clear();
    tcb_.rcv_nxt = tcb_.rcv_nxt + 1;
    become_fin_received(now);
    owe_ack(now, true);
    out.on_tcp_event(TcpEvent::peer_fin);
}

void TcpEndpoint::become_fin_received(Instant now) {
    tcb_.set(Tcb::fin_received);
    if (tcb_.state == TcpState::established) {
        become(tcb_, TcpState::close_wait);
    } else if (tcb_.state == TcpState::fin_wait_1) {
        become(tcb_, TcpState::closing);
    } else if (tcb_.state == TcpState::fin_wait_2) {
        become(tcb_, TcpState::time_wait);
        enter_time_wait(now);
    }
}

// RFC 9293 section 3.8.6.3: at once, or with the second segment, or when the timer says. Where the
// limit keeps the ACK number from moving there is nothing to say: repeating it would look like a
// loss.
void TcpEndpoint::owe_ack(Instant now, bool at_once) {
    if (ack_point() == tcb_.last_ack_sent) return;
    if (at_once || ++tcb_.unacked_segments >= 2) {
        tcb_.set(Tcb::ack_now);
    } else if (tcb_.ack_at == Instant::max()) {
        tcb_.ack_at = now + config_.delayed_ack;
    }
}

// RFC 5961 section 7: so many a second, for this connection alone.
void TcpEndpoint::challenge(Instant now) {
    const uint32_t second = static_cast<uint32_t>(now.ns / 1'000'000'000);
    if (second != tcb_.challenge_second) {
        tcb_.challenge_second = second;
        tcb_.challenges = 0;
    }
    if (tcb_.challenges >= config_.challenges_per_second)
        return void(++pool_.counters.challenges_withheld);
    ++tcb_.challenges;
    ++pool_.counters.challenges;
    tcb_.set(Tcb::ack_now);
}

}  // namespace holdfast
