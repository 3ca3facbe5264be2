#include "dataplane/tls/record_state.h"

namespace holdfast {
namespace {

// Big-endian. State:    u8 layout, u8 version, u16 suite, u16 max_fragment, [GCM 1.2: u64 nonce],
//                       progress, secrets tx, rx, [previous_tx]
// Progress:             u8 flags, u64 tx_sequence, u64 rx_sequence, [u32 tx_generation,
//                       u32 rx_generation], [u64 previous_end], [u8 size, handshake octets]
constexpr uint8_t kLayout = 1;

enum Flag : uint8_t {
    kRxClosed = 1,
    kTxClosed = 2,
    kKeyUpdateOwed = 4,
    kHasPrevious = 8,
    kHasGenerations = 16,
    kHasHandshake = 32,
    kKnownFlags = 63,
};

// A sequence number beyond this is no record's: AEAD limits end a generation long before.
constexpr uint64_t kMaxSequence = uint64_t{1} << 48;
constexpr uint16_t kMinFragment = 64;  // the least RFC 8449 knows

uint8_t flags_of(const TlsProgress& p) {
    return static_cast<uint8_t>(
        (p.rx_closed ? kRxClosed : 0) | (p.tx_closed ? kTxClosed : 0) |
        (p.key_update_owed ? kKeyUpdateOwed : 0) | (p.has_previous ? kHasPrevious : 0) |
        (p.tx_generation != 0 || p.rx_generation != 0 ? kHasGenerations : 0) |
        (p.handshake_size != 0 ? kHasHandshake : 0));
}

void write(const TlsProgress& p, ByteWriter& to) {
    const uint8_t flags = flags_of(p);
    to.be(flags);
    to.be(p.tx_sequence);
    to.be(p.rx_sequence);
    if (flags & kHasGenerations) {
        to.be(p.tx_generation);
        to.be(p.rx_generation);
    }
    if (flags & kHasPrevious) to.be(p.previous_end);
    if (flags & kHasHandshake) {
        to.be(p.handshake_size);
        to.put(Bytes(p.handshake).first(p.handshake_size));
    }
}

bool read(TlsProgress& p, ByteReader& from) {
    const auto flags = from.be<uint8_t>();
    p.rx_closed = flags & kRxClosed;
    p.tx_closed = flags & kTxClosed;
    p.key_update_owed = flags & kKeyUpdateOwed;
    p.has_previous = flags & kHasPrevious;
    p.tx_sequence = from.be<uint64_t>();
    p.rx_sequence = from.be<uint64_t>();
    if (flags & kHasGenerations) {
        p.tx_generation = from.be<uint32_t>();
        p.rx_generation = from.be<uint32_t>();
    }
    if (p.has_previous) p.previous_end = from.be<uint64_t>();
    if (flags & kHasHandshake) {
        p.handshake_size = from.be<uint8_t>();
        if (p.handshake_size > p.handshake.size()) return false;
        from.copy(MutableBytes(p.handshake).first(p.handshake_size));
        if (p.handshake[0] != std::byte{24}) return false;  // only a KeyUpdate is ever kept
    }
    return from.ok() && (flags & ~kKnownFlags) == 0 && flags == flags_of(p) &&
           p.tx_sequence <= kMaxSequence && p.rx_sequence <= kMaxSequence &&
           p.previous_end <= kMaxSequence && (!p.has_previous || p.tx_generation > 0);
}

bool fits(const TlsProgress& p, const TlsSuite& suite) {
    return suite.is_tls13() || (p.tx_generation == 0 && p.rx_generation == 0 &&
                                p.handshake_size == 0 && !p.key_update_owed);
}

void write_secret(const TlsSecret& secret, const TlsSuite& suite, ByteWriter& to) {
    const Bytes bytes(secret);
    if (suite.is_tls13()) {
        to.put(bytes.first(suite.hash_size));
    } else {
        to.put(bytes.first(suite.key_size));
        to.put(bytes.subspan(kTls12IvAt, suite.iv_size()));
    }
}

void read_secret(TlsSecret& secret, const TlsSuite& suite, ByteReader& from) {
    const MutableBytes bytes(secret);
    if (suite.is_tls13()) {
        from.copy(bytes.first(suite.hash_size));
    } else {
        from.copy(bytes.first(suite.key_size));
        from.copy(bytes.subspan(kTls12IvAt, suite.iv_size()));
    }
}

}  // namespace

size_t serialise(const TlsProgress& progress, MutableBytes bytes) {
    ByteWriter to(bytes);
    write(progress, to);
    return to.ok() ? to.used() : 0;
}

std::optional<TlsProgress> parse_tls_progress(Bytes bytes) {
    ByteReader from(bytes);
    TlsProgress p;
    if (!read(p, from) || !from.done()) return std::nullopt;
    return p;
}

size_t serialise(const TlsRecordState& state, MutableBytes bytes) {
    const TlsSuite* suite = find_tls_suite(state.suite);
    if (suite == nullptr) return 0;
    ByteWriter to(bytes);
    to.be(kLayout);
    to.be(static_cast<uint8_t>(suite->version));
    to.be(state.suite);
    to.be(state.max_fragment);
    if (suite->explicit_size() > 0) to.be(state.explicit_nonce);
    write(state.progress, to);
    write_secret(state.tx, *suite, to);
    write_secret(state.rx, *suite, to);
    if (state.progress.has_previous) write_secret(state.previous_tx, *suite, to);
    return to.ok() ? to.used() : 0;
}

std::optional<TlsRecordState> parse_tls_record_state(Bytes bytes) {
    ByteReader from(bytes);
    TlsRecordState state;
    const auto layout = from.be<uint8_t>();
    const auto version = from.be<uint8_t>();
    state.suite = from.be<uint16_t>();
    state.max_fragment = from.be<uint16_t>();
    const TlsSuite* suite = find_tls_suite(state.suite);
    if (layout != kLayout || suite == nullptr || version != static_cast<uint8_t>(suite->version))
        return std::nullopt;
    if (state.max_fragment < kMinFragment || state.max_fragment > kTlsMaxPlaintext)
        return std::nullopt;
    if (suite->explicit_size() > 0) state.explicit_nonce = from.be<uint64_t>();
    if (!read(state.progress, from) || !fits(state.progress, *suite)) return std::nullopt;
    read_secret(state.tx, *suite, from);
    read_secret(state.rx, *suite, from);
    if (state.progress.has_previous) read_secret(state.previous_tx, *suite, from);
    if (!from.done()) return std::nullopt;
    return state;
}

}  // namespace holdfast
