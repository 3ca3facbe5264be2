// The bytes of a connection's sending side that are not acknowledged yet: [begin, end) in sequence
// numbers, SYN and FIN not among them.
//
// Appending copies into chunks, acknowledging gives chunks back, viewing gives at most two pieces
// without copying. Positions asked for in rising order are found at once, others by a walk. Empty,
// it holds no chunk.
#pragma once

#include <array>

#include "base/bytes.h"
#include "dataplane/tcp/chunk_pool.h"

namespace holdfast {

class SendQueue {
public:
    explicit SendQueue(ChunkPool& pool) : pool_(&pool) {}
    ~SendQueue() { reset({}); }
    SendQueue(const SendQueue&) = delete;
    SendQueue& operator=(const SendQueue&) = delete;

    // Empty; the next byte appended will be `first`.
    void reset(SeqNum first);
    void take_over(SendQueue& other);

    SeqNum begin() const { return begin_; }
    SeqNum end() const { return end_; }
    uint32_t size() const { return static_cast<uint32_t>(end_ - begin_); }
    uint32_t tail_room() const { return tail_ ? tail_->room() : 0; }

    // As much as the pool has chunks for.
    size_t append(Bytes bytes);
    void drop_before(SeqNum upto);

    struct View {
        std::array<Bytes, 2> pieces;
        uint32_t size = 0;
        std::span<const Bytes> span() const {
            return std::span(pieces).first(pieces[0].empty() ? 0 : pieces[1].empty() ? 1 : 2);
        }
    };
    // From `from` (begin to end), at most `length` bytes; less when that would take a third piece.
    View view(SeqNum from, uint32_t length);

private:
    struct Cursor {
        Chunk* chunk = nullptr;
        SeqNum start;  // of the chunk's first byte
    };
    ChunkPool* pool_;
    Chunk *head_ = nullptr, *tail_ = nullptr;
    SeqNum begin_, end_;
    Cursor cursor_;
};

}  // namespace holdfast
