#include "dataplane/tcp/send_queue.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace holdfast {

void SendQueue::reset(SeqNum first) {
    while (head_ != nullptr) pool_->release(std::exchange(head_, head_->next));
    tail_ = nullptr;
    cursor_ = {};
    begin_ = end_ = first;
}

void SendQueue::take_over(SendQueue& other) {
    reset(other.begin_);
    end_ = other.end_;
    head_ = std::exchange(other.head_, nullptr);
    tail_ = std::exchange(other.tail_, nullptr);
    other.cursor_ = {};
}

size_t SendQueue::append(Bytes bytes) {
    size_t taken = 0;
    while (taken < bytes.size()) {
        if (tail_ == nullptr || tail_->room() == 0) {
            Chunk* c = pool_->allocate();
            if (c == nullptr) break;
            (tail_ ? tail_->next : head_) = c;
            tail_ = c;
        }
        const size_t n = std::min<size_t>(tail_->room(), bytes.size() - taken);
        std::memcpy(tail_->data + tail_->end, bytes.data() + taken, n);
        tail_->end += static_cast<uint32_t>(n);
        taken += n;
    }
    end_ = end_ + static_cast<uint32_t>(taken);
    return taken;
}

void SendQueue::drop_before(SeqNum upto) {
    if (upto >= end_) return reset(upto);
    while (begin_ < upto) {
        const uint32_t n = std::min(head_->size(), static_cast<uint32_t>(upto - begin_));
        head_->begin += n;
        begin_ = begin_ + n;
        if (head_->size() > 0) {
            if (cursor_.chunk == head_) cursor_.start = begin_;
            break;
        }
        if (cursor_.chunk == head_) cursor_ = {};
        pool_->release(std::exchange(head_, head_->next));
    }
}

SendQueue::View SendQueue::view(SeqNum from, uint32_t length) {
    View v;
    if (from >= end_ || from < begin_) return v;
    length = std::min(length, static_cast<uint32_t>(end_ - from));
    if (cursor_.chunk == nullptr || from < cursor_.start) cursor_ = {head_, begin_};
    while (static_cast<uint32_t>(from - cursor_.start) >= cursor_.chunk->size())
        cursor_ = {cursor_.chunk->next, cursor_.start + cursor_.chunk->size()};
    const Chunk* c = cursor_.chunk;
    uint32_t at = c->begin + static_cast<uint32_t>(from - cursor_.start);
    for (Bytes& piece : v.pieces) {
        const uint32_t n = std::min(length - v.size, c->end - at);
        piece = {c->data + at, n};
        v.size += n;
        c = c->next;
        if (v.size == length || c == nullptr) break;
        at = c->begin;
    }
    return v;
}

}  // namespace holdfast
