#include "replication/ring/send_ring.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

namespace holdfast {
namespace {

class SendRingTest : public ::testing::TestWithParam<uint64_t> {
protected:
    SendRingTest() { keys.restart(source, {1}, 0, {5}); }
    std::vector<std::byte> seal_one(size_t size) {
        ring.append(std::vector(size, std::byte{1}));
        Bytes b = ring.seal({.sender = {1}, .incarnation = {5}}, 77, keys.at(ring.next()));
        return {b.begin(), b.end()};
    }
    KeySource source{{}};
    DataKeys keys{Cipher::aes_128_gcm};
    SendRing ring{64, 1452, {GetParam()}};
};
INSTANTIATE_TEST_SUITE_P(Starts, SendRingTest,
                         ::testing::Values(1, (1ull << 32) - 70, (1ull << 63) - 70));

TEST_P(SendRingTest, KeepsTheLastSlotsByteForByte) {
    std::map<Position, std::vector<std::byte>> sent;
    for (size_t i = 0; i < 200; ++i) {
        EXPECT_EQ(ring.overwritten_by_next().value, i < 64 ? 0 : GetParam() + i - 64);
        Position p = ring.next();
        sent[p] = seal_one(i);
        EXPECT_EQ(ring.oldest().value, GetParam() + (i < 64 ? 0 : i - 63));
        for (Position q = ring.oldest(); q < ring.next(); q = q.plus(1)) {
            Bytes b = ring.sealed(q);
            ASSERT_EQ(std::vector(b.begin(), b.end()), sent[q]);
        }
    }
    Position before = ring.oldest();
    ring.append(std::vector(5, std::byte{2}));  // opening takes a slot
    EXPECT_EQ(ring.oldest(), before.plus(1));
}

TEST_P(SendRingTest, FillsADatagramToItsLastByte) {
    EXPECT_EQ(ring.max_record(), 1452u - 32 - 8 - 2 - 16);
    EXPECT_TRUE(ring.fits(ring.max_record()));
    EXPECT_FALSE(ring.fits(ring.max_record() + 1));
    EXPECT_EQ(seal_one(ring.max_record()).size(), 1452u);
    ring.append(std::vector(1000, std::byte{1}));
    EXPECT_TRUE(ring.fits(1394 - 1002));
    EXPECT_FALSE(ring.fits(1394 - 1001));
}

TEST_P(SendRingTest, ParsesBack) {
    Position p = ring.next();
    ring.append(std::vector(3, std::byte{1}));
    ring.append(std::vector(4, std::byte{2}));
    Bytes frame = ring.seal({.sender = {1}, .incarnation = {5}}, 77, keys.at(p));
    auto head = parse_header(frame);
    ASSERT_TRUE(head);
    EXPECT_EQ(head->type, FrameType::data);
    EXPECT_EQ(head->number, p.value);
    std::vector<std::byte> to(2000);
    Bytes body;
    ASSERT_TRUE(keys.at(p).open({0, p.value}, kFrameHeaderSize, frame, to, body));
    auto data = parse_data(body);
    ASSERT_TRUE(data);
    EXPECT_EQ(data->stamp, 77u);
    RecordReader records(data->records);
    EXPECT_EQ(records.next()->size(), 3u);
    EXPECT_EQ(records.next()->size(), 4u);
}

}  // namespace
}  // namespace holdfast
