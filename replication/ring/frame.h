// The frames of the ring: what they mean, and their bytes (docs/protocol.md), little-endian.
//
// A frame is a clear header of 32 bytes, a sealed body and a tag of 16 bytes. parse_header() looks
// at the clear part; the parse functions of the bodies look at what was unsealed. They own nothing,
// allocate nothing, and refuse what does not fit exactly: parse(emit(x)) == x and no other bytes
// parse to x.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "base/cluster.h"
#include "replication/ring/ring_counters.h"

namespace holdfast {

inline constexpr size_t kFrameHeaderSize = 32;
inline constexpr size_t kFrameTagSize = 16;
inline constexpr size_t kMinFrame = kFrameHeaderSize + kFrameTagSize;
inline constexpr size_t kMaxFrame = 9000;
inline constexpr uint8_t kToAll = 0xff;   // a header's receiver
inline constexpr uint8_t kAskStatus = 1;  // the only flag: every follower answers at once

enum class FrameType : uint8_t {
    data = 1,
    heartbeat,
    status,
    nak,
    hello,
    hello_reply,
    follow,
    follow_ok,
    gone,
    message,
};

struct FrameHeader {
    FrameType type{};
    NodeId sender{};
    uint8_t worker = 0;
    uint8_t receiver = kToAll;
    uint8_t flags = 0;
    uint64_t cluster = 0;  // derived from the secret: tells a foreign cluster without unsealing
    Incarnation incarnation{};
    uint64_t number = 0;  // DATA: its position; else a counter. The nonce under the frame's key.
    friend bool operator==(const FrameHeader&, const FrameHeader&) = default;
};

std::expected<FrameHeader, RingDrop> parse_header(Bytes datagram);
void emit(const FrameHeader& header, ByteWriter& to);

// A stamp is when its sender sent something, on a clock that only the sender can read: others echo
// it.

// After its stamp (8 bytes), a DATA body is a row of records, each a u16 length and its bytes.
inline constexpr size_t kDataPrefix = 8;
inline constexpr size_t kRecordPrefix = 2;
class RecordReader {
public:
    explicit RecordReader(Bytes body) : reader_(body) {}
    // Empty at the end.
    std::optional<Bytes> next();

private:
    ByteReader reader_;
};
struct DataBody {
    uint64_t stamp = 0;
    Bytes records;
};
// Checks that the records fill the body exactly, so that a RecordReader cannot fail half way.
std::expected<DataBody, RingDrop> parse_data(Bytes body);

struct HeartbeatBody {
    uint64_t stamp = 0;
    Position last;    // newest datagram sent
    Position oldest;  // oldest that can still be repaired
    Bytes body;
};

struct StatusBody {
    Incarnation subject;  // of the ring's node, as the follower knows it
    uint64_t join = 0;    // which FOLLOW this continues
    Position contiguous;
    uint64_t echo = 0;     // newest stamp heard from the ring's node
    uint64_t hold_ns = 0;  // since then
    Bytes body;
};

struct NakRange {
    Position first;
    uint32_t count = 0;
    friend bool operator==(const NakRange&, const NakRange&) = default;
};
inline constexpr size_t kMaxNakRanges = 100;
struct NakBody {
    Incarnation subject;
    uint64_t join = 0;
    uint32_t count = 0;
    std::array<NakRange, kMaxNakRanges> ranges{};
    std::span<const NakRange> used() const { return std::span(ranges).first(count); }
};

struct HelloBody {
    uint64_t nonce = 0;
};

struct HelloReplyBody {
    uint64_t nonce = 0;
    Incarnation challenger;
    uint64_t next_control = 0;  // earlier control frames are not to be believed
    HeartbeatBody beat;
};

struct FollowBody {
    Incarnation subject;
    uint64_t join = 0;
    uint64_t echo = 0;
    uint64_t hold_ns = 0;
};

struct FollowOkBody {
    Incarnation subject;  // of the follower
    uint64_t join = 0;
    Position start;  // the first datagram the follower will have
};

struct GoneBody {
    Incarnation subject;  // of the follower
    uint64_t join = 0;
};

std::expected<HeartbeatBody, RingDrop> parse_heartbeat(Bytes body);
std::expected<StatusBody, RingDrop> parse_status(Bytes body);
std::expected<NakBody, RingDrop> parse_nak(Bytes body);
std::expected<HelloBody, RingDrop> parse_hello(Bytes body);
std::expected<HelloReplyBody, RingDrop> parse_hello_reply(Bytes body);
std::expected<FollowBody, RingDrop> parse_follow(Bytes body);
std::expected<FollowOkBody, RingDrop> parse_follow_ok(Bytes body);
std::expected<GoneBody, RingDrop> parse_gone(Bytes body);

void emit(const HeartbeatBody& body, ByteWriter& to);
void emit(const StatusBody& body, ByteWriter& to);
void emit(const NakBody& body, ByteWriter& to);
void emit(const HelloBody& body, ByteWriter& to);
void emit(const HelloReplyBody& body, ByteWriter& to);
void emit(const FollowBody& body, ByteWriter& to);
void emit(const FollowOkBody& body, ByteWriter& to);
void emit(const GoneBody& body, ByteWriter& to);
inline void emit(Bytes message, ByteWriter& to) { to.put(message); }

}  // namespace holdfast
