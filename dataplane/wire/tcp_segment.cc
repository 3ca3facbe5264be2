#include "dataplane/wire/tcp_segment.h"

#include <algorithm>

#include "dataplane/wire/checksum.h"
#include "dataplane/wire/ip.h"

namespace holdfast {
namespace {
constexpr uint8_t kEnd = 0, kNop = 1, kMss = 2, kWindowScale = 3, kSackPermitted = 4, kSack = 5,
                  kTimestamps = 8;

void take_sack_blocks(Bytes value, TcpOptions& o) {
    if (value.size() % 8 != 0) return;
    o.sack = {};
    o.sack_count = 0;
    for (; !value.empty() && o.sack_count < TcpOptions::kMaxSackBlocks; value = value.subspan(8))
        o.sack[o.sack_count++] = {{load_be<uint32_t>(value.data())},
                                  {load_be<uint32_t>(value.data() + 4)}};
}
}  // namespace

std::expected<TcpSegment, DropReason> parse_tcp(Bytes bytes) {
    if (bytes.size() < 20) return std::unexpected(DropReason::tcp_malformed);
    const std::byte* p = bytes.data();
    TcpSegment s;
    s.source_port = load_be<uint16_t>(p);
    s.destination_port = load_be<uint16_t>(p + 2);
    s.seq = {load_be<uint32_t>(p + 4)};
    s.ack = {load_be<uint32_t>(p + 8)};
    s.header_size = static_cast<uint8_t>((static_cast<uint8_t>(p[12]) >> 4) * 4);
    s.flags = static_cast<uint8_t>(p[13]);
    s.window = load_be<uint16_t>(p + 14);
    s.urgent = load_be<uint16_t>(p + 18);
    if (s.header_size < 20 || s.header_size > bytes.size())
        return std::unexpected(DropReason::tcp_malformed);
    s.payload_size = static_cast<uint32_t>(bytes.size() - s.header_size);
    // Port 0 is reserved; SYN with FIN or RST means nothing anybody honest would say.
    if (s.source_port == 0 || s.destination_port == 0)
        return std::unexpected(DropReason::tcp_malformed);
    if (s.has(tcp_flag::syn) && s.has(tcp_flag::fin | tcp_flag::rst))
        return std::unexpected(DropReason::tcp_malformed);
    return s;
}

std::expected<TcpOptions, DropReason> parse_tcp_options(Bytes bytes) {
    TcpOptions o;
    while (!bytes.empty()) {
        const uint8_t kind = static_cast<uint8_t>(bytes[0]);
        if (kind == kEnd) break;
        if (kind == kNop) {
            bytes = bytes.subspan(1);
            continue;
        }
        if (bytes.size() < 2) return std::unexpected(DropReason::tcp_malformed);
        const size_t length = static_cast<uint8_t>(bytes[1]);
        if (length < 2 || length > bytes.size()) return std::unexpected(DropReason::tcp_malformed);
        const std::byte* value = bytes.data() + 2;
        if (kind == kMss && length == 4) o.mss = load_be<uint16_t>(value);
        if (kind == kWindowScale && length == 3)
            o.window_scale = std::min<uint8_t>(static_cast<uint8_t>(value[0]), 14);
        if (kind == kSackPermitted && length == 2) o.sack_permitted = true;
        if (kind == kTimestamps && length == 10)
            o.timestamps = {load_be<uint32_t>(value), load_be<uint32_t>(value + 4)};
        if (kind == kSack) take_sack_blocks(bytes.subspan(2, length - 2), o);
        bytes = bytes.subspan(length);
    }
    return o;
}

DropReason verify_tcp_checksum(const IpAddress& source, const IpAddress& destination, Bytes bytes) {
    const uint64_t pseudo =
        pseudo_header_sum(source, destination, kProtocolTcp, static_cast<uint32_t>(bytes.size()));
    if (fold_sum(add_to_sum(pseudo, bytes)) == 0xffff) return DropReason::none;
    uint16_t field;
    std::memcpy(&field, bytes.data() + kTcpChecksumOffset, sizeof field);
    return field == fold_sum(pseudo) ? DropReason::checksum_partial_suspected
                                     : DropReason::tcp_checksum;
}

size_t emit_tcp_options(const TcpOptions& o, ByteWriter& to) {
    const size_t before = to.used();
    if (o.mss) {
        to.be<uint16_t>(kMss << 8 | 4);
        to.be<uint16_t>(*o.mss);
    }
    if (o.sack_permitted) to.be<uint16_t>(kSackPermitted << 8 | 2);
    // What holds 32-bit numbers begins two bytes before a multiple of four.
    const auto align = [&] {
        while (to.ok() && (to.used() - before) % 4 != 2) to.be<uint8_t>(kNop);
    };
    if (o.timestamps) {
        align();
        to.be<uint16_t>(kTimestamps << 8 | 10);
        to.be<uint32_t>(o.timestamps->value);
        to.be<uint32_t>(o.timestamps->echo);
    }
    if (o.window_scale) {
        to.be<uint8_t>(kNop);
        to.be<uint8_t>(kWindowScale);
        to.be<uint8_t>(3);
        to.be<uint8_t>(*o.window_scale);
    }
    if (o.sack_count > 0) {
        align();
        to.be<uint8_t>(kSack);
        to.be<uint8_t>(static_cast<uint8_t>(2 + 8 * o.sack_count));
        for (const SackBlock& block : o.sack_blocks()) {
            to.be<uint32_t>(block.start.value);
            to.be<uint32_t>(block.end.value);
        }
    }
    while (to.ok() && (to.used() - before) % 4 != 0) to.be<uint8_t>(kNop);
    return to.used() - before;
}

size_t tcp_size(const TcpEmit& what) {
    std::byte scratch[40];
    ByteWriter w(scratch);
    return 20 + emit_tcp_options(what.options, w) + what.payload.size();
}

size_t emit_tcp(const TcpEmit& what, ByteWriter& to) {
    const TcpSegment& s = what.segment;
    std::byte* p = to.reserve(20);
    if (p == nullptr) return 0;
    const size_t header = 20 + emit_tcp_options(what.options, to);
    to.put(what.payload);
    if (!to.ok()) return 0;
    store_be(p, s.source_port);
    store_be(p + 2, s.destination_port);
    store_be(p + 4, s.seq.value);
    store_be(p + 8, s.ack.value);
    p[12] = static_cast<std::byte>(header / 4 << 4);
    p[13] = std::byte{s.flags};
    store_be(p + 14, s.window);
    store_be(p + 16, uint16_t{0});
    store_be(p + 18, s.urgent);
    const size_t total = header + what.payload.size();
    const uint64_t sum = pseudo_header_sum(what.source, what.destination, kProtocolTcp,
                                           static_cast<uint32_t>(total));
    store_checksum(p + kTcpChecksumOffset, checksum_of(add_to_sum(sum, {p, total})));
    return total;
}

}  // namespace holdfast
