// TIME-WAIT for many: what is left of a connection for two MSL after its end, in a small record,
// and a table of them (RFC 9293 section 3.10.7.4, RFC 1337, RFC 6191).
//
// An endpoint can sit its TIME-WAIT out by itself; this is for those who would rather have its
// memory back. The table is bounded: when full, the oldest makes room, and is counted. No
// allocation after construction.
#pragma once

#include <optional>
#include <vector>

#include "dataplane/tcp/config.h"
#include "dataplane/tcp/initial_sequence.h"
#include "dataplane/wire/tcp_segment.h"

namespace holdfast {

struct TimeWait {
    SeqNum snd_nxt, rcv_nxt;
    uint32_t ts_offset = 0, ts_recent = 0;
    Instant expires;
    uint16_t window = 0;  // as it goes into the header
    bool timestamps = false;

    static TimeWait of(const Tcb& tcb, const TcpConfig& config, Instant now);

    enum class Verdict : uint8_t { nothing, acknowledge, reopen };
    // `reopen`: a SYN that cannot be of the old connection; it may be accepted. A FIN that is
    // acknowledged begins the wait anew.
    Verdict on_segment(const TcpSegment& s, const TcpOptions& o, Duration time_wait, Instant now);
    TcpSegment acknowledgement() const;
    TcpOptions acknowledgement_options(Instant now) const;
    // The number with which the next connection may begin, `proposed` if that is beyond the old.
    SeqNum next_iss(SeqNum proposed) const { return later(proposed, snd_nxt + 65535 + 2); }
};
static_assert(sizeof(TimeWait) <= 32);

class TimeWaitTable {
public:
    TimeWaitTable(uint32_t capacity, const SipKey& key);

    void insert(const TcpTuple& tuple, const TimeWait& record);
    TimeWait* find(const TcpTuple& tuple);
    void erase(const TcpTuple& tuple);
    // Those that are over; call now and then.
    void expire(Instant now);
    Instant next_deadline() const;
    uint32_t size() const { return size_; }
    uint64_t evicted() const { return evicted_; }

private:
    static constexpr uint32_t kNone = UINT32_MAX;
    struct Entry {
        TcpTuple tuple;
        TimeWait record;
        uint32_t chain = kNone;                 // next of the bucket, or of the free ones
        uint32_t older = kNone, newer = kNone;  // in order of insertion
    };
    uint32_t& bucket(const TcpTuple& tuple);
    void remove(uint32_t index);

    SipKey key_;
    std::vector<Entry> entries_;
    std::vector<uint32_t> buckets_;  // a power of two
    uint32_t free_ = kNone, oldest_ = kNone, newest_ = kNone, size_ = 0;
    uint64_t evicted_ = 0;
};

}  // namespace holdfast
