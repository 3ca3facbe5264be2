#include "dataplane/tcp/syn_cookie.h"

#include <algorithm>

namespace holdfast {
namespace {

// Common on the Internet; the largest that is not larger is taken (Linux has four of these).
constexpr std::array<uint16_t, 8> kMss{216, 536, 1220, 1300, 1360, 1440, 1460, 8960};
constexpr int64_t kPeriod_ns = 64'000'000'000;
constexpr uint8_t kMaxAge = 2;  // periods
constexpr uint32_t kLow24 = 0xffffff;
// In the last bits of a timestamp: 4 of window scale (15: none), SACK, ECN.
constexpr uint32_t kTimestampBits = 0x3f, kNoScale = 15, kSackBit = 0x10, kEcnBit = 0x20;

uint8_t period(Duration wall) { return static_cast<uint8_t>(wall.ns / kPeriod_ns); }

// cookie = F0(tuple, client's number) + (period, 8 bits | F1(tuple, period) + data, 24 bits)
uint32_t base(const SipKey& key, const TcpTuple& tuple, SeqNum client_iss) {
    return static_cast<uint32_t>(tuple_hash(key, tuple, 0x636b3000000000 | client_iss.value));
}
uint32_t mask(const SipKey& key, const TcpTuple& tuple, uint8_t when) {
    return static_cast<uint32_t>(tuple_hash(key, tuple, 0x636b3100000000 | when)) & kLow24;
}

std::optional<uint16_t> check(const SipKey& key, const TcpTuple& tuple, SeqNum client_iss,
                              SeqNum cookie, Duration wall) {
    const uint32_t inner = cookie.value - base(key, tuple, client_iss);
    const auto when = static_cast<uint8_t>(inner >> 24);
    if (static_cast<uint8_t>(period(wall) - when) >= kMaxAge) return std::nullopt;
    const uint32_t data = (inner - mask(key, tuple, when)) & kLow24;
    if (data >= kMss.size()) return std::nullopt;
    return kMss[data];
}

}  // namespace

SeqNum make_cookie(const SipKey& key, const TcpTuple& tuple, SeqNum client_iss, uint16_t mss,
                   Duration wall) {
    const auto larger = std::ranges::upper_bound(kMss, mss);
    const auto data = static_cast<uint32_t>(std::max<int64_t>(larger - kMss.begin() - 1, 0));
    const uint8_t when = period(wall);
    const uint32_t inner = uint32_t{when} << 24 | ((mask(key, tuple, when) + data) & kLow24);
    return {base(key, tuple, client_iss) + inner};
}

std::optional<uint16_t> check_cookie(const CookieKeys& keys, const TcpTuple& tuple,
                                     SeqNum client_iss, SeqNum cookie, Duration wall) {
    const auto mss = check(keys.current, tuple, client_iss, cookie, wall);
    return mss ? mss : check(keys.previous, tuple, client_iss, cookie, wall);
}

CookieAnswer answer_with_cookie(const TcpConfig& config, const CookieKeys& keys,
                                const TcpTuple& tuple, const TcpSegment& syn,
                                const TcpOptions& options, uint32_t timestamp, Duration wall) {
    CookieAnswer a;
    const uint16_t mss = std::min(options.mss.value_or(config.default_mss), config.mss);
    a.segment.seq = make_cookie(keys.current, tuple, syn.seq, mss, wall);
    a.segment.ack = syn.seq + 1;
    a.segment.flags = tcp_flag::syn | tcp_flag::ack;
    a.segment.window = static_cast<uint16_t>(std::min<uint32_t>(config.receive_buffer, 65535));
    a.options.mss = config.mss;
    if (!config.timestamps || !options.timestamps) return a;

    uint32_t bits = kNoScale;
    if (config.scale_windows && options.window_scale) {
        bits = *options.window_scale;
        a.options.window_scale = config.window_scale();
    }
    if (config.sack && options.sack_permitted) {
        bits |= kSackBit;
        a.options.sack_permitted = true;
    }
    if (config.ecn && syn.has(tcp_flag::ece) && syn.has(tcp_flag::cwr)) {
        bits |= kEcnBit;
        a.segment.flags |= tcp_flag::ece;
    }
    // Never ahead of the clock, that the endpoint's own timestamps follow.
    uint32_t value = (timestamp & ~kTimestampBits) | bits;
    if (static_cast<int32_t>(value - timestamp) > 0) value -= kTimestampBits + 1;
    a.options.timestamps = {value, options.timestamps->value};
    return a;
}

std::optional<CookieOptions> open_cookie(const TcpConfig& config, const CookieKeys& keys,
                                         const TcpTuple& tuple, const TcpSegment& ack,
                                         const TcpOptions& options, Duration wall) {
    if (!ack.has(tcp_flag::ack) || ack.has(tcp_flag::syn | tcp_flag::rst)) return std::nullopt;
    const auto mss = check_cookie(keys, tuple, ack.seq - 1, ack.ack - 1, wall);
    if (!mss) return std::nullopt;
    CookieOptions o;
    o.mss = *mss;
    if (!config.timestamps || !options.timestamps) return o;
    const uint32_t bits = options.timestamps->echo & kTimestampBits;
    if ((bits & 15) != kNoScale) o.window_scale = static_cast<uint8_t>(bits & 15);
    o.sack = (bits & kSackBit) != 0;
    o.ecn = (bits & kEcnBit) != 0;
    return o;
}

}  // namespace holdfast
