// What is in flight: one note for each segment sent and not cumulatively acknowledged, in sequence
// order, with the time it last left. The scoreboard of RFC 6675 and RFC 8985.
//
// Notes lie in chunks that the log keeps until it is empty. When no note is to be had, append()
// and split() say so and nothing changes.
#pragma once

#include "base/time.h"
#include "dataplane/tcp/chunk_pool.h"

namespace holdfast {

struct SentSegment {
    SeqNum start, end;  // SYN and FIN count
    Instant sent;       // last
    SentSegment* next;
    bool sacked, lost;  // lost: given up, and not sent again yet
    bool retransmitted;

    uint32_t size() const { return static_cast<uint32_t>(end - start); }
};

class SentLog {
public:
    explicit SentLog(ChunkPool& pool) : pool_(&pool) {}
    ~SentLog() { clear(); }
    SentLog(const SentLog&) = delete;
    SentLog& operator=(const SentLog&) = delete;

    void clear();
    void take_over(SentLog& other);

    bool append(SeqNum start, SeqNum end, Instant sent);
    // [start, at) stays, [at, end) becomes a note of its own behind it.
    bool split(SentSegment& segment, SeqNum at);
    void pop_first();
    void cut_first(SeqNum start);  // its beginning was acknowledged

    SentSegment* first() { return first_; }
    SentSegment* last() { return last_; }
    bool empty() const { return first_ == nullptr; }

    void set_sacked(SentSegment& s, bool sacked);
    void set_lost(SentSegment& s, bool lost);
    uint32_t sacked_bytes() const { return sacked_bytes_; }
    uint32_t lost_bytes() const { return lost_bytes_; }
    uint32_t sacked_segments() const { return sacked_segments_; }
    uint32_t segments() const { return segments_; }

private:
    SentSegment* allocate();
    void release(SentSegment* s);

    ChunkPool* pool_;
    Chunk* blocks_ = nullptr;
    SentSegment* free_ = nullptr;
    SentSegment *first_ = nullptr, *last_ = nullptr;
    uint32_t sacked_bytes_ = 0, lost_bytes_ = 0, sacked_segments_ = 0, segments_ = 0;
};

}  // namespace holdfast
