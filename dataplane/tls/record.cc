#include "dataplane/tls/record.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace holdfast {
namespace {

constexpr uint16_t kWireVersion = 0x0303;

void copy_out(std::span<const Bytes> pieces, size_t from, MutableBytes to) {
    size_t done = 0;
    for (const Bytes piece : pieces) {
        if (done == to.size()) return;
        if (from >= piece.size()) {
            from -= piece.size();
            continue;
        }
        const size_t n = std::min(piece.size() - from, to.size() - done);
        std::memcpy(to.data() + done, piece.data() + from, n);
        done += n;
        from = 0;
    }
}

size_t total_size(std::span<const Bytes> pieces) {
    size_t size = 0;
    for (const Bytes piece : pieces) size += piece.size();
    return size;
}

}  // namespace

std::expected<std::optional<size_t>, TlsAlert> tls_record_size(Bytes bytes) {
    if (bytes.empty()) return std::nullopt;
    const auto type = static_cast<uint8_t>(bytes[0]);
    if (type < 20 || type > 23) return std::unexpected(TlsAlert::unexpected_message);
    if (bytes.size() >= 2 && bytes[1] != std::byte{3})
        return std::unexpected(TlsAlert::protocol_version);
    if (bytes.size() < kTlsHeaderSize) return std::nullopt;
    const size_t size = kTlsHeaderSize + load_be<uint16_t>(bytes.data() + 3);
    if (size > kTlsMaxRecord) return std::unexpected(TlsAlert::record_overflow);
    return size;
}

TlsRecordWorker::TlsRecordWorker(size_t max_connections, size_t contexts_per_kind)
    : arena_(TlsRecordLayer::kSecretsSize, max_connections), contexts_(contexts_per_kind) {}

// A record cut into what the AEAD wants: header, explicit nonce, ciphertext, tag.
struct TlsRecordLayer::Record {
    std::array<std::byte, kTlsHeaderSize> header;
    std::array<std::byte, 8> explicit_nonce;
    std::array<std::byte, kTlsTagSize> tag;
    TlsAeadContexts::Ciphertext text;

    // False when it is too short to be one.
    bool cut(std::span<const Bytes> from, const TlsSuite& suite) {
        const size_t all = total_size(from);
        const size_t before = kTlsHeaderSize + suite.explicit_size();
        CHECK(all >= kTlsHeaderSize && all <= kTlsMaxRecord);
        copy_out(from, 0, header);
        CHECK(all == kTlsHeaderSize + load_be<uint16_t>(header.data() + 3));
        if (all < before + kTlsTagSize) return false;
        copy_out(from, kTlsHeaderSize, MutableBytes(explicit_nonce).first(suite.explicit_size()));
        copy_out(from, all - kTlsTagSize, tag);
        text = {from, before, all - before - kTlsTagSize, tag};
        return true;
    }
    uint8_t type() const { return static_cast<uint8_t>(header[0]); }
};

std::optional<TlsRecordLayer> TlsRecordLayer::make(TlsRecordWorker& worker,
                                                   const TlsRecordState& state) {
    static_assert(sizeof(Secrets) <= kSecretsSize);
    const TlsSuite* suite = find_tls_suite(state.suite);
    if (suite == nullptr) return std::nullopt;
    SecretPtr<Secrets> secrets(worker.arena_);
    if (!secrets) return std::nullopt;
    secrets->state = state;
    return TlsRecordLayer(worker, std::move(secrets), *suite);
}

TlsRecordLayer::~TlsRecordLayer() { forget_all(); }

TlsRecordLayer& TlsRecordLayer::operator=(TlsRecordLayer&& other) noexcept {
    if (this == &other) return *this;
    forget_all();
    worker_ = other.worker_;
    secrets_ = std::move(other.secrets_);
    suite_ = other.suite_;
    search_ = other.search_;
    empty_records_ = other.empty_records_;
    nuisance_full_at_ = other.nuisance_full_at_;
    return *this;
}

void TlsRecordLayer::forget_all() {
    if (!secrets_) return;
    forget(secrets_->tx);
    forget(secrets_->rx);
    forget(secrets_->previous);
}

void TlsRecordLayer::forget(TlsTrafficKey& key) {
    if (key.number != 0) worker_->contexts_.forget(suite_->aead, key);
    wipe(std::as_writable_bytes(std::span(&key, 1)));
}

TlsTrafficKey& TlsRecordLayer::tx_key(TlsRecordName name) {
    const bool current = name.generation == progress().tx_generation;
    TlsTrafficKey& key = current ? secrets_->tx : secrets_->previous;
    if (key.number == 0) [[unlikely]]
        worker_->keys_.derive(*suite_, current ? secrets_->state.tx : secrets_->state.previous_tx,
                              key);
    return key;
}

TlsTrafficKey& TlsRecordLayer::rx_key() {
    if (secrets_->rx.number == 0) [[unlikely]]
        worker_->keys_.derive(*suite_, secrets_->state.rx, secrets_->rx);
    return secrets_->rx;
}

// --- writing ---

std::expected<TlsRecordName, TlsRefusal> TlsRecordLayer::take_name(size_t size, uint64_t limit) {
    TlsProgress& p = secrets_->state.progress;
    if (p.tx_closed) return std::unexpected(TlsRefusal::closed);
    if (size > max_fragment()) return std::unexpected(TlsRefusal::too_large);
    if (p.tx_sequence >= limit) return std::unexpected(TlsRefusal::key_exhausted);
    return TlsRecordName{p.tx_generation, p.tx_sequence++};
}

std::expected<TlsRecordName, TlsRefusal> TlsRecordLayer::reserve(size_t size) {
    return take_name(size, kDrainAt);
}

// Alerts and KeyUpdates may use what is left between the two limits.
std::expected<TlsRecordName, TlsRefusal> TlsRecordLayer::reserve_alert(TlsAlert alert) {
    auto name = take_name(2, kKeyLimit);
    if (name && !is_passing(alert)) secrets_->state.progress.tx_closed = true;
    return name;
}

std::expected<TlsRecordName, TlsRefusal> TlsRecordLayer::reserve_key_update() {
    TlsRecordState& state = secrets_->state;
    if (!suite_->is_tls13() || state.progress.has_previous)
        return std::unexpected(TlsRefusal::wait);
    const auto name = take_name(5, kKeyLimit);
    if (!name) return name;
    tx_key(*name);  // of the generation that ends here
    state.previous_tx = state.tx;
    worker_->keys_.next(*suite_, state.tx);
    std::swap(secrets_->previous, secrets_->tx);
    state.progress.previous_end = std::exchange(state.progress.tx_sequence, 0);
    state.progress.has_previous = true;
    state.progress.key_update_owed = false;
    ++state.progress.tx_generation;
    ++worker_->counters_.key_updates_sent;
    return name;
}

bool TlsRecordLayer::key_update_due() const {
    const TlsProgress& p = progress();
    return suite_->is_tls13() && !p.tx_closed && !p.has_previous &&
           (p.key_update_owed || p.tx_sequence >= kUpdateAt);
}

bool TlsRecordLayer::drain_due() const {
    return !suite_->is_tls13() && progress().tx_sequence >= kUpdateAt * 2;
}

void TlsRecordLayer::drop_previous() {
    forget(secrets_->previous);
    wipe(secrets_->state.previous_tx);
    secrets_->state.progress.has_previous = false;
    secrets_->state.progress.previous_end = 0;
}

std::expected<size_t, TlsRefusal> TlsRecordLayer::seal(TlsRecordName name, TlsContentType type,
                                                       std::span<const Bytes> pieces,
                                                       MutableBytes to) {
    const TlsProgress& p = progress();
    const bool current = name.generation == p.tx_generation;
    const bool previous = p.has_previous && name.generation + 1 == p.tx_generation;
    if (!current && !previous)
        return std::unexpected(name.generation < p.tx_generation ? TlsRefusal::key_gone
                                                                 : TlsRefusal::not_reserved);
    if (name.sequence >= (current ? p.tx_sequence : p.previous_end))
        return std::unexpected(TlsRefusal::not_reserved);
    const size_t size = total_size(pieces);
    if (size > max_fragment()) return std::unexpected(TlsRefusal::too_large);
    if (to.size() < sealed_size(size)) return std::unexpected(TlsRefusal::no_room);

    const TlsTrafficKey& key = tx_key(name);
    ByteWriter header(to);
    header.be(static_cast<uint8_t>(suite_->is_tls13() ? TlsContentType::application_data : type));
    header.be(kWireVersion);
    header.be(static_cast<uint16_t>(sealed_size(size) - kTlsHeaderSize));
    std::array<std::byte, 8> explicit_nonce;
    store_be(explicit_nonce.data(), secrets_->state.explicit_nonce + name.sequence);
    header.put(Bytes(explicit_nonce).first(suite_->explicit_size()));

    std::array<std::byte, 13> aad;
    const auto body = to.subspan(header.used(), sealed_size(size) - header.used());
    worker_->contexts_.seal(suite_->aead, key, nonce(key, name.sequence, explicit_nonce.data()),
                            aad_of(to.first(kTlsHeaderSize), name.sequence, size, aad), pieces,
                            suite_->is_tls13() ? static_cast<int>(type) : -1, body);
    ++worker_->counters_.sealed;
    worker_->counters_.sealed_bytes += size;
    return sealed_size(size);
}

TlsAeadContexts::Nonce TlsRecordLayer::nonce(const TlsTrafficKey& key, uint64_t sequence,
                                             const std::byte* explicit_nonce) const {
    TlsAeadContexts::Nonce nonce{key.iv};
    if (suite_->explicit_size() > 0) {
        std::memcpy(nonce.bytes.data() + 4, explicit_nonce, 8);
    } else {
        std::byte* low = nonce.bytes.data() + 4;
        store_be(low, load_be<uint64_t>(low) ^ sequence);
    }
    return nonce;
}

// What is authenticated beside the plaintext: in TLS 1.3 the header as sent, in TLS 1.2 sequence,
// type, version and the plaintext's length.
Bytes TlsRecordLayer::aad_of(Bytes header, uint64_t sequence, size_t plaintext,
                             std::array<std::byte, 13>& space) const {
    if (suite_->is_tls13()) return header;
    ByteWriter to(space);
    to.be(sequence);
    to.put(header.first(3));
    to.be(static_cast<uint16_t>(plaintext));
    return to.written();
}

// --- reading ---

std::unexpected<TlsAlert> TlsRecordLayer::refuse(TlsAlert alert) {
    ++(alert == TlsAlert::bad_record_mac ? worker_->counters_.bad_record_mac
                                         : worker_->counters_.refused_records);
    secrets_->state.progress.rx_closed = true;
    return std::unexpected(alert);
}

// Peers may say useless things now and then, not all the time.
bool TlsRecordLayer::is_nuisance(Instant now) {
    nuisance_full_at_ = std::max(nuisance_full_at_, now - kNuisanceInterval * kNuisanceBurst);
    if (nuisance_full_at_ + kNuisanceInterval > now) return true;
    nuisance_full_at_ = nuisance_full_at_ + kNuisanceInterval;
    return false;
}

std::expected<TlsOpened, TlsAlert> TlsRecordLayer::open(std::span<const Bytes> bytes,
                                                        MutableBytes to, Instant now) {
    if (progress().rx_closed) return TlsOpened{};  // RFC 8446 section 6.1: ignored
    CHECK(to.size() >= kTlsMaxRecord);
    Record record;
    const bool long_enough = record.cut(bytes, *suite_);
    // In TLS 1.3 everything is application data outside; in 1.2 the type is what it says.
    if (suite_->is_tls13() && record.type() != uint8_t(TlsContentType::application_data))
        return refuse(TlsAlert::unexpected_message);
    if (!suite_->is_tls13() && load_be<uint16_t>(record.header.data() + 1) != kWireVersion)
        return refuse(TlsAlert::protocol_version);
    if (!long_enough) return refuse(TlsAlert::bad_record_mac);
    if (!unseal(record, progress().rx_sequence, to) && !find(record, to))
        return refuse(TlsAlert::bad_record_mac);
    search_ = 0;
    ++secrets_->state.progress.rx_sequence;
    ++worker_->counters_.opened;

    size_t size = record.text.size;
    uint8_t type = record.type();
    if (suite_->is_tls13()) {  // zeros are padding, the type is what is not
        while (size > 0 && to[size - 1] == std::byte{0}) --size;
        if (size == 0) return refuse(TlsAlert::unexpected_message);
        type = static_cast<uint8_t>(to[--size]);
    }
    if (size > kTlsMaxPlaintext) return refuse(TlsAlert::record_overflow);
    worker_->counters_.opened_bytes += size;
    return on_content(type, to.first(size), now);
}

bool TlsRecordLayer::unseal(const Record& record, uint64_t sequence, MutableBytes to) {
    const TlsTrafficKey& key = rx_key();
    std::array<std::byte, 13> aad;
    return worker_->contexts_.open(
        suite_->aead, key, nonce(key, sequence, record.explicit_nonce.data()),
        aad_of(record.header, sequence, record.text.size, aad), record.text, to);
}

// The sequence number we last heard of may be older than the record at hand. Only reading is
// involved; whichever number the tag confirms is right.
bool TlsRecordLayer::find(const Record& record, MutableBytes to) {
    if (search_ == 0) return false;
    TlsProgress& p = secrets_->state.progress;
    for (uint64_t i = 1; i <= search_; ++i) {
        ++worker_->counters_.trial_openings;
        if (!unseal(record, p.rx_sequence + i, to)) continue;
        p.rx_sequence += i;
        ++worker_->counters_.resynchronised;
        return true;
    }
    if (!suite_->is_tls13()) return false;
    // A KeyUpdate in between: it may have asked for one of ours, and one too many is legal.
    next_rx_generation();
    p.handshake_size = 0;
    for (uint64_t i = 0; i <= search_; ++i) {
        ++worker_->counters_.trial_openings;
        if (!unseal(record, i, to)) continue;
        p.rx_sequence = i;
        p.key_update_owed = true;
        ++worker_->counters_.resynchronised;
        return true;
    }
    return false;
}

std::expected<TlsOpened, TlsAlert> TlsRecordLayer::on_content(uint8_t type, Bytes content,
                                                              Instant now) {
    // Between the pieces of a handshake message there is nothing else (RFC 8446 section 5.1).
    if (progress().handshake_size > 0 && type != uint8_t(TlsContentType::handshake))
        return refuse(TlsAlert::unexpected_message);
    switch (type) {
        case uint8_t(TlsContentType::application_data):
            if (content.empty()) {
                if (++empty_records_ > kMaxEmptyRecords)
                    return refuse(TlsAlert::unexpected_message);
                return TlsOpened{};
            }
            empty_records_ = 0;
            return TlsOpened{TlsEvent::data, {}, content};
        case uint8_t(TlsContentType::alert):
            return on_alert(content, now);
        case uint8_t(TlsContentType::handshake):
            return on_handshake(content, now);
        default:
            return refuse(TlsAlert::unexpected_message);
    }
}

std::expected<TlsOpened, TlsAlert> TlsRecordLayer::on_alert(Bytes content, Instant now) {
    ++worker_->counters_.alerts_received;
    if (content.size() != 2) return refuse(TlsAlert::decode_error);
    const auto level = static_cast<uint8_t>(content[0]);
    const auto alert = static_cast<TlsAlert>(content[1]);
    if (alert == TlsAlert::close_notify) {
        secrets_->state.progress.rx_closed = true;
        return TlsOpened{TlsEvent::close_notify, alert, {}};
    }
    // RFC 8446 section 6: whatever the level says, all but these two are fatal. TLS 1.2 has
    // warnings.
    const bool warning =
        alert == TlsAlert::user_canceled || (!suite_->is_tls13() && level == kTlsWarning);
    if (warning)
        return is_nuisance(now) ? refuse(TlsAlert::unexpected_message)
                                : std::expected<TlsOpened, TlsAlert>(TlsOpened{});
    secrets_->state.progress.rx_closed = true;
    secrets_->state.progress.tx_closed = true;
    return TlsOpened{TlsEvent::fatal_alert, alert, {}};
}

// After the handshake a client has one message to send: KeyUpdate, which ends its record
// (RFC 8446 section 5.1). It may come in pieces; four octets of it are kept at most.
std::expected<TlsOpened, TlsAlert> TlsRecordLayer::on_handshake(Bytes content, Instant now) {
    if (!suite_->is_tls13()) {
        if (is_nuisance(now)) return refuse(TlsAlert::unexpected_message);
        ++worker_->counters_.renegotiations_refused;
        return TlsOpened{TlsEvent::renegotiation_refused, {}, {}};
    }
    if (content.empty()) return refuse(TlsAlert::unexpected_message);
    TlsProgress& p = secrets_->state.progress;
    std::array<std::byte, 5> message;
    std::memcpy(message.data(), p.handshake.data(), p.handshake_size);
    const size_t n = std::min(content.size(), message.size() - p.handshake_size);
    std::memcpy(message.data() + p.handshake_size, content.data(), n);
    const size_t size = p.handshake_size + n;
    if (message[0] != std::byte{24}) return refuse(TlsAlert::unexpected_message);
    for (size_t i = 1; i < std::min<size_t>(size, 4); ++i)
        if (message[i] != (i == 3 ? std::byte{1} : std::byte{0}))
            return refuse(TlsAlert::decode_error);
    if (n < content.size()) return refuse(TlsAlert::unexpected_message);
    if (size < message.size()) {
        if (is_nuisance(now)) return refuse(TlsAlert::unexpected_message);
        std::memcpy(p.handshake.data(), message.data(), size);
        p.handshake_size = static_cast<uint8_t>(size);
        return TlsOpened{};
    }
    p.handshake_size = 0;
    p.handshake = {};
    if (is_nuisance(now)) return refuse(TlsAlert::unexpected_message);
    return on_key_update(static_cast<uint8_t>(message[4]));
}

std::expected<TlsOpened, TlsAlert> TlsRecordLayer::on_key_update(uint8_t request) {
    if (request > 1) return refuse(TlsAlert::illegal_parameter);
    next_rx_generation();
    if (request == 1) secrets_->state.progress.key_update_owed = true;
    ++worker_->counters_.key_updates_received;
    return TlsOpened{TlsEvent::key_update, {}, {}};
}

void TlsRecordLayer::next_rx_generation() {
    TlsRecordState& state = secrets_->state;
    worker_->keys_.next(*suite_, state.rx);
    forget(secrets_->rx);
    state.progress.rx_sequence = 0;
    ++state.progress.rx_generation;
}

}  // namespace holdfast
