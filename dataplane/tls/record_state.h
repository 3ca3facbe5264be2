// All that a live TLS connection is, once its handshake is over: 80 to 200 bytes from which any
// node goes on sealing and opening its records. docs/invariants.md I3 says what must be held
// elsewhere before a record leaves.
//
// For TLS 1.3 the traffic secrets are kept, not the keys: a key cannot follow a KeyUpdate. No
// master, resumption or exporter secret: who reads a state reads this connection from its current
// generation on, nothing earlier and nothing else. TlsProgress is the part that moves with the
// records and is sent with them; the rest is sent when the handshake ends and at a KeyUpdate.
// Parsing is defensive: what is inconsistent is refused whole. Plain and trivially copyable;
// whoever holds one keeps it in secret memory or wipes it (base/secret_memory.h).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <type_traits>

#include "base/bytes.h"
#include "dataplane/tls/suite.h"

namespace holdfast {

struct TlsProgress {
    uint64_t tx_sequence = 0;    // the next record to reserve, in tx_generation
    uint64_t rx_sequence = 0;    // the next record to open, in rx_generation
    uint32_t tx_generation = 0;  // KeyUpdates so far
    uint32_t rx_generation = 0;
    uint64_t previous_end = 0;     // how many records tx_generation - 1 had, while it is kept
    bool rx_closed = false;        // nothing more will be opened: close_notify or a fatal alert
    bool tx_closed = false;        // our close_notify or fatal alert is reserved
    bool key_update_owed = false;  // the peer has asked for a KeyUpdate
    bool has_previous = false;     // records of tx_generation - 1 may have to be sealed again
    // A KeyUpdate message that came in pieces: what is here of its first four octets.
    uint8_t handshake_size = 0;
    std::array<std::byte, 4> handshake{};

    friend bool operator==(const TlsProgress&, const TlsProgress&) = default;
};

// 1.3: the traffic secret (hash_size octets). 1.2: the key, and at kTls12IvAt the implicit nonce.
using TlsSecret = std::array<std::byte, 48>;
inline constexpr size_t kTls12IvAt = 32;

struct TlsRecordState {
    uint16_t suite = 0;                        // IANA's number; names the version too
    uint16_t max_fragment = kTlsMaxPlaintext;  // plaintext octets the peer takes in a record
    // TLS 1.2 GCM: the explicit nonce of record n is this plus n. OpenSSL chose it at random for
    // its Finished (n = 0); going on from there cannot meet it again.
    uint64_t explicit_nonce = 0;
    TlsProgress progress;
    TlsSecret tx{};
    TlsSecret rx{};
    TlsSecret previous_tx{};

    friend bool operator==(const TlsRecordState&, const TlsRecordState&) = default;
};
static_assert(std::is_trivially_copyable_v<TlsRecordState>);

// 1 + 1 + 2 + 2 + 8 + progress + three secrets.
inline constexpr size_t kMaxTlsProgress = 1 + 8 + 8 + 4 + 4 + 8 + 1 + 4;
inline constexpr size_t kMaxTlsRecordState = 14 + kMaxTlsProgress + 3 * 48;

// Octets written, 0 when they did not fit.
size_t serialise(const TlsRecordState& state, MutableBytes to);
std::optional<TlsRecordState> parse_tls_record_state(Bytes bytes);

size_t serialise(const TlsProgress& progress, MutableBytes to);
std::optional<TlsProgress> parse_tls_progress(Bytes bytes);

}  // namespace holdfast
