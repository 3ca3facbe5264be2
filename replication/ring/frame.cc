#include "replication/ring/frame.h"

#include "base/check.h"

namespace holdfast {
namespace {

constexpr uint16_t kMagic = 0x4648;  // "HF" on the wire
constexpr uint8_t kVersion = 1;

using Refusal = std::unexpected<RingDrop>;

// The value, if everything was there and nothing is left over.
template <typename T>
std::expected<T, RingDrop> whole(const T& value, const ByteReader& reader) {
    if (!reader.done()) return Refusal(RingDrop::malformed);
    return value;
}

Position read_position(ByteReader& from) { return {from.le<uint64_t>()}; }
Incarnation read_incarnation(ByteReader& from) { return {from.le<uint64_t>()}; }

HeartbeatBody read_heartbeat(ByteReader& from) {
    HeartbeatBody b;
    b.stamp = from.le<uint64_t>();
    b.last = read_position(from);
    b.oldest = read_position(from);
    b.body = from.take(from.le<uint16_t>());
    return b;
}

void put_counted(Bytes body, ByteWriter& to) {
    to.le(static_cast<uint16_t>(body.size()));
    to.put(body);
}

}  // namespace

std::expected<FrameHeader, RingDrop> parse_header(Bytes datagram) {
    if (datagram.size() < kMinFrame) return Refusal(RingDrop::too_short);
    if (datagram.size() > kMaxFrame) return Refusal(RingDrop::too_long);
    ByteReader from(datagram);
    if (from.le<uint16_t>() != kMagic) return Refusal(RingDrop::magic);
    if (from.le<uint8_t>() != kVersion) return Refusal(RingDrop::version);
    auto type = from.le<uint8_t>();
    if (type < static_cast<uint8_t>(FrameType::data) ||
        type > static_cast<uint8_t>(FrameType::message))
        return Refusal(RingDrop::type);
    FrameHeader h;
    h.type = static_cast<FrameType>(type);
    h.sender = {from.le<uint8_t>()};
    h.worker = from.le<uint8_t>();
    h.receiver = from.le<uint8_t>();
    h.flags = from.le<uint8_t>();
    if ((h.flags & ~kAskStatus) != 0) return Refusal(RingDrop::malformed);
    h.cluster = from.le<uint64_t>();
    h.incarnation = read_incarnation(from);
    h.number = from.le<uint64_t>();
    return h;
}

void emit(const FrameHeader& h, ByteWriter& to) {
    to.le(kMagic);
    to.le(kVersion);
    to.le(static_cast<uint8_t>(h.type));
    to.le(h.sender.value);
    to.le(h.worker);
    to.le(h.receiver);
    to.le(h.flags);
    to.le(h.cluster);
    to.le(h.incarnation.value);
    to.le(h.number);
}

std::optional<Bytes> RecordReader::next() {
    if (reader_.rest().empty()) return std::nullopt;
    auto length = reader_.le<uint16_t>();
    Bytes record = reader_.take(length);
    if (!reader_.ok()) return std::nullopt;
    return record;
}

std::expected<DataBody, RingDrop> parse_data(Bytes body) {
    ByteReader from(body);
    DataBody b{.stamp = from.le<uint64_t>(), .records = {}};
    b.records = from.rest();
    while (from.ok() && !from.rest().empty()) from.take(from.le<uint16_t>());
    return whole(b, from);
}

std::expected<HeartbeatBody, RingDrop> parse_heartbeat(Bytes body) {
    ByteReader from(body);
    HeartbeatBody b = read_heartbeat(from);
    return whole(b, from);
}

std::expected<StatusBody, RingDrop> parse_status(Bytes body) {
    ByteReader from(body);
    StatusBody b;
    b.subject = read_incarnation(from);
    b.join = from.le<uint64_t>();
    b.contiguous = read_position(from);
    b.echo = from.le<uint64_t>();
    b.hold_ns = from.le<uint64_t>();
    b.body = from.take(from.le<uint16_t>());
    return whole(b, from);
}

std::expected<NakBody, RingDrop> parse_nak(Bytes body) {
    ByteReader from(body);
    NakBody b;
    b.subject = read_incarnation(from);
    b.join = from.le<uint64_t>();
    b.count = from.le<uint16_t>();
    if (b.count == 0 || b.count > kMaxNakRanges) return Refusal(RingDrop::malformed);
    uint64_t after = 0;  // ranges ascend, do not touch zero and do not wrap
    for (NakRange& r : std::span(b.ranges).first(b.count)) {
        r.first = read_position(from);
        r.count = from.le<uint32_t>();
        if (r.count == 0 || r.first.value <= after) return Refusal(RingDrop::malformed);
        if (r.first.value > UINT64_MAX - r.count) return Refusal(RingDrop::malformed);
        after = r.first.value + r.count - 1;
    }
    return whole(b, from);
}

std::expected<HelloBody, RingDrop> parse_hello(Bytes body) {
    ByteReader from(body);
    HelloBody b{.nonce = from.le<uint64_t>()};
    return whole(b, from);
}

std::expected<HelloReplyBody, RingDrop> parse_hello_reply(Bytes body) {
    ByteReader from(body);
    HelloReplyBody b;
    b.nonce = from.le<uint64_t>();
    b.challenger = read_incarnation(from);
    b.next_control = from.le<uint64_t>();
    b.beat = read_heartbeat(from);
    return whole(b, from);
}

std::expected<FollowBody, RingDrop> parse_follow(Bytes body) {
    ByteReader from(body);
    FollowBody b;
    b.subject = read_incarnation(from);
    b.join = from.le<uint64_t>();
    b.echo = from.le<uint64_t>();
    b.hold_ns = from.le<uint64_t>();
    return whole(b, from);
}

std::expected<FollowOkBody, RingDrop> parse_follow_ok(Bytes body) {
    ByteReader from(body);
    FollowOkBody b;
    b.subject = read_incarnation(from);
    b.join = from.le<uint64_t>();
    b.start = read_position(from);
    if (b.start.value == 0) return Refusal(RingDrop::malformed);
    return whole(b, from);
}

std::expected<GoneBody, RingDrop> parse_gone(Bytes body) {
    ByteReader from(body);
    GoneBody b;
    b.subject = read_incarnation(from);
    b.join = from.le<uint64_t>();
    return whole(b, from);
}

void emit(const HeartbeatBody& b, ByteWriter& to) {
    to.le(b.stamp);
    to.le(b.last.value);
    to.le(b.oldest.value);
    put_counted(b.body, to);
}

void emit(const StatusBody& b, ByteWriter& to) {
    to.le(b.subject.value);
    to.le(b.join);
    to.le(b.contiguous.value);
    to.le(b.echo);
    to.le(b.hold_ns);
    put_counted(b.body, to);
}

void emit(const NakBody& b, ByteWriter& to) {
    CHECK(b.count <= kMaxNakRanges);
    to.le(b.subject.value);
    to.le(b.join);
    to.le(static_cast<uint16_t>(b.count));
    for (const NakRange& r : b.used()) {
        to.le(r.first.value);
        to.le(r.count);
    }
}

void emit(const HelloBody& b, ByteWriter& to) { to.le(b.nonce); }

void emit(const HelloReplyBody& b, ByteWriter& to) {
    to.le(b.nonce);
    to.le(b.challenger.value);
    to.le(b.next_control);
    emit(b.beat, to);
}

void emit(const FollowBody& b, ByteWriter& to) {
    to.le(b.subject.value);
    to.le(b.join);
    to.le(b.echo);
    to.le(b.hold_ns);
}

void emit(const FollowOkBody& b, ByteWriter& to) {
    to.le(b.subject.value);
    to.le(b.join);
    to.le(b.start.value);
}

void emit(const GoneBody& b, ByteWriter& to) {
    to.le(b.subject.value);
    to.le(b.join);
}

}  // namespace holdfast
