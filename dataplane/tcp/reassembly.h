// Bytes that arrived before those that precede them, and a FIN that did. Data in order never comes
// through here.
//
// Ranges are kept in sequence order in chunks, the first arrival of a byte counts. Bounded by
// pieces and by the pool; what finds no room is as if it had been lost on the way. All of it may be
// forgotten at any time (RFC 2018 section 8): nothing here was acknowledged cumulatively.
#pragma once

#include <array>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "dataplane/tcp/chunk_pool.h"
#include "dataplane/wire/tcp_segment.h"

namespace holdfast {

class Reassembly {
public:
    explicit Reassembly(ChunkPool& pool) : pool_(&pool) {}
    ~Reassembly() { clear(); }
    Reassembly(const Reassembly&) = delete;
    Reassembly& operator=(const Reassembly&) = delete;

    void clear();
    void take_over(Reassembly& other);

    // False when some of it found no room.
    bool insert(SeqNum seq, Bytes bytes, uint32_t max_pieces);
    void insert_fin(SeqNum seq) { fin_ = seq; }
    bool is_fin(SeqNum seq) const { return fin_ && *fin_ == seq; }

    // The next bytes if they begin at or before `at`, else empty; drop_before() lets them go.
    Bytes ready(SeqNum at) const;
    void drop_before(SeqNum seq);

    bool empty() const { return head_ == nullptr; }
    uint32_t pieces() const { return pieces_; }
    SeqNum first() const { return head_->seq; }

    // The block that changed last comes first (RFC 2018 section 4). Gives how many.
    uint8_t sack_blocks(std::span<SackBlock> to);

private:
    std::optional<SackBlock> block_around(SeqNum at) const;
    void remember(SeqNum at);

    ChunkPool* pool_;
    Chunk *head_ = nullptr, *tail_ = nullptr;
    uint32_t pieces_ = 0;
    std::optional<SeqNum> fin_;
    // Where data came in lately, newest first: a byte of each block to be told.
    std::array<SeqNum, TcpOptions::kMaxSackBlocks> recent_{};
    uint8_t recent_count_ = 0;
};

}  // namespace holdfast
