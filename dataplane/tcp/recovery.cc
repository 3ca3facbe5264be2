// Finding losses and mending them: RACK-TLP (RFC 8985), NewReno where there is no SACK (RFC 6582),
// the retransmission time-out (RFC 6298), Eifel (RFC 3522, RFC 4015), ECN's echo (RFC 3168).
#include <algorithm>

#include "dataplane/tcp/congestion.h"
#include "dataplane/tcp/endpoint.h"
#include "dataplane/tcp/rtt.h"

namespace holdfast {
namespace {
constexpr uint32_t kDuplicateThreshold = 3;  // RFC 5681, RFC 8985
}

// The pipe of RFC 6675: what is taken to be in the network.
uint32_t TcpEndpoint::outstanding() const {
    const uint32_t gone = log_.sacked_bytes() + log_.lost_bytes();
    uint32_t pipe = in_flight() - gone;
    // Without SACK each duplicate says that one segment arrived.
    if (!tcb_.has(Tcb::sack)) pipe -= std::min<uint32_t>(pipe, tcb_.dup_acks * tcb_.mss);
    return pipe;
}

void TcpEndpoint::react_to_ack(const TcpInput& in, uint32_t newly_acked, uint32_t newly_sacked,
                               Instant now) {
    if (in.segment.has(tcp_flag::ece)) take_congestion_echo();
    if (newly_acked == 0 && newly_sacked == 0) return settle_tail_probe(in);

    if (newly_acked > 0) {
        undo_if_spurious(in);
        settle_tail_probe(in);
        const bool reno = !tcb_.has(Tcb::sack);
        if (tcb_.has(Tcb::recovery) && tcb_.snd_una >= tcb_.recover) {
            leave_recovery();
        } else if (tcb_.has(Tcb::recovery) && !tcb_.has(Tcb::after_timeout) && reno &&
                   !log_.empty()) {  // a partial one
            log_.set_lost(*log_.first(), true);
            tcb_.set(Tcb::force_retransmit);
        }
        tcb_.dup_acks = 0;
        const bool grows = !tcb_.has(Tcb::recovery) || tcb_.has(Tcb::after_timeout);
        if (grows && tcb_.has(Tcb::cwnd_limited)) congestion_on_ack(tcb_, newly_acked, now);
    }
    arm_send_timer(now, newly_acked > 0);
    detect_losses(now);
}

void TcpEndpoint::count_duplicate(const TcpInput& in, Instant now) {
    const TcpSegment& s = in.segment;
    const bool pure = in.payload.empty() && !s.has(tcp_flag::fin) && in_flight() > 0 &&
                      static_cast<uint32_t>(s.window) << tcb_.snd_wscale == tcb_.snd_wnd;
    if (tcb_.has(Tcb::sack) || !pure || log_.empty()) return;
    if (tcb_.dup_acks < UINT8_MAX) ++tcb_.dup_acks;
    // RFC 6582 section 3.2, step 2: not for what was sent before the last recovery.
    if (tcb_.dup_acks != kDuplicateThreshold || tcb_.has(Tcb::recovery) ||
        tcb_.snd_una < tcb_.recover)
        return;
    log_.set_lost(*log_.first(), true);
    enter_recovery(now);
}

// RFC 8985 section 6.2.4.
Duration TcpEndpoint::reorder_window() const {
    if (!tcb_.has(Tcb::reordering_seen) &&
        (tcb_.has(Tcb::recovery) || log_.sacked_segments() >= kDuplicateThreshold))
        return {};
    const uint64_t us = uint64_t{tcb_.min_rtt_us} * tcb_.rack_reo_mult / 4;
    return Duration::microseconds(static_cast<int64_t>(std::min<uint64_t>(us, tcb_.srtt_us)));
}

// RFC 8985 section 6.2, step 5: lost is what left long enough before something that arrived.
void TcpEndpoint::detect_losses(Instant now) {
    if (!tcb_.has(Tcb::sack) || !tcb_.has(Tcb::rack_valid)) return;
    if (log_.sacked_segments() == 0 && !tcb_.has(Tcb::recovery)) return;
    const Duration patience = Duration::microseconds(tcb_.rack_rtt_us) + reorder_window();
    bool found = false;
    Instant soonest = Instant::max();
    for (SentSegment* s = log_.first(); s != nullptr; s = s->next) {
        if (s->sacked || s->lost) continue;
        const bool before =
            s->sent < tcb_.rack_sent || (s->sent == tcb_.rack_sent && s->end < tcb_.rack_end);
        if (!before) continue;
        if (s->sent + patience <= now) {
            log_.set_lost(*s, true);
            found = true;
        } else {
            soonest = earlier(soonest, s->sent + patience);
        }
    }
    if (found) enter_recovery(now);
    if (soonest != Instant::max()) {
        tcb_.timer = SendTimer::reorder;
        tcb_.send_at = soonest;
    }
}

void TcpEndpoint::remember_for_undo(Instant now) {
    tcb_.undo_cwnd = tcb_.cwnd;
    tcb_.undo_ssthresh = tcb_.ssthresh;
    tcb_.undo_ts = timestamp_ms(now) + tcb_.ts_offset;
    tcb_.set(Tcb::undo_valid);
}

void TcpEndpoint::enter_recovery(Instant now) {
    if (tcb_.has(Tcb::recovery)) return;
    ++pool_.counters.fast_recoveries;
    remember_for_undo(now);
    congestion_on_loss(tcb_, in_flight());
    tcb_.recover = tcb_.snd_nxt;
    tcb_.set(Tcb::recovery | Tcb::force_retransmit);
    tcb_.clear(Tcb::after_timeout | Tcb::tlp_outstanding);
}

void TcpEndpoint::leave_recovery() {
    // No burst of what the holes had held back (RFC 6582 section 3.2, step 3).
    if (!tcb_.has(Tcb::after_timeout))
        tcb_.cwnd = std::min(tcb_.ssthresh, std::max<uint32_t>(outstanding(), tcb_.mss) + tcb_.mss);
    tcb_.clear(Tcb::recovery | Tcb::after_timeout | Tcb::force_retransmit | Tcb::undo_valid);
    if (tcb_.rack_reo_persist > 0 && --tcb_.rack_reo_persist == 0) tcb_.rack_reo_mult = 1;
}

// The first new acknowledgement after a retransmission echoes the original's timestamp: nothing
// was lost.
void TcpEndpoint::undo_if_spurious(const TcpInput& in) {
    if (!tcb_.has(Tcb::recovery) || !tcb_.has(Tcb::undo_valid)) return;
    tcb_.clear(Tcb::undo_valid);
    const auto& ts = in.options.timestamps;
    if (!tcb_.has(Tcb::timestamps) || !ts || ts->echo == 0 ||
        static_cast<int32_t>(ts->echo - tcb_.undo_ts) >= 0)
        return;
    ++pool_.counters.spurious_recoveries;
    for (SentSegment* s = log_.first(); s != nullptr; s = s->next) log_.set_lost(*s, false);
    tcb_.cwnd = std::max(tcb_.cwnd, tcb_.undo_cwnd);
    tcb_.ssthresh = tcb_.undo_ssthresh;
    tcb_.clear(Tcb::recovery | Tcb::after_timeout | Tcb::force_retransmit);
}

// RFC 8985 section 7.4: a probe that mended the only loss hid it; the network shall know.
void TcpEndpoint::settle_tail_probe(const TcpInput& in) {
    if (!tcb_.has(Tcb::tlp_outstanding) || in.segment.ack < tcb_.tlp_end) return;
    if (!tcb_.has(Tcb::tlp_retransmission)) return tcb_.clear(Tcb::tlp_outstanding);
    if (in.segment.ack > tcb_.tlp_end) {
        tcb_.clear(Tcb::tlp_outstanding);
        if (!tcb_.has(Tcb::recovery)) congestion_on_loss(tcb_, in_flight() + tcb_.mss);
    } else if (in.payload.empty() && in.options.sack_count == 0 && tcb_.snd_una == in.segment.ack &&
               in_flight() == 0) {
        tcb_.clear(Tcb::tlp_outstanding);
    }
}

// RFC 3168 section 6.1.2: as for a loss, once for a window.
void TcpEndpoint::take_congestion_echo() {
    if (!tcb_.has(Tcb::ecn) || tcb_.snd_una < tcb_.ecn_recover) return;
    tcb_.ecn_recover = tcb_.snd_nxt;
    tcb_.set(Tcb::ecn_cwr);
    if (!tcb_.has(Tcb::recovery)) congestion_on_loss(tcb_, in_flight());
}

void TcpEndpoint::on_retransmit_timeout(Instant now, TcpOutput& out) {
    const bool opening = tcb_.state == TcpState::syn_sent || tcb_.state == TcpState::syn_received;
    const Duration patience = opening ? config_.connect_timeout : config_.user_timeout;
    // A peer that shut its window behind what is in flight still answers.
    const Instant since = tcb_.snd_wnd == 0 && !opening ? tcb_.heard_at : tcb_.progress_at;
    if (patience > Duration{} && now - since >= patience) {
        ++pool_.counters.timed_out;
        return close(TcpEvent::timed_out, out);
    }
    ++pool_.counters.retransmission_timeouts;
    if (tcb_.backoff < 30) ++tcb_.backoff;
    if (opening) {
        ++pool_.counters.retransmitted;
        tcb_.set(Tcb::syn_retransmitted);
        return send_syn(now, out);
    }
    if (!log_.empty() && log_.first()->sacked) {  // RFC 2018 section 8
        ++pool_.counters.reneged;
        for (SentSegment* s = log_.first(); s != nullptr; s = s->next) log_.set_sacked(*s, false);
    }
    const bool first = !tcb_.has(Tcb::after_timeout) || tcb_.snd_una >= tcb_.recover;
    if (first) remember_for_undo(now);
    congestion_on_timeout(tcb_, in_flight(), first && !tcb_.has(Tcb::recovery));
    tcb_.recover = tcb_.snd_nxt;
    tcb_.set(Tcb::recovery | Tcb::after_timeout | Tcb::force_retransmit);
    tcb_.clear(Tcb::tlp_outstanding);
    tcb_.dup_acks = 0;
    // RFC 8985 section 6.3: the first, and what left long ago. Without SACK: all.
    const bool sack = tcb_.has(Tcb::sack);
    const Duration patient = Duration::microseconds(tcb_.rack_rtt_us) + reorder_window();
    for (SentSegment* s = log_.first(); s != nullptr; s = s->next)
        if (!s->sacked && (!sack || s == log_.first() || s->sent + patient <= now))
            log_.set_lost(*s, true);
    if (log_.empty()) rewind();
    tcb_.timer = SendTimer::retransmit;
    tcb_.send_at = now + rto();
    flush(now, out);
}

// What is in flight is forgotten and will be sent as if for the first time.
void TcpEndpoint::rewind() {
    log_.clear();
    tcb_.snd_nxt = tcb_.snd_una;
    tcb_.clear(Tcb::tlp_outstanding);
}

// RFC 8985 section 7.3: something new if there is, else the last segment again.
void TcpEndpoint::on_tail_probe(Instant now, TcpOutput& out) {
    ++pool_.counters.tail_probes;
    tcb_.timer = SendTimer::none;
    tcb_.set(Tcb::tlp_outstanding);
    tcb_.clear(Tcb::tlp_retransmission);
    const uint32_t length = next_length();
    if (length == 0 || !send_fresh(length, now, out)) {
        tcb_.set(Tcb::tlp_retransmission);
        SentSegment& last = *log_.last();
        if (last.size() > segment_limit()) log_.split(last, last.end - segment_limit());
        resend(*log_.last(), now, out);
    }
    tcb_.tlp_end = tcb_.snd_nxt;
    tcb_.timer = SendTimer::retransmit;
    tcb_.send_at = now + rto();
}

// RFC 9293 section 3.8.6.1: for ever, as long as the peer answers.
void TcpEndpoint::on_persist(Instant now, TcpOutput& out) {
    if (given_up(tcb_.heard_at, now)) {
        ++pool_.counters.timed_out;
        return close(TcpEvent::timed_out, out);
    }
    if (tcb_.backoff < 30) ++tcb_.backoff;
    tcb_.send_at = now + rto();
    if (send_new(now, out)) return arm_send_timer(now, true);
    if (tcb_.snd_nxt >= send_end()) return arm_send_timer(now, true);
    ++pool_.counters.window_probes;
    // What there is room for, waited long enough for more (RFC 9293 section 3.8.6.2.1) ...
    const int32_t room = tcb_.snd_una + tcb_.snd_wnd - tcb_.snd_nxt;
    const auto most = static_cast<uint32_t>(send_end() - tcb_.snd_nxt);
    if (room > 0) {
        send_fresh(std::min({static_cast<uint32_t>(room), most, segment_limit()}), now, out);
        return arm_send_timer(now, true);
    }
    // ... or one byte beyond, not noted as in flight.
    const uint32_t sent = emit_range(tcb_.snd_nxt, 1, now, out);
    tcb_.snd_max = later(tcb_.snd_max, tcb_.snd_nxt + sent);
}

}  // namespace holdfast
