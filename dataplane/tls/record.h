// The detached record layer: TLS 1.2 and 1.3 records of a connection whose handshake is over
// (RFC 8446 section 5, RFC 5246 section 6, RFC 5288, RFC 7905), without an SSL object.
//
// Writing is two steps. reserve() gives a record its name, (generation, sequence), once; the caller
// notes what it holds and has that held elsewhere. seal() makes the record's bytes from name and
// content, as often as asked, on any node, always the same bytes; it knows no other nonce than that
// of a reserved name. So no nonce serves two plaintexts as long as the caller gives a name one
// content (I3). Reading never doubts: a tag is right or the connection ends with the alert
// returned. State lives in secret memory and is derived lazily: an adopted connection costs nothing
// until it speaks. Nothing is allocated after construction. Not here: order of alerts behind queued
// data, what is acknowledged, when to close; those are the caller's.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>

#include "base/bytes.h"
#include "base/counters.h"
#include "base/secret_memory.h"
#include "base/time.h"
#include "dataplane/tls/alert.h"
#include "dataplane/tls/keys.h"
#include "dataplane/tls/record_state.h"

namespace holdfast {

struct TlsRecordCounters {
    uint64_t sealed = 0;
    uint64_t sealed_bytes = 0;
    uint64_t opened = 0;
    uint64_t opened_bytes = 0;
    uint64_t bad_record_mac = 0;
    uint64_t refused_records = 0;
    uint64_t key_updates_sent = 0;
    uint64_t key_updates_received = 0;
    uint64_t alerts_received = 0;
    uint64_t renegotiations_refused = 0;
    uint64_t trial_openings = 0;
    uint64_t resynchronised = 0;
};

inline constexpr CounterInfo<TlsRecordCounters> kTlsRecordCounters[] = {
    {"tls_records_sealed", "Records sealed, repeats included.", &TlsRecordCounters::sealed},
    {"tls_bytes_sealed", "Plaintext octets sealed, repeats included.",
     &TlsRecordCounters::sealed_bytes},
    {"tls_records_opened", "Records opened.", &TlsRecordCounters::opened},
    {"tls_bytes_opened", "Plaintext octets of opened records.", &TlsRecordCounters::opened_bytes},
    {"tls_bad_record_mac", "Records whose tag was wrong.", &TlsRecordCounters::bad_record_mac},
    {"tls_records_refused", "Records that broke a rule of the protocol.",
     &TlsRecordCounters::refused_records},
    {"tls_key_updates_sent", "KeyUpdates of ours.", &TlsRecordCounters::key_updates_sent},
    {"tls_key_updates_received", "KeyUpdates of peers.", &TlsRecordCounters::key_updates_received},
    {"tls_alerts_received", "Alerts of peers, close_notify included.",
     &TlsRecordCounters::alerts_received},
    {"tls_renegotiations_refused", "Handshake records of TLS 1.2 after the handshake.",
     &TlsRecordCounters::renegotiations_refused},
    {"tls_trial_openings", "Tries to open a record under a later number, after an adoption.",
     &TlsRecordCounters::trial_openings},
    {"tls_resynchronised", "Connections whose reading position was found by trying.",
     &TlsRecordCounters::resynchronised},
};

// A record of ours: its name is its nonce.
struct TlsRecordName {
    uint32_t generation = 0;
    uint64_t sequence = 0;

    friend auto operator<=>(const TlsRecordName&, const TlsRecordName&) = default;
};

enum class TlsRefusal : uint8_t {
    closed,         // after our close_notify or fatal alert nothing is reserved
    too_large,      // more than max_fragment
    no_room,        // `to` is smaller than the record
    key_exhausted,  // the AEAD's limit: close, or a KeyUpdate first
    not_reserved,   // a name nobody gave out
    key_gone,       // of a generation that is no longer kept
    wait,           // a KeyUpdate while the generation before the last is still kept, or in TLS 1.2
};

enum class TlsEvent : uint8_t {
    none,                   // nothing the caller need know: an empty record, a passing alert
    data,                   // application data
    key_update,             // the peer's key changed; ask key_update_due()
    close_notify,           // the peer writes no more
    fatal_alert,            // the peer is gone: `alert` says why; answer nothing
    renegotiation_refused,  // TLS 1.2: say so with reserve_alert(no_renegotiation), go on
};

struct TlsOpened {
    TlsEvent event = TlsEvent::none;
    TlsAlert alert{};
    Bytes data;  // in the caller's buffer
};

// The length on the wire, header included, of the record that begins with these bytes: nothing yet
// when fewer than 5 are here, an alert for what can be no record.
std::expected<std::optional<size_t>, TlsAlert> tls_record_size(Bytes bytes);

// What a worker's connections share. One thread.
class TlsRecordWorker {
public:
    // 512 octets of secret memory a connection; 8 KB a context (of each kind).
    explicit TlsRecordWorker(size_t max_connections, size_t contexts_per_kind = 256);

    TlsKeySchedule& keys() { return keys_; }
    TlsAeadContexts& contexts() { return contexts_; }
    TlsRecordCounters& counters() { return counters_; }
    const SecretArena& arena() const { return arena_; }

private:
    friend class TlsRecordLayer;
    SecretArena arena_;
    TlsKeySchedule keys_;
    TlsAeadContexts contexts_;
    TlsRecordCounters counters_;
};

class TlsRecordLayer {
public:
    // RFC 8446 section 5.5: 2^24.5 full records under one AES-GCM key. We update ours at 2^23.
    static constexpr uint64_t kUpdateAt = uint64_t{1} << 23;
    static constexpr uint64_t kDrainAt = 23'600'000;
    static constexpr uint64_t kKeyLimit = 23'726'566;
    static constexpr unsigned kMaxEmptyRecords = 32;  // in a row; OpenSSL's limit
    static constexpr size_t kSecretsSize = 512;       // of secret memory per connection
    // KeyUpdates, warnings and the like a peer may send at once, and then per second: 8, as GnuTLS.
    static constexpr int kNuisanceBurst = 32;
    static constexpr Duration kNuisanceInterval = Duration::milliseconds(125);

    // Nothing when the worker's secret memory is full or the suite unknown.
    static std::optional<TlsRecordLayer> make(TlsRecordWorker& worker, const TlsRecordState& state);
    ~TlsRecordLayer();
    TlsRecordLayer(TlsRecordLayer&&) noexcept = default;
    TlsRecordLayer& operator=(TlsRecordLayer&& other) noexcept;

    const TlsSuite& suite() const { return *suite_; }
    const TlsProgress& progress() const { return secrets_->state.progress; }
    // To be sent sealed and at KeyUpdates: holds secrets.
    const TlsRecordState& state() const { return secrets_->state; }

    // --- writing ---
    size_t sealed_size(size_t plaintext) const { return plaintext + suite_->overhead(); }
    size_t max_fragment() const { return secrets_->state.max_fragment; }
    TlsRecordName next_tx() const { return {progress().tx_generation, progress().tx_sequence}; }
    // A name for the next record of application data with `size` octets.
    std::expected<TlsRecordName, TlsRefusal> reserve(size_t size);
    // For an alert; its content is tls_alert_message(). All but the passing ones close our side.
    std::expected<TlsRecordName, TlsRefusal> reserve_alert(TlsAlert alert);
    // For a KeyUpdate; its content is tls_key_update_message(). What is reserved next has a new
    // key.
    std::expected<TlsRecordName, TlsRefusal> reserve_key_update();
    // The peer has asked for one, or our key has served long enough; and it is possible now.
    bool key_update_due() const;
    // TLS 1.2 has no KeyUpdate: the connection should be closed soon.
    bool drain_due() const;
    // The bytes of a reserved record; their number.
    std::expected<size_t, TlsRefusal> seal(TlsRecordName name, TlsContentType type,
                                           std::span<const Bytes> pieces, MutableBytes to);
    // All records of the generation before this one are acknowledged: its key goes.
    void drop_previous();

    // --- reading ---
    // One whole record, in as many pieces as it came. Plaintext goes to `to` (kTlsMaxRecord
    // octets).
    std::expected<TlsOpened, TlsAlert> open(std::span<const Bytes> record, MutableBytes to,
                                            Instant now);
    // After an adoption rx_sequence may be behind: the next record is tried under that many later
    // numbers, and under as many of the next generation.
    void search(uint32_t tries) { search_ = tries; }

private:
    struct Secrets {
        TlsRecordState state;
        TlsTrafficKey tx, rx, previous;
    };
    struct Record;

    TlsRecordLayer(TlsRecordWorker& worker, SecretPtr<Secrets> secrets, const TlsSuite& suite)
        : worker_(&worker), secrets_(std::move(secrets)), suite_(&suite) {}

    void forget_all();
    void forget(TlsTrafficKey& key);
    TlsTrafficKey& tx_key(TlsRecordName name);
    TlsTrafficKey& rx_key();
    std::expected<TlsRecordName, TlsRefusal> take_name(size_t size, uint64_t limit);
    TlsAeadContexts::Nonce nonce(const TlsTrafficKey& key, uint64_t sequence,
                                 const std::byte* explicit_nonce) const;
    Bytes aad_of(Bytes header, uint64_t sequence, size_t plaintext,
                 std::array<std::byte, 13>& space) const;
    bool unseal(const Record& record, uint64_t sequence, MutableBytes to);
    bool find(const Record& record, MutableBytes to);
    std::expected<TlsOpened, TlsAlert> on_content(uint8_t type, Bytes content, Instant now);
    std::expected<TlsOpened, TlsAlert> on_handshake(Bytes content, Instant now);
    std::expected<TlsOpened, TlsAlert> on_alert(Bytes content, Instant now);
    std::expected<TlsOpened, TlsAlert> on_key_update(uint8_t request);
    void next_rx_generation();
    bool is_nuisance(Instant now);
    std::unexpected<TlsAlert> refuse(TlsAlert alert);

    TlsRecordWorker* worker_;
    SecretPtr<Secrets> secrets_;
    const TlsSuite* suite_;
    uint32_t search_ = 0;
    uint8_t empty_records_ = 0;
    // The nuisance bucket: when it will have been filled.
    Instant nuisance_full_at_{std::numeric_limits<int64_t>::min() / 2};
};

}  // namespace holdfast
