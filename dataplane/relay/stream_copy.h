// What a side of a relayed session sent and the other has not acknowledged, as other nodes may keep
// it (`durability = payload`): whoever adopts the session then has those octets at once, and need
// not wait until who sent them sends them again.
//
// A help, never a proof: nothing is acknowledged because of it, no packet waits for it, and an
// adopter to which a block is missing gets its octets from their sender. Octets stand in blocks
// that are published one by one, in a circle; a block says which connection's they are, since the
// last ones of an earlier connection on the same ports may still be about. Bounded: when every
// block is in use, what comes is left out until some of it was acknowledged.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "dataplane/tcp/tcb.h"
#include "replication/fragment/fragment.h"

namespace holdfast {

// As it is published: docs/protocol.md has the bytes.
struct StreamBlock {
    static constexpr size_t kHeader = 13;
    static constexpr size_t kCapacity = kMaxFragmentValue - kHeader;
    SeqNum irs, iss;  // of the connection that the octets came by
    SeqNum start;     // of the first of them
    Bytes octets;
};
size_t write_stream_block(const StreamBlock& block, MutableBytes to);
std::optional<StreamBlock> read_stream_block(Bytes value);

class StreamCopy {
public:
    static constexpr unsigned kBlocks = kMaxBlocks / 2;

    // Octets that came in order, the first at `at`.
    void append(SeqNum at, Bytes octets);
    // Those before `upto` are of no use any more.
    void release(SeqNum upto);
    // All are to be published again.
    void forget_published();
    // publish(block, start, octets) -> bool for each that changed; false: not now.
    template <typename Publish>
    void publish(Publish&& publish) {
        for (; published_ < count_; ++published_) {
            const Block& b = at(published_);
            if (!publish((first_ + published_) % kBlocks, b.start, Bytes(b.octets))) return;
        }
    }
    bool wants_publish() const { return published_ < count_; }
    uint64_t left_out() const { return left_out_; }

private:
    struct Block {
        SeqNum start;
        std::vector<std::byte> octets;
    };
    Block& at(unsigned i) { return blocks_[(first_ + i) % kBlocks]; }
    bool open(SeqNum start);
    bool fits_last(SeqNum start, size_t size);

    std::array<Block, kBlocks> blocks_;
    unsigned first_ = 0, count_ = 0;  // the circle's part in use
    unsigned published_ = 0;          // of these, from the first
    uint64_t left_out_ = 0;
};

// Of one session.
struct StreamCopies {
    std::array<StreamCopy, 2> sides;  // what the client sent; what the backend sent
    uint32_t version = 0;             // of the last block published
};

}  // namespace holdfast
