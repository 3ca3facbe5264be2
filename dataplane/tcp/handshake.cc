// Opening: RFC 9293 sections 3.10.1, 3.10.7.3 (SYN-SENT) and the SYN-RECEIVED parts of 3.10.7.4.
#include <algorithm>

#include "dataplane/tcp/congestion.h"
#include "dataplane/tcp/endpoint.h"
#include "dataplane/tcp/rtt.h"
#include "dataplane/tcp/syn_cookie.h"

namespace holdfast {
namespace {
// No peer makes us send a segment for a handful of bytes (CVE-2019-11479); Linux has 48 as well.
constexpr uint16_t kMinPeerMss = 48;
constexpr uint32_t kMaxSynWindow = 65535;
// RFC 6298 section 5.7: the timer of the first data after a SYN was sent again.
constexpr uint32_t kRtoAfterLostSynUs = 3'000'000;
}  // namespace

void TcpEndpoint::begin(const TcpOpening& opening, Instant now) {
    tcb_ = Tcb{};
    tcb_.iss = tcb_.snd_una = tcb_.snd_nxt = tcb_.snd_max = tcb_.recover = opening.iss;
    tcb_.ts_offset = opening.ts_offset;
    tcb_.rto_us = static_cast<uint32_t>(config_.initial_rto.as_microseconds());
    tcb_.mss = config_.mss;
    tcb_.heard_at = tcb_.progress_at = now;
    send_.reset(opening.iss + 1);
    log_.clear();
    reassembly_.clear();
    duplicate_.reset();
}

void TcpEndpoint::connect(const TcpOpening& opening, Instant now, TcpOutput& out) {
    begin(opening, now);
    become(tcb_, TcpState::syn_sent);
    send_syn(now, out);
}

void TcpEndpoint::accept(const TcpInput& syn, const TcpOpening& opening, Instant now,
                         TcpOutput& out) {
    begin(opening, now);
    tcb_.set(Tcb::passive);
    const TcpSegment& s = syn.segment;
    if (config_.ecn && s.has(tcp_flag::ece) && s.has(tcp_flag::cwr)) tcb_.set(Tcb::ecn);
    take_syn(syn, now);
    become(tcb_, TcpState::syn_received);
    send_syn(now, out);
}

void TcpEndpoint::accept_cookie(const TcpInput& ack, const CookieOptions& cookie,
                                const TcpOpening& opening, Instant now, TcpOutput& out) {
    begin(opening, now);
    tcb_.set(Tcb::passive);
    // The SYN as it must have been.
    TcpSegment syn = ack.segment;
    syn.seq = ack.segment.seq - 1;
    TcpOptions options;
    options.mss = cookie.mss;
    options.window_scale = cookie.window_scale;
    options.sack_permitted = cookie.sack;
    options.timestamps = ack.options.timestamps;
    take_syn({syn, options, {}}, now);
    if (cookie.ecn && config_.ecn) tcb_.set(Tcb::ecn);
    tcb_.snd_nxt = tcb_.snd_max = tcb_.iss + 1;
    become(tcb_, TcpState::syn_received);
    on_segment(ack, now, out);
}

void TcpEndpoint::take_syn(const TcpInput& syn, Instant now) {
    const TcpSegment& s = syn.segment;
    const TcpOptions& o = syn.options;
    tcb_.irs = s.seq;
    tcb_.rcv_nxt = tcb_.last_ack_sent = s.seq + 1;
    tcb_.rcv_edge = tcb_.rcv_nxt + config_.receive_buffer;
    tcb_.rcv_offered = tcb_.rcv_nxt + std::min(config_.receive_buffer, kMaxSynWindow);
    tcb_.peer_mss = std::max(o.mss.value_or(config_.default_mss), kMinPeerMss);
    tcb_.mss = std::min(config_.mss, tcb_.peer_mss);
    if (config_.sack && o.sack_permitted) tcb_.set(Tcb::sack);
    if (config_.scale_windows && o.window_scale) {
        tcb_.set(Tcb::scaled);
        tcb_.snd_wscale = *o.window_scale;
        tcb_.rcv_wscale = config_.window_scale();
    }
    if (config_.timestamps && o.timestamps) {
        tcb_.set(Tcb::timestamps | Tcb::ts_recent_valid);
        tcb_.ts_recent = o.timestamps->value;
        tcb_.ts_recent_at = now;
    }
    tcb_.snd_wnd = tcb_.snd_max_wnd = s.window;  // of a SYN: not scaled (RFC 7323 section 2.2)
    tcb_.snd_wl1 = s.seq;
    tcb_.snd_wl2 = s.ack;
}

void TcpEndpoint::send_syn(Instant now, TcpOutput& out) {
    const bool active = tcb_.state == TcpState::syn_sent;
    TcpSegment h;
    h.seq = tcb_.iss;
    h.flags = tcp_flag::syn;
    TcpOptions o;
    o.mss = config_.mss;
    o.sack_permitted = active ? config_.sack : tcb_.has(Tcb::sack);
    if (active ? config_.scale_windows : tcb_.has(Tcb::scaled))
        o.window_scale = config_.window_scale();
    if (active ? config_.timestamps : tcb_.has(Tcb::timestamps))
        o.timestamps = {timestamp_ms(now) + tcb_.ts_offset, active ? 0 : tcb_.ts_recent};
    uint32_t window = config_.receive_buffer;
    if (active) {
        // A SYN that was not answered is tried without ECN (RFC 3168 section 6.1.1.1).
        if (config_.ecn && !tcb_.has(Tcb::syn_retransmitted))
            h.flags |= tcp_flag::ece | tcp_flag::cwr;
    } else {
        h.flags |= tcp_flag::ack;
        h.ack = tcb_.rcv_nxt;
        window = static_cast<uint32_t>(tcb_.rcv_offered - tcb_.rcv_nxt);
        if (tcb_.has(Tcb::ecn)) h.flags |= tcp_flag::ece;
    }
    h.window = static_cast<uint16_t>(std::min(window, kMaxSynWindow));
    tcb_.snd_nxt = tcb_.snd_max = tcb_.iss + 1;
    ++pool_.counters.segments_out;
    out.transmit(*this, h, o, {});
    arm_send_timer(now, true);
}

void TcpEndpoint::on_segment_syn_sent(const TcpInput& in, Instant now, TcpOutput& out) {
    const TcpSegment& s = in.segment;
    const bool acks = s.has(tcp_flag::ack);
    if (acks && (s.ack <= tcb_.iss || s.ack > tcb_.snd_max)) {
        if (!s.has(tcp_flag::rst)) send_reset(s.ack, false, now, out);
        return;
    }
    if (s.has(tcp_flag::rst)) {
        if (!acks) return void(++pool_.counters.resets_ignored);
        ++pool_.counters.resets_in;
        return close(TcpEvent::refused, out);
    }
    if (!s.has(tcp_flag::syn)) return void(++pool_.counters.ignored);

    take_syn(in, now);
    if (!acks) {  // simultaneous open
        become(tcb_, TcpState::syn_received);
        return send_syn(now, out);
    }
    if (config_.ecn && s.has(tcp_flag::ece) && !s.has(tcp_flag::cwr)) tcb_.set(Tcb::ecn);
    establish(in, now, out);
    tcb_.set(Tcb::ack_now);
    take_text(in, now, out);
    check_fin(now, out);
}

void TcpEndpoint::on_segment_syn_received(const TcpInput& in, Instant now, TcpOutput& out) {
    const TcpSegment& s = in.segment;
    const bool syn = s.has(tcp_flag::syn) && s.seq == tcb_.irs;
    if (syn && !s.has(tcp_flag::ack)) return send_syn(now, out);  // ours was lost
    // A SYN-ACK to our SYN, both having opened at once: its SYN is known, the rest is news.
    if (!syn) {
        if (!check_sequence(in, now) || !check_reset(in, now, out)) return;
        if (s.has(tcp_flag::syn)) return challenge(now);
    }
    if (!s.has(tcp_flag::ack)) return void(++pool_.counters.ignored);
    if (s.ack <= tcb_.snd_una || s.ack > tcb_.snd_max) return send_reset(s.ack, false, now, out);
    if (syn) tcb_.set(Tcb::ack_now);
    take_timestamp(in, now);
    establish(in, now, out);
    take_text(in, now, out);
    check_fin(now, out);
}

void TcpEndpoint::establish(const TcpInput& in, Instant now, TcpOutput& out) {
    const TcpSegment& s = in.segment;
    tcb_.snd_una = tcb_.snd_nxt = s.ack;
    const bool syn = s.has(tcp_flag::syn);
    tcb_.snd_wnd = syn ? s.window : static_cast<uint32_t>(s.window) << tcb_.snd_wscale;
    tcb_.snd_max_wnd = std::max(tcb_.snd_max_wnd, tcb_.snd_wnd);
    tcb_.snd_wl1 = s.seq;
    tcb_.snd_wl2 = s.ack;
    if (tcb_.has(Tcb::syn_retransmitted)) {
        tcb_.rto_us = std::max(tcb_.rto_us, kRtoAfterLostSynUs);
    } else if (now > tcb_.progress_at) {  // not with a cookie
        take_rtt_sample(tcb_, elapsed_us(tcb_.progress_at, now), config_);
    }
    tcb_.backoff = 0;
    tcb_.timer = SendTimer::none;
    tcb_.send_at = Instant::max();
    tcb_.progress_at = now;
    congestion_begin(tcb_, config_);
    become(tcb_, TcpState::established);
    ++pool_.counters.established;
    out.on_tcp_event(TcpEvent::established);
}

}  // namespace holdfast
