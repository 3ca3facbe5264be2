#include "dataplane/tcp/sent_log.h"

#include <new>
#include <utility>

namespace holdfast {

void SentLog::clear() {
    while (blocks_ != nullptr) pool_->release(std::exchange(blocks_, blocks_->next));
    first_ = last_ = free_ = nullptr;
    sacked_bytes_ = lost_bytes_ = sacked_segments_ = segments_ = 0;
}

void SentLog::take_over(SentLog& other) {
    clear();
    blocks_ = std::exchange(other.blocks_, nullptr);
    free_ = std::exchange(other.free_, nullptr);
    first_ = std::exchange(other.first_, nullptr);
    last_ = std::exchange(other.last_, nullptr);
    sacked_bytes_ = std::exchange(other.sacked_bytes_, 0);
    lost_bytes_ = std::exchange(other.lost_bytes_, 0);
    sacked_segments_ = std::exchange(other.sacked_segments_, 0);
    segments_ = std::exchange(other.segments_, 0);
}

SentSegment* SentLog::allocate() {
    if (free_ == nullptr) {
        Chunk* block = pool_->allocate();
        if (block == nullptr) return nullptr;
        block->next = std::exchange(blocks_, block);
        for (size_t at = 0; at + sizeof(SentSegment) <= Chunk::kCapacity; at += sizeof(SentSegment))
            release(new (block->data + at) SentSegment{});
    }
    return std::exchange(free_, free_->next);
}

void SentLog::release(SentSegment* s) { s->next = std::exchange(free_, s); }

bool SentLog::append(SeqNum start, SeqNum end, Instant sent) {
    SentSegment* s = allocate();
    if (s == nullptr) return false;
    *s = {start, end, sent, nullptr, false, false, false};
    (last_ ? last_->next : first_) = s;
    last_ = s;
    ++segments_;
    return true;
}

bool SentLog::split(SentSegment& segment, SeqNum at) {
    SentSegment* rest = allocate();
    if (rest == nullptr) return false;
    *rest = segment;
    rest->start = segment.end = at;
    segment.next = rest;
    if (last_ == &segment) last_ = rest;
    ++segments_;
    if (segment.sacked) ++sacked_segments_;
    return true;
}

void SentLog::pop_first() {
    SentSegment* s = first_;
    set_sacked(*s, false);
    set_lost(*s, false);
    first_ = s->next;
    --segments_;
    if (first_ == nullptr) return clear();
    release(s);
}

void SentLog::cut_first(SeqNum start) {
    SentSegment& s = *first_;
    const uint32_t n = static_cast<uint32_t>(start - s.start);
    if (s.sacked) sacked_bytes_ -= n;
    if (s.lost) lost_bytes_ -= n;
    s.start = start;
}

void SentLog::set_sacked(SentSegment& s, bool sacked) {
    if (s.sacked == sacked) return;
    if (sacked) set_lost(s, false);
    s.sacked = sacked;
    sacked_bytes_ += sacked ? s.size() : 0u - s.size();
    sacked_segments_ += sacked ? 1u : 0u - 1u;
}

void SentLog::set_lost(SentSegment& s, bool lost) {
    if (s.lost == lost) return;
    s.lost = lost;
    lost_bytes_ += lost ? s.size() : 0u - s.size();
}

}  // namespace holdfast
