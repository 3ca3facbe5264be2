// One end of a TCP connection, as little of RFC 9293 as a generator needs: octets in order, an
// acknowledgement for every segment with data, retransmission from the first octet that is missing
// (go-back-N), a fixed timer that doubles. No congestion control: the rate is the schedule's.
//
// What an end says is a function of the offset (pattern.h), so nothing is buffered. Offsets are of
// octets after the SYN, modulo 2^32; a FIN counts one. Plain state and functions on it: time comes
// in, segments to send go out as offset and length. Out-of-order octets are checked, not kept.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/time.h"
#include "dataplane/wire/tcp_segment.h"
#include "tools/trafficgen/gen_counters.h"

namespace holdfast::gen {

// Times within a session: microseconds, a lap of 71 minutes.
constexpr uint32_t micros(Instant t) { return static_cast<uint32_t>(t.ns / 1000); }
constexpr Duration since(uint32_t then_us, Instant now) {
    return Duration::microseconds(micros(now) - then_us);
}

enum class FlowState : uint8_t { closed, opening, established, time_wait };

struct Transfer {
    uint32_t iss = 0, irs = 0;  // initial sequence numbers, ours and the peer's
    uint32_t una = 0, nxt = 0;  // of ours: acknowledged up to; sent up to
    uint32_t due = 0;           // of ours: to be sent by now
    uint32_t got = 0;           // of the peer's, in order
    uint32_t since_us = 0;      // last progress, or when we began to wait for it
    uint16_t window = 0;        // the peer's
    FlowState state = FlowState::closed;
    uint8_t flags = 0;
    uint8_t level = 0;  // how often in a row it was retransmitted
    uint8_t dup_acks = 0;
    uint8_t incarnation = 0;  // of the session
    uint8_t server = 0;       // which of the servers

    static constexpr uint8_t kFinWanted = 1, kPeerFin = 2, kKnown = 4;
    bool has(uint8_t flag) const { return (flags & flag) != 0; }
    void set(uint8_t flag) { flags |= flag; }
    void reset(uint8_t flag) { flags &= static_cast<uint8_t>(~flag); }

    // Where our stream ends as far as we know, with the FIN.
    uint32_t end() const { return due + has(kFinWanted); }
    bool waiting() const { return una != end(); }
    bool fin_acked() const { return has(kFinWanted) && una == end(); }
    uint32_t octets_got() const { return got - has(kPeerFin); }
    SeqNum seq_of(uint32_t offset) const { return {iss + 1 + offset}; }
    SeqNum rcv_nxt() const { return {irs + 1 + got}; }
};

// After a SYN was acknowledged.
inline void establish(Transfer& t, uint32_t irs, uint16_t window, Instant now) {
    t.irs = irs;
    t.window = window;
    t.state = FlowState::established;
    t.level = 0;
    t.since_us = micros(now);
}

// Back to the first octet that is missing.
inline void rewind(Transfer& t, GenCounters& counters) {
    counters.resent_octets += t.nxt - t.una;
    t.nxt = t.una;
}

enum class AckStep : uint8_t { nothing, progress, resend };

inline AckStep take_ack(Transfer& t, const TcpSegment& s, GenCounters& counters, Instant now) {
    if (!s.has(tcp_flag::ack)) return AckStep::nothing;
    const uint32_t acked = s.ack.value - (t.iss + 1);
    if (t.end() - acked > t.end() - t.una) return AckStep::nothing;  // old, or never sent
    t.window = s.window;
    if (acked != t.una) {
        if (acked - t.una > t.nxt - t.una) t.nxt = acked;  // sent before it was sent again
        t.una = acked;
        t.level = t.dup_acks = 0;
        t.since_us = micros(now);
        return AckStep::progress;
    }
    if (s.length() > 0 || t.nxt == t.una) return AckStep::nothing;
    if (++t.dup_acks != 3) return AckStep::nothing;
    ++counters.fast_retransmissions;
    rewind(t, counters);
    return AckStep::resend;
}

struct DataStep {
    bool answer = false;  // must be acknowledged, at once
    bool fin = false;     // the peer's FIN, in order
    uint32_t fresh = 0;   // octets
};

// The payload was checked by the caller; this is where it lies in the stream.
inline uint32_t offset_of(const Transfer& t, const TcpSegment& s) {
    return s.seq.value - (t.irs + 1);
}

inline DataStep take_data(Transfer& t, const TcpSegment& s, GenCounters& counters) {
    DataStep step;
    const uint32_t at = offset_of(t, s);
    const auto ahead = static_cast<int32_t>(at - t.got);
    // A segment without data that is not where it should be is a probe (RFC 9293 section 3.10.7.4).
    if (s.length() == 0) return step.answer = ahead != 0, step;
    step.answer = true;
    if (ahead > 0) return ++counters.out_of_order, step;
    const auto fresh = static_cast<int32_t>(s.length()) + ahead;
    if (fresh <= 0) return ++counters.repeated, step;
    t.got += static_cast<uint32_t>(fresh);
    step.fin = s.has(tcp_flag::fin);
    if (step.fin) t.set(Transfer::kPeerFin);
    step.fresh = static_cast<uint32_t>(fresh) - step.fin;
    return step;
}

struct TransferLimits {
    uint32_t mss = 1460;
    uint32_t in_flight = 32'768;  // octets at most, whatever the peer's window
};

// Calls send(offset, length, fin) for each segment that may go now; returns how many went. send()
// says whether it was taken.
template <typename Send>
unsigned pump(Transfer& t, const TransferLimits& limits, Send&& send) {
    unsigned sent = 0;
    // After a timeout the first segment alone, until it is acknowledged.
    const uint32_t most = t.level > 0 ? 1 : std::min<uint32_t>(t.window, limits.in_flight);
    while (t.nxt != t.end() && t.nxt - t.una < most) {
        const uint32_t left = t.due - t.nxt;
        const uint32_t room = t.level > 0 ? limits.mss : most - (t.nxt - t.una);
        const uint32_t length = std::min({left, limits.mss, room});
        const bool fin = t.has(Transfer::kFinWanted) && length == left;
        if (!send(t.nxt, length, fin)) return sent;
        t.nxt += length + fin;
        ++sent;
    }
    return sent;
}

}  // namespace holdfast::gen
