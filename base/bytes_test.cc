#include "base/bytes.h"

#include <gtest/gtest.h>

#include <array>

using namespace holdfast;

TEST(Bytes, WriterThenReader) {
    std::array<std::byte, 16> buffer{};
    ByteWriter w(buffer);
    w.le<uint32_t>(0x01020304);
    w.be<uint16_t>(0x0506);
    EXPECT_EQ(buffer[0], std::byte{4});
    EXPECT_EQ(buffer[4], std::byte{5});
    ByteReader r(w.written());
    EXPECT_EQ(r.le<uint32_t>(), 0x01020304u);
    EXPECT_EQ(r.be<uint16_t>(), 0x0506u);
    EXPECT_TRUE(r.done());
}

TEST(Bytes, ReadingPastTheEndIsZeroAndNotOk) {
    std::array<std::byte, 3> three{};
    ByteReader r(three);
    EXPECT_EQ(r.le<uint32_t>(), 0u);
    EXPECT_FALSE(r.ok());
    EXPECT_EQ(r.le<uint8_t>(), 0u);
}

TEST(Bytes, WritingPastTheEndWritesNothing) {
    std::array<std::byte, 3> three{};
    ByteWriter w(three);
    w.le<uint32_t>(~0u);
    EXPECT_FALSE(w.ok());
    EXPECT_EQ(w.used(), 0u);
    EXPECT_EQ(three[0], std::byte{0});
}
