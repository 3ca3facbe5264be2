#include "dataplane/tcp/reassembly.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace holdfast {
namespace {
SeqNum end_of(const Chunk* c) { return c->seq + c->size(); }
}  // namespace

void Reassembly::clear() {
    while (head_ != nullptr) pool_->release(std::exchange(head_, head_->next));
    tail_ = nullptr;
    pieces_ = 0;
    fin_.reset();
    recent_count_ = 0;
}

void Reassembly::take_over(Reassembly& other) {
    clear();
    head_ = std::exchange(other.head_, nullptr);
    tail_ = std::exchange(other.tail_, nullptr);
    pieces_ = std::exchange(other.pieces_, 0);
    fin_ = std::exchange(other.fin_, {});
    recent_ = other.recent_;
    recent_count_ = std::exchange(other.recent_count_, uint8_t{0});
}

bool Reassembly::insert(SeqNum seq, Bytes bytes, uint32_t max_pieces) {
    if (bytes.empty()) return true;
    const SeqNum came = seq;
    // Mostly what comes continues what came last.
    Chunk* previous = tail_ && end_of(tail_) <= seq ? tail_ : nullptr;
    while (!bytes.empty()) {
        Chunk** link = previous ? &previous->next : &head_;
        Chunk* at = *link;
        if (at && end_of(at) <= seq) {
            previous = at;
            continue;
        }
        size_t n = bytes.size();
        if (at && at->seq <= seq) {  // already here
            n = std::min<size_t>(n, static_cast<uint32_t>(end_of(at) - seq));
        } else {
            if (at) n = std::min<size_t>(n, static_cast<uint32_t>(at->seq - seq));
            if (previous == nullptr || end_of(previous) != seq || previous->room() == 0) {
                Chunk* c = pieces_ < max_pieces ? pool_->allocate() : nullptr;
                if (c == nullptr) return false;
                ++pieces_;
                c->seq = seq;
                c->next = at;
                *link = c;
                if (at == nullptr) tail_ = c;
                previous = c;
            }
            n = std::min<size_t>(n, previous->room());
            std::memcpy(previous->data + previous->end, bytes.data(), n);
            previous->end += static_cast<uint32_t>(n);
            remember(came);
        }
        seq = seq + static_cast<uint32_t>(n);
        bytes = bytes.subspan(n);
    }
    return true;
}

Bytes Reassembly::ready(SeqNum at) const {
    const Chunk* c = head_;
    while (c && end_of(c) <= at) c = c->next;
    if (c == nullptr || c->seq > at) return {};
    const uint32_t skip = static_cast<uint32_t>(at - c->seq);
    return {c->data + c->begin + skip, c->size() - skip};
}

void Reassembly::drop_before(SeqNum seq) {
    while (head_ && end_of(head_) <= seq) {
        pool_->release(std::exchange(head_, head_->next));
        --pieces_;
    }
    if (head_ == nullptr) {
        tail_ = nullptr;
        recent_count_ = 0;
    } else if (head_->seq < seq) {
        head_->begin += static_cast<uint32_t>(seq - head_->seq);
        head_->seq = seq;
    }
}

void Reassembly::remember(SeqNum at) {
    auto end = recent_.begin() + recent_count_;
    auto found = std::find(recent_.begin(), end, at);
    if (found == end) {
        if (recent_count_ < recent_.size()) ++recent_count_;
        found = recent_.begin() + recent_count_ - 1;
    }
    std::move_backward(recent_.begin(), found, found + 1);
    recent_[0] = at;
}

std::optional<SackBlock> Reassembly::block_around(SeqNum at) const {
    const Chunk* c = head_;
    while (c != nullptr) {
        SackBlock block{c->seq, end_of(c)};
        for (c = c->next; c && c->seq == block.end; c = c->next) block.end = end_of(c);
        if (at < block.start) break;
        if (at < block.end) return block;
    }
    return std::nullopt;
}

uint8_t Reassembly::sack_blocks(std::span<SackBlock> to) {
    uint8_t n = 0;
    uint8_t kept = 0;
    for (uint8_t i = 0; i < recent_count_; ++i) {
        const std::optional<SackBlock> block = block_around(recent_[i]);
        if (!block) continue;
        if (std::find(to.begin(), to.begin() + n, *block) != to.begin() + n) continue;
        recent_[kept++] = recent_[i];
        if (n < to.size()) to[n++] = *block;
        if (n == to.size()) {
            // Older ones stay for when there is room.
            while (++i < recent_count_) recent_[kept++] = recent_[i];
        }
    }
    recent_count_ = kept;
    return n;
}

}  // namespace holdfast
