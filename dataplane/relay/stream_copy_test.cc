#include "dataplane/relay/stream_copy.h"

#include <gtest/gtest.h>

#include <map>

namespace holdfast {
namespace {

struct Copy {
    SeqNum start;
    std::vector<std::byte> octets;
};

class StreamCopyTest : public ::testing::Test {
protected:
    void append(size_t n) {
        std::vector<std::byte> octets(n);
        for (size_t i = 0; i < n; ++i) octets[i] = static_cast<std::byte>((said + i) % 251);
        copy.append(start() + said, octets);
        said += static_cast<uint32_t>(n);
    }
    // What other nodes have then.
    unsigned publish(unsigned most = ~0u) {
        unsigned told = 0;
        copy.publish([&](unsigned block, SeqNum first, Bytes octets) {
            EXPECT_LT(block, StreamCopy::kBlocks);
            if (told == most) return false;
            ++told;
            held[block] = {first, {octets.begin(), octets.end()}};
            return true;
        });
        return told;
    }
    // How much of the stream from `from` on the others have without a hole.
    uint32_t covered(uint32_t from) const {
        for (bool found = true; found;) {
            found = false;
            for (const auto& [block, c] : held) {
                const int32_t begins = c.start - (start() + from);
                const auto end = begins + static_cast<int32_t>(c.octets.size());
                if (begins > 0 || end <= 0) continue;
                EXPECT_EQ(c.octets[static_cast<size_t>(-begins)],
                          static_cast<std::byte>(from % 251));
                from += static_cast<uint32_t>(end);
                found = true;
            }
        }
        return from;
    }
    static SeqNum start() { return SeqNum{0xffff'f000}; }  // comes round soon

    StreamCopy copy;
    uint32_t said = 0;
    std::map<unsigned, Copy> held;
};

TEST_F(StreamCopyTest, OthersHaveAllThatIsNotAcknowledged) {
    uint32_t acknowledged = 0;
    for (unsigned round = 0; round < 2000; ++round) {
        append(1 + round * 397 % 3000);
        publish();
        EXPECT_EQ(covered(acknowledged), said) << round;
        EXPECT_FALSE(copy.wants_publish());
        acknowledged += (said - acknowledged) / (1 + round % 3);
        copy.release(start() + acknowledged);
    }
    EXPECT_EQ(copy.left_out(), 0u);
    EXPECT_EQ(held.size(), StreamCopy::kBlocks);
}

TEST_F(StreamCopyTest, SmallPiecesShareABlock) {
    for (unsigned i = 0; i < 100; ++i) {
        append(10);
        EXPECT_EQ(publish(), 1u);
    }
    EXPECT_EQ(held.size(), 1u);
    EXPECT_EQ(covered(0), 1000u);
}

// Beyond all blocks, octets are left out; once there is room again, what comes is kept again.
TEST_F(StreamCopyTest, IsBoundedAndSaysSo) {
    append(StreamBlock::kCapacity * StreamCopy::kBlocks);
    publish();
    append(500);
    EXPECT_EQ(copy.left_out(), 500u);
    EXPECT_EQ(publish(), 0u);
    EXPECT_EQ(covered(0), said - 500);
    copy.release(start() + said);
    const uint32_t from = said;
    append(700);
    publish();
    EXPECT_EQ(covered(from), said);
}

TEST_F(StreamCopyTest, WhatCouldNotBePublishedIsPublishedLater) {
    append(5 * StreamBlock::kCapacity);
    EXPECT_EQ(publish(2), 2u);
    EXPECT_TRUE(copy.wants_publish());
    EXPECT_EQ(publish(), 3u);
    copy.forget_published();
    EXPECT_EQ(publish(), 5u);
}

// However early it is acknowledged: what stood in a block's place before must go.
TEST_F(StreamCopyTest, ABlockIsNeverPassedOver) {
    append(100);
    copy.release(start() + said);
    EXPECT_EQ(publish(), 1u);
    copy.release(start() + said);
    EXPECT_FALSE(copy.wants_publish());
}

TEST(StreamBlock, ParseOfEmitIsTheSameAndTruncationIsRefused) {
    const std::array<std::byte, 3> octets{std::byte{1}, std::byte{2}, std::byte{3}};
    std::array<std::byte, kMaxFragmentValue> buffer;
    const size_t size = write_stream_block({{1}, {2}, {3}, octets}, buffer);
    EXPECT_EQ(size, StreamBlock::kHeader + octets.size());
    const auto back = read_stream_block(Bytes(buffer).first(size));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->irs, SeqNum{1});
    EXPECT_EQ(back->iss, SeqNum{2});
    EXPECT_EQ(back->start, SeqNum{3});
    EXPECT_TRUE(std::ranges::equal(back->octets, octets));
    for (size_t n = 0; n <= StreamBlock::kHeader; ++n)
        EXPECT_FALSE(read_stream_block(Bytes(buffer).first(n)));
}

}  // namespace
}  // namespace holdfast
