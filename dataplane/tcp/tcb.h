// The transmission control block: all that one end of a TCP connection knows, but for its bytes.
//
// RFC 9293 section 3.3.1 names the variables, the RFCs beside each group the others. Plain and
// trivially copyable: a copy is a snapshot. The functions on it are TcpEndpoint's and, for whole
// ideas, congestion.h, rtt.h and loss.h. Instants are the clock's that made them; rebase() turns
// them, and the timestamp offset, from one clock's to another's.
#pragma once

#include <cstdint>
#include <type_traits>

#include "base/check.h"
#include "base/time.h"
#include "dataplane/wire/seq_num.h"

namespace holdfast {

enum class TcpState : uint8_t {
    closed,
    syn_sent,
    syn_received,
    established,
    fin_wait_1,
    fin_wait_2,
    close_wait,
    closing,
    last_ack,
    time_wait,
};
inline constexpr uint8_t kTcpStates = 10;
const char* to_string(TcpState state);

// RFC 9293 figure 5, LISTEN left out: whoever listens makes an endpoint for a SYN.
constexpr bool may_become(TcpState from, TcpState to) {
    using enum TcpState;
    if (to == closed) return true;
    switch (from) {
        case closed:
            return to == syn_sent || to == syn_received || to == established;  // by a cookie
        case syn_sent:
            return to == established || to == syn_received;
        case syn_received:
            return to == established || to == fin_wait_1 || to == close_wait;
        case established:
            return to == fin_wait_1 || to == close_wait;
        case fin_wait_1:
            return to == fin_wait_2 || to == closing || to == time_wait;
        case fin_wait_2:
            return to == time_wait;
        case close_wait:
            // With its FIN not acknowledged yet (a limit forbids): as if both had closed at once.
            return to == last_ack || to == closing;
        case closing:
            return to == time_wait;
        case last_ack:
        case time_wait:
            return false;
    }
    return false;
}

// The one timer that drives sending. There is work exactly when it is armed, and then for one
// reason (RFC 6298; RFC 9293 3.8.6.1; RFC 8985 section 7 and its reordering timer).
enum class SendTimer : uint8_t { none, retransmit, persist, tail_probe, reorder };

struct Tcb {
    TcpState state = TcpState::closed;
    SendTimer timer = SendTimer::none;
    uint8_t snd_wscale = 0, rcv_wscale = 0;  // 0 until negotiated
    enum Flag : uint32_t {
        timestamps = 1 << 0,         // negotiated
        sack = 1 << 1,               // negotiated
        ecn = 1 << 2,                // negotiated
        passive = 1 << 3,            // it began with the peer's SYN
        fin_queued = 1 << 4,         // shutdown() was called: fin_seq holds
        fin_received = 1 << 5,       // and everything before it delivered
        limited_ack = 1 << 6,        // ack_limit holds
        limited_send = 1 << 7,       // send_limit holds
        managed_room = 1 << 8,       // the consumer says how much it takes
        ack_now = 1 << 9,            // an ACK is owed, at the next flush
        ecn_echo = 1 << 10,          // ECE until the peer says CWR
        ecn_cwr = 1 << 11,           // CWR on the next new data
        recovery = 1 << 12,          // until snd_una reaches recover
        after_timeout = 1 << 13,     // that recovery began with a time-out
        force_retransmit = 1 << 14,  // one lost segment leaves whatever the congestion window says
        cwnd_limited = 1 << 15,      // the congestion window held something back lately
        rack_valid = 1 << 16,        // rack_* hold
        reordering_seen = 1 << 17,
        tlp_outstanding = 1 << 18,  // tlp_end holds
        tlp_retransmission = 1 << 19,
        relearn = 1 << 20,    // restored from a record that may be old
        ts_marked = 1 << 21,  // ts_mark holds
        ts_recent_valid = 1 << 22,
        peer_closed_told = 1 << 23,  // event peer_fin was given
        time_wait_told = 1 << 24,
        syn_retransmitted = 1 << 25,
        rtt_valid = 1 << 26,
        undo_valid = 1 << 27,  // undo_* hold
        scaled = 1 << 28,      // window scaling negotiated
    };
    uint32_t flags = 0;
    bool has(uint32_t f) const { return (flags & f) != 0; }
    void set(uint32_t f) { flags |= f; }
    void clear(uint32_t f) { flags &= ~f; }

    // Sending. snd_una <= snd_nxt <= snd_max; what lies between snd_nxt and snd_max was sent by a
    // life before this one, or as a probe, and will be sent again.
    SeqNum iss, snd_una, snd_nxt, snd_max;
    SeqNum snd_wl1, snd_wl2;
    uint32_t snd_wnd = 0, snd_max_wnd = 0;
    SeqNum fin_seq;     // the sequence number of our FIN
    SeqNum send_limit;  // bytes from here on are not sent

    // Receiving. last_ack_sent <= rcv_nxt <= rcv_edge; rcv_offered is the right edge as the peer
    // may have seen it and never moves back.
    SeqNum irs, rcv_nxt, ack_limit, last_ack_sent;
    SeqNum rcv_edge, rcv_offered;

    uint16_t peer_mss = 0;  // as announced, or the default
    uint16_t mss = 0;       // payload of a full segment on this path, options not counted

    // RFC 7323. TSval is the milliseconds of the clock plus ts_offset. Under a limit of
    // acknowledgement ts_recent would hardly ever move (section 4.3 looks at segments at
    // last_ack_sent only), so one TSval is kept until the byte it came with is acknowledged.
    uint32_t ts_offset = 0, ts_recent = 0, ts_mark = 0;
    SeqNum ts_mark_seq;
    Instant ts_recent_at;

    // RFC 6298, microseconds.
    uint32_t srtt_us = 0, rttvar_us = 0, rto_us = 0, min_rtt_us = 0;
    uint8_t backoff = 0;
    uint8_t dup_acks = 0;          // RFC 6582, where there is no SACK
    uint8_t rack_reo_mult = 1;     // quarters of min_rtt, RFC 8985 section 6.2.4
    uint8_t rack_reo_persist = 0;  // recoveries for which it stays widened

    // RFC 5681, RFC 9438; bytes.
    uint32_t cwnd = 0, ssthresh = UINT32_MAX, w_max = 0, w_est = 0, cubic_k_ms = 0;
    Instant cubic_epoch;
    SeqNum recover;
    uint32_t undo_cwnd = 0, undo_ssthresh = 0, undo_ts = 0;  // RFC 4015
    SeqNum ecn_recover;                                      // one reduction for a window of marks

    // RFC 8985.
    Instant rack_sent;
    SeqNum rack_end, rack_fack, rack_round, tlp_end;
    uint32_t rack_rtt_us = 0;

    Instant send_at = Instant::max();    // when `timer` fires
    Instant ack_at = Instant::max();     // the delayed ACK
    Instant linger_at = Instant::max();  // end of TIME-WAIT; before that, of relearning
    Instant heard_at;                    // last segment of the peer's
    Instant progress_at;                 // snd_una moved, or began to have something to wait for
    uint32_t challenge_second = 0;
    uint8_t challenges = 0, keepalives = 0, unacked_segments = 0, relearn_probes = 0;
};
static_assert(std::is_trivially_copyable_v<Tcb>);
static_assert(sizeof(Tcb) <= 256);

// While we relearn: how far beyond what we know the peer may speak from, and acknowledge. A record
// lags by a publishing interval, in which a fast path carries far more than a window; no window is
// larger than this (RFC 7323 section 2.2).
inline constexpr uint32_t kRelearnBound = 1u << 30;

inline void become(Tcb& tcb, TcpState to) {
    CHECK(may_become(tcb.state, to));
    tcb.state = to;
}

constexpr uint32_t timestamp_ms(Instant now) {
    return static_cast<uint32_t>(static_cast<uint64_t>(now.ns) / 1'000'000);
}

// Of a record for another clock: `from` there is `to` here. TSval does not change by it.
Tcb rebase(const Tcb& tcb, Instant from, Instant to);

}  // namespace holdfast
