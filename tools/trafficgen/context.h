// What both ends of all sessions share, and how either of them puts a segment on its way.
#pragma once

#include "base/timer_wheel.h"
#include "tools/trafficgen/addresses.h"
#include "tools/trafficgen/failover_detector.h"
#include "tools/trafficgen/frame_out.h"
#include "tools/trafficgen/gen_counters.h"
#include "tools/trafficgen/histogram.h"
#include "tools/trafficgen/neighbors.h"
#include "tools/trafficgen/pattern.h"
#include "tools/trafficgen/profile.h"
#include "tools/trafficgen/transfer.h"

namespace holdfast::gen {

struct Latencies {
    Histogram connect;   // from when the SYN was due to the SYN-ACK
    Histogram answer;    // from when the request was due to its answer
    Histogram complete;  // from when the SYN was due to the last answer, where there is a last one
};

struct Context {
    const Addresses& addresses;
    const ClassTable& classes;
    uint64_t seed;
    TransferLimits limits;
    Duration timeout;  // of a segment, doubled each time
    FrameOut& out;
    Neighbors& neighbors;
    GenCounters& counters;
    FailoverDetector& detector;
    Latencies& latencies;
};

inline constexpr uint8_t kMostTries = 7;  // 200 ms doubled so often: 25 s
inline constexpr uint32_t kTimerSlots = 16'384;
inline constexpr Duration kTimerTick = Duration::milliseconds(1);
inline constexpr unsigned kTimersAtOnce = 256;  // so that frames are not kept waiting

// Of one segment: how it gets there.
struct Path {
    const Hop* hop = nullptr;
    Endpoint from, to;
};

inline bool say(Context& c, const Path& path, const SegmentOut& s) {
    if (path.hop == nullptr) return ++c.counters.tx_unresolved, false;
    return send_segment(c.out, *path.hop, path.from, path.to, s);
}
inline void say_ack(Context& c, const Path& path, const Transfer& t) {
    say(c, path, {.seq = t.seq_of(t.nxt), .ack = t.rcv_nxt()});
}
// All that may go now, of a stream; false when nothing went.
inline bool say_octets(Context& c, const Path& path, Transfer& t, const Stream& stream) {
    if (path.hop == nullptr) return ++c.counters.tx_unresolved, false;
    return pump(t, c.limits, [&](uint32_t offset, uint32_t length, bool fin) {
               SegmentOut s{.flags = tcp_flag::ack, .seq = t.seq_of(offset), .ack = t.rcv_nxt()};
               if (length > 0) s.flags |= tcp_flag::psh;
               if (fin) s.flags |= tcp_flag::fin;
               s.payload = length;
               c.counters.payload_sent += length;
               return send_segment(c.out, *path.hop, path.from, path.to, s,
                                   [&](MutableBytes to) { stream.fill(offset, to); });
           }) > 0;
}
// A RST that answers a segment which belongs to nothing (RFC 9293 section 3.10.7.1).
inline void say_reset(Context& c, const Path& path, const TcpSegment& s) {
    if (s.has(tcp_flag::rst)) return;
    SegmentOut r{.flags = tcp_flag::rst, .seq = s.ack, .window = 0};
    if (!s.has(tcp_flag::ack)) {
        r.flags |= tcp_flag::ack;
        r.seq = {0};
        r.ack = s.end();
    }
    say(c, path, r);
}
// Octets, or a RST, near what we would take: not of another connection. A RST is believed at
// exactly the next octet; one nearby is challenged by an acknowledgement (RFC 5961 section 3.2).
inline bool data_fits(const Transfer& t, const TcpSegment& s) {
    return offset_of(t, s) - t.got + (1u << 20) < (1u << 21);
}

// Octets a connection has had already are nobody's any more: an appliance may ask by one where its
// reader stands. They are counted apart.
inline void check_octets(Context& c, const Transfer& t, const Stream& stream, const TcpSegment& s,
                         Bytes payload) {
    uint32_t offset = offset_of(t, s);
    const auto behind = static_cast<int32_t>(t.got - offset);
    const size_t old = std::min<size_t>(static_cast<size_t>(std::max(behind, 0)), payload.size());
    if (old > 0) c.counters.wrong_old_octets += stream.wrong(offset, payload.first(old));
    offset += static_cast<uint32_t>(old);
    c.counters.wrong_octets += stream.wrong(offset, payload.subspan(old));
}

}  // namespace holdfast::gen
