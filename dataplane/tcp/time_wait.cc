#include "dataplane/tcp/time_wait.h"

#include <algorithm>
#include <bit>

namespace holdfast {

TimeWait TimeWait::of(const Tcb& tcb, const TcpConfig& config, Instant now) {
    TimeWait t;
    t.snd_nxt = tcb.snd_nxt;
    t.rcv_nxt = tcb.rcv_nxt;
    t.ts_offset = tcb.ts_offset;
    t.ts_recent = tcb.ts_recent;
    t.timestamps = tcb.has(Tcb::timestamps);
    t.expires = tcb.linger_at == Instant::max() ? now + config.time_wait : tcb.linger_at;
    const auto left = static_cast<uint32_t>(std::max(tcb.rcv_offered - tcb.rcv_nxt, 0));
    t.window = static_cast<uint16_t>(std::min(left >> tcb.rcv_wscale, 65535u));
    return t;
}

TimeWait::Verdict TimeWait::on_segment(const TcpSegment& s, const TcpOptions& o, Duration wait,
                                       Instant now) {
    if (s.has(tcp_flag::rst)) return Verdict::nothing;  // RFC 1337
    if (s.has(tcp_flag::syn) && !s.has(tcp_flag::ack)) {
        // RFC 6191: younger by its timestamp, or by its number where time stood still.
        int32_t younger = s.seq - rcv_nxt;
        if (timestamps && o.timestamps && o.timestamps->value != ts_recent)
            younger = static_cast<int32_t>(o.timestamps->value - ts_recent);
        return younger > 0 ? Verdict::reopen : Verdict::acknowledge;
    }
    if (s.has(tcp_flag::fin) && s.end() == rcv_nxt) {
        expires = now + wait;
        return Verdict::acknowledge;
    }
    // Whoever speaks from elsewhere is told where we were; empty segments from there want nothing.
    return s.length() > 0 || s.seq != rcv_nxt ? Verdict::acknowledge : Verdict::nothing;
}

TcpSegment TimeWait::acknowledgement() const {
    TcpSegment s;
    s.seq = snd_nxt;
    s.ack = rcv_nxt;
    s.flags = tcp_flag::ack;
    s.window = window;
    return s;
}

TcpOptions TimeWait::acknowledgement_options(Instant now) const {
    TcpOptions o;
    if (timestamps) o.timestamps = {timestamp_ms(now) + ts_offset, ts_recent};
    return o;
}

TimeWaitTable::TimeWaitTable(uint32_t capacity, const SipKey& key)
    : key_(key), entries_(capacity), buckets_(std::bit_ceil(std::max(capacity, 1u)), kNone) {
    for (uint32_t i = capacity; i-- > 0;) {
        entries_[i].chain = free_;
        free_ = i;
    }
}

uint32_t& TimeWaitTable::bucket(const TcpTuple& tuple) {
    return buckets_[tuple_hash(key_, tuple, 0x7477) & (buckets_.size() - 1)];
}

void TimeWaitTable::insert(const TcpTuple& tuple, const TimeWait& record) {
    erase(tuple);
    if (free_ == kNone) {
        if (oldest_ == kNone) return;
        remove(oldest_);
        ++evicted_;
    }
    const uint32_t i = free_;
    Entry& e = entries_[i];
    free_ = e.chain;
    uint32_t& head = bucket(tuple);
    e = {tuple, record, head, newest_, kNone};
    head = i;
    (newest_ == kNone ? oldest_ : entries_[newest_].newer) = i;
    newest_ = i;
    ++size_;
}

TimeWait* TimeWaitTable::find(const TcpTuple& tuple) {
    for (uint32_t i = bucket(tuple); i != kNone; i = entries_[i].chain)
        if (entries_[i].tuple == tuple) return &entries_[i].record;
    return nullptr;
}

void TimeWaitTable::erase(const TcpTuple& tuple) {
    for (uint32_t i = bucket(tuple); i != kNone; i = entries_[i].chain)
        if (entries_[i].tuple == tuple) return remove(i);
}

void TimeWaitTable::remove(uint32_t index) {
    Entry& e = entries_[index];
    uint32_t* link = &bucket(e.tuple);
    while (*link != index) link = &entries_[*link].chain;
    *link = e.chain;
    (e.older == kNone ? oldest_ : entries_[e.older].newer) = e.newer;
    (e.newer == kNone ? newest_ : entries_[e.newer].older) = e.older;
    e.chain = free_;
    free_ = index;
    --size_;
}

// In order of insertion: one that began anew keeps those behind it waiting, not longer than once.
void TimeWaitTable::expire(Instant now) {
    while (oldest_ != kNone && entries_[oldest_].record.expires <= now) remove(oldest_);
}

Instant TimeWaitTable::next_deadline() const {
    return oldest_ == kNone ? Instant::max() : entries_[oldest_].record.expires;
}

}  // namespace holdfast
