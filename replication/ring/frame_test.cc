#include "replication/ring/frame.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"

namespace holdfast {
namespace {

template <typename T>
std::vector<std::byte> emitted(const T& value) {
    std::vector<std::byte> bytes(2000);
    ByteWriter to(bytes);
    emit(value, to);
    EXPECT_TRUE(to.ok());
    bytes.resize(to.used());
    return bytes;
}

// Every shorter and longer input is refused, so that nothing can hide behind a body.
template <typename Parse>
void expect_exact(const std::vector<std::byte>& bytes, Parse parse) {
    for (size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(parse(Bytes(bytes).first(n))) << n;
    auto longer = bytes;
    longer.push_back(std::byte{0});
    EXPECT_FALSE(parse(longer));
}

const auto kBody = std::to_array<std::byte>({std::byte{1}, std::byte{2}, std::byte{3}});

TEST(Frame, HeaderLayoutIsAsDocumented) {
    FrameHeader h{.type = FrameType::status,
                  .sender = {3},
                  .worker = 4,
                  .receiver = 5,
                  .flags = kAskStatus,
                  .cluster = 0x1122334455667788,
                  .incarnation = {0x99aabbccddeeff00},
                  .number = 0x0102030405060708};
    auto bytes = emitted(h);
    ASSERT_EQ(bytes.size(), kFrameHeaderSize);
    const uint8_t expected[] = {'H',  'F',  1,    3,    3,    4,    5,    1,    0x88, 0x77, 0x66,
                                0x55, 0x44, 0x33, 0x22, 0x11, 0x00, 0xff, 0xee, 0xdd, 0xcc, 0xbb,
                                0xaa, 0x99, 8,    7,    6,    5,    4,    3,    2,    1};
    EXPECT_EQ(std::memcmp(bytes.data(), expected, sizeof expected), 0);
    bytes.resize(kMinFrame);
    EXPECT_EQ(parse_header(bytes), h);
}

TEST(Frame, HeaderRefusals) {
    auto bytes = emitted(FrameHeader{.type = FrameType::data});
    bytes.resize(kMinFrame);
    auto refused = [&](size_t at, uint8_t value) {
        auto changed = bytes;
        changed[at] = std::byte{value};
        return parse_header(changed).error();
    };
    EXPECT_EQ(parse_header(Bytes(bytes).first(kMinFrame - 1)).error(), RingDrop::too_short);
    EXPECT_EQ(refused(0, 'h'), RingDrop::magic);
    EXPECT_EQ(refused(2, 2), RingDrop::version);
    EXPECT_EQ(refused(3, 0), RingDrop::type);
    EXPECT_EQ(refused(3, 11), RingDrop::type);
    EXPECT_EQ(refused(7, 2), RingDrop::malformed);
    EXPECT_EQ(parse_header(std::vector<std::byte>(9001)).error(), RingDrop::too_long);
}

TEST(Frame, Bodies) {
    HeartbeatBody beat{.stamp = 1, .last = {2}, .oldest = {3}, .body = kBody};
    auto bytes = emitted(beat);
    EXPECT_EQ(bytes.size(), 26 + kBody.size());
    auto b = parse_heartbeat(bytes);
    ASSERT_TRUE(b);
    EXPECT_EQ(b->stamp, 1u);
    EXPECT_EQ(b->last, Position{2});
    EXPECT_EQ(b->oldest, Position{3});
    EXPECT_EQ(b->body.size(), kBody.size());
    EXPECT_EQ(emitted(*b), bytes);
    expect_exact(bytes, parse_heartbeat);

    bytes = emitted(StatusBody{
        .subject = {1}, .join = 2, .contiguous = {3}, .echo = 4, .hold_ns = 5, .body = kBody});
    EXPECT_EQ(bytes.size(), 42 + kBody.size());
    EXPECT_EQ(emitted(*parse_status(bytes)), bytes);
    expect_exact(bytes, parse_status);

    bytes = emitted(HelloBody{7});
    EXPECT_EQ(emitted(*parse_hello(bytes)), bytes);
    expect_exact(bytes, parse_hello);

    bytes = emitted(HelloReplyBody{.nonce = 1, .challenger = {2}, .next_control = 3, .beat = beat});
    EXPECT_EQ(emitted(*parse_hello_reply(bytes)), bytes);
    expect_exact(bytes, parse_hello_reply);

    bytes = emitted(FollowBody{.subject = {1}, .join = 2, .echo = 3, .hold_ns = 4});
    EXPECT_EQ(emitted(*parse_follow(bytes)), bytes);
    expect_exact(bytes, parse_follow);

    bytes = emitted(FollowOkBody{.subject = {1}, .join = 2, .start = {3}});
    EXPECT_EQ(emitted(*parse_follow_ok(bytes)), bytes);
    expect_exact(bytes, parse_follow_ok);
    EXPECT_FALSE(parse_follow_ok(emitted(FollowOkBody{.subject = {1}, .join = 2, .start = {0}})));

    bytes = emitted(GoneBody{.subject = {1}, .join = 2});
    EXPECT_EQ(emitted(*parse_gone(bytes)), bytes);
    expect_exact(bytes, parse_gone);
}

NakBody nak_of(std::initializer_list<NakRange> ranges) {
    NakBody n{.subject = {1}, .join = 2};
    for (NakRange r : ranges) n.ranges[n.count++] = r;
    return n;
}

TEST(Frame, NakRangesAscendAndAreNeverEmpty) {
    auto bytes = emitted(nak_of({{{5}, 3}, {{9}, 1}}));
    EXPECT_EQ(bytes.size(), 18 + 2 * 12u);
    auto n = parse_nak(bytes);
    ASSERT_TRUE(n);
    EXPECT_EQ(n->used()[1], (NakRange{{9}, 1}));
    EXPECT_EQ(emitted(*n), bytes);
    expect_exact(bytes, parse_nak);
    EXPECT_FALSE(parse_nak(emitted(nak_of({}))));
    EXPECT_FALSE(parse_nak(emitted(nak_of({{{5}, 0}}))));
    EXPECT_FALSE(parse_nak(emitted(nak_of({{{0}, 1}}))));
    EXPECT_FALSE(parse_nak(emitted(nak_of({{{5}, 3}, {{7}, 1}}))));
    EXPECT_FALSE(parse_nak(emitted(nak_of({{{UINT64_MAX - 1}, 5}}))));
}

TEST(Frame, DataIsAStampAndRecordsThatFillIt) {
    std::vector<std::byte> bytes(100);
    ByteWriter to(bytes);
    to.le(uint64_t{42});
    to.le(uint16_t{3});
    to.put(kBody);
    to.le(uint16_t{0});
    to.le(uint16_t{1});
    to.le(uint8_t{9});
    bytes.resize(to.used());
    auto data = parse_data(bytes);
    ASSERT_TRUE(data);
    EXPECT_EQ(data->stamp, 42u);
    RecordReader records(data->records);
    EXPECT_EQ(records.next()->size(), 3u);
    EXPECT_EQ(records.next()->size(), 0u);
    EXPECT_EQ(records.next()->size(), 1u);
    EXPECT_FALSE(records.next());
    EXPECT_FALSE(parse_data(Bytes(bytes).first(bytes.size() - 1)));
    EXPECT_FALSE(parse_data(Bytes(bytes).first(7)));
}

TEST(Frame, WhateverParsesIsWhatWouldBeEmitted) {
    Random random(1);
    auto check = [](Bytes in, const auto& parsed) {
        if (parsed) {
            EXPECT_EQ(emitted(*parsed), std::vector(in.begin(), in.end()));
        }
    };
    for (int i = 0; i < 100'000; ++i) {
        std::vector<std::byte> b(random.below(80));
        for (auto& x : b) x = std::byte(random.chance(0.7) ? 0 : random.below(256));
        check(b, parse_heartbeat(b));
        check(b, parse_status(b));
        check(b, parse_nak(b));
        check(b, parse_hello_reply(b));
        check(b, parse_follow(b));
        check(b, parse_follow_ok(b));
        parse_data(b);
    }
}

}  // namespace
}  // namespace holdfast
