// What an acknowledgement says: RFC 9293 section 3.10.7.4, fifth step; SACK (RFC 2018, RFC 2883).
#include <algorithm>

#include "dataplane/tcp/congestion.h"
#include "dataplane/tcp/endpoint.h"
#include "dataplane/tcp/rtt.h"

namespace holdfast {
namespace {
// RFC 8985 section 6.2.4.
constexpr uint8_t kReorderPersist = 16, kReorderMaxMult = 16;
}  // namespace

bool TcpEndpoint::check_ack(const TcpInput& in, Instant now, TcpOutput& out) {
    const TcpSegment& s = in.segment;
    if (!s.has(tcp_flag::ack)) {
        ++pool_.counters.ignored;
        return false;
    }
    // RFC 5961 section 5.
    const uint32_t past = std::max<uint32_t>(tcb_.snd_max_wnd, tcb_.mss);
    if (s.ack < tcb_.snd_una - past || (s.ack > tcb_.snd_max && !believe_ack(in, out))) {
        ++pool_.counters.unacceptable_acks;
        challenge(now);
        return false;
    }
    if (tcb_.has(Tcb::relearn) && tcb_.linger_at == Instant::max())
        tcb_.linger_at = now + config_.relearn_for;

    const SeqNum before = tcb_.snd_una;
    const bool news = s.ack > before;
    const uint32_t sacked = take_sack(in, now);
    if (news) advance_una(in, now);
    if (s.ack == before) count_duplicate(in, now);
    take_window(in, news);
    const uint32_t acked = static_cast<uint32_t>(tcb_.snd_una - before);
    react_to_ack(in, acked, sacked, now);
    if (!news) return true;
    out.on_tcp_event(TcpEvent::acked);
    if (tcb_.has(Tcb::fin_queued) && tcb_.snd_una > tcb_.fin_seq && before <= tcb_.fin_seq)
        after_fin_acked(now, out);
    return tcb_.state != TcpState::closed;
}

// An acknowledgement beyond SND.MAX: another node sent that, after it wrote our record.
bool TcpEndpoint::believe_ack(const TcpInput& in, TcpOutput& out) {
    const SeqNum ack = in.segment.ack;
    if (!tcb_.has(Tcb::relearn) || ack - tcb_.snd_max > int32_t{kRelearnBound}) return false;
    if (tcb_.has(Tcb::fin_queued) && ack > tcb_.fin_seq + 1) return false;
    ++pool_.counters.acked_elsewhere;
    if (tcb_.has(Tcb::fin_queued) && ack > tcb_.fin_seq) note_fin_sent();
    tcb_.snd_max = ack;
    out.on_tcp_event(TcpEvent::acked_unsent);
    return true;
}

// WL1 and WL2 keep old segments from bringing old windows back (RFC 9293 section 3.10.7.4); one
// that acknowledges something new is not old, even when its own bytes are.
void TcpEndpoint::take_window(const TcpInput& in, bool news) {
    const TcpSegment& s = in.segment;
    if (s.ack < tcb_.snd_una) return;
    const bool newer =
        news || tcb_.snd_wl1 < s.seq || (tcb_.snd_wl1 == s.seq && tcb_.snd_wl2 <= s.ack);
    if (!newer) return;
    tcb_.snd_wnd = static_cast<uint32_t>(s.window) << tcb_.snd_wscale;
    tcb_.snd_max_wnd = std::max(tcb_.snd_max_wnd, tcb_.snd_wnd);
    tcb_.snd_wl1 = s.seq;
    tcb_.snd_wl2 = s.ack;
}

void TcpEndpoint::advance_una(const TcpInput& in, Instant now) {
    const SeqNum ack = in.segment.ack;
    // Karn: nor of what lay behind a hole that a retransmission filled.
    bool repeated = false;
    uint32_t rtt_us = 0;
    while (!log_.empty() && log_.first()->end <= ack) {
        const SentSegment& s = *log_.first();
        repeated |= s.retransmitted || s.sacked;
        if (!s.sacked) sample(s, in, now);
        if (rtt_us == 0) rtt_us = std::max(elapsed_us(s.sent, now), 1u);
        log_.pop_first();
    }
    if (rtt_us > 0 && !repeated) take_rtt_sample(tcb_, rtt_us, config_);
    if (!log_.empty() && log_.first()->start < ack) log_.cut_first(ack);
    tcb_.snd_una = ack;
    tcb_.snd_nxt = later(tcb_.snd_nxt, ack);
    tcb_.snd_max = later(tcb_.snd_max, ack);
    tcb_.backoff = 0;
    tcb_.progress_at = now;
    const bool fin = tcb_.has(Tcb::fin_queued) && ack > tcb_.fin_seq;
    send_.drop_before(fin ? tcb_.fin_seq : ack);
}

void TcpEndpoint::after_fin_acked(Instant now, TcpOutput& out) {
    out.on_tcp_event(TcpEvent::fin_acked);
    if (tcb_.state == TcpState::fin_wait_1) {
        become(tcb_, TcpState::fin_wait_2);
    } else if (tcb_.state == TcpState::closing) {
        become(tcb_, TcpState::time_wait);
        enter_time_wait(now);
    } else if (tcb_.state == TcpState::last_ack) {
        close(TcpEvent::closed, out);
    }
}

// Bytes newly reported. Blocks outside what is in flight say nothing.
uint32_t TcpEndpoint::take_sack(const TcpInput& in, Instant now) {
    if (!tcb_.has(Tcb::sack)) return 0;
    const auto blocks = in.options.sack_blocks();
    uint32_t newly = 0;
    for (size_t i = 0; i < blocks.size(); ++i) {
        const SackBlock& b = blocks[i];
        const bool within =
            i == 0 && blocks.size() > 1 && b.start >= blocks[1].start && b.end <= blocks[1].end;
        if (b.end <= b.start || b.end > tcb_.snd_nxt) {
            ++pool_.counters.bad_sack_blocks;
        } else if (i == 0 && (b.end <= in.segment.ack || within)) {
            take_duplicate_report(b);
        } else if (b.start > tcb_.snd_una) {
            newly += take_sack_block(b, in, now);
        }
    }
    return newly;
}

uint32_t TcpEndpoint::take_sack_block(const SackBlock& block, const TcpInput& in, Instant now) {
    // Blocks cut where no segment was cut come from who wants us to keep many notes
    // (CVE-2019-11477): there is a limit to how often we follow.
    const uint32_t most = 2 * (in_flight() / tcb_.mss) + 16;
    uint32_t newly = 0;
    for (SentSegment* s = log_.first(); s && s->start < block.end; s = s->next) {
        if (s->end <= block.start || s->sacked) continue;
        if (s->start < block.start) {
            if (log_.segments() >= most || !log_.split(*s, block.start)) continue;
            s = s->next;
        }
        if (s->end > block.end && (log_.segments() >= most || !log_.split(*s, block.end))) break;
        sample(*s, in, now);
        log_.set_sacked(*s, true);
        newly += s->size();
    }
    return newly;
}

// D-SACK: something was sent twice for nothing, so wait longer before calling it lost.
void TcpEndpoint::take_duplicate_report(const SackBlock& block) {
    if (tcb_.has(Tcb::tlp_outstanding) && block.end == tcb_.tlp_end)
        tcb_.clear(Tcb::tlp_outstanding);        // RFC 8985 section 7.4.2: the original had arrived
    if (tcb_.snd_una < tcb_.rack_round) return;  // once a round trip
    tcb_.rack_round = tcb_.snd_nxt;
    tcb_.rack_reo_mult = std::min<uint8_t>(tcb_.rack_reo_mult + 1, kReorderMaxMult);
    tcb_.rack_reo_persist = kReorderPersist;
}

// RFC 8985 section 6.2, steps 1 to 3, for a segment that is reported delivered.
void TcpEndpoint::sample(const SentSegment& s, const TcpInput& in, Instant now) {
    const uint32_t rtt = elapsed_us(s.sent, now);
    if (s.retransmitted) {  // is it the answer to this transmission?
        const auto& ts = in.options.timestamps;
        if (tcb_.has(Tcb::timestamps) && ts) {
            const uint32_t sent = timestamp_ms(s.sent) + tcb_.ts_offset;
            if (static_cast<int32_t>(ts->echo - sent) < 0) return;
        } else if (rtt < tcb_.min_rtt_us) {
            return;
        }
    }
    if (!tcb_.has(Tcb::rack_valid) || rtt < tcb_.min_rtt_us) tcb_.min_rtt_us = rtt;
    if (!tcb_.has(Tcb::rack_valid) || s.sent > tcb_.rack_sent ||
        (s.sent == tcb_.rack_sent && s.end > tcb_.rack_end)) {
        tcb_.rack_sent = s.sent;
        tcb_.rack_end = s.end;
        tcb_.rack_rtt_us = rtt;
    }
    if (!tcb_.has(Tcb::rack_valid) || s.end > tcb_.rack_fack) {
        tcb_.rack_fack = s.end;
    } else if (s.end < tcb_.rack_fack && !s.retransmitted) {
        tcb_.set(Tcb::reordering_seen);
    }
    tcb_.set(Tcb::rack_valid);
}

}  // namespace holdfast
