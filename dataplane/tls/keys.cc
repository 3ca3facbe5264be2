#include "dataplane/tls/keys.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>

#include "base/check.h"
#include "base/secret_memory.h"

namespace holdfast {
namespace {

unsigned char* raw(std::byte* p) { return reinterpret_cast<unsigned char*>(p); }
const unsigned char* raw(const std::byte* p) { return reinterpret_cast<const unsigned char*>(p); }

// How many KeyUpdates a progress may be ahead of the secrets it came with. These are sent anew at
// every KeyUpdate, so a few are all that can be under way: a guess, generous.
constexpr uint32_t kMaxGenerationsAhead = 64;

}  // namespace

// HMAC with each hash, made once: fetching costs more than the MAC.
struct TlsKeySchedule::Macs {
    EVP_MAC_CTX* sha256 = make("SHA256");
    EVP_MAC_CTX* sha384 = make("SHA384");

    static EVP_MAC_CTX* make(const char* digest) {
        EVP_MAC* mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
        CHECK(mac != nullptr);
        EVP_MAC_CTX* context = EVP_MAC_CTX_new(mac);
        EVP_MAC_free(mac);
        char name[8];
        std::strcpy(name, digest);
        const OSSL_PARAM params[] = {
            OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
            OSSL_PARAM_construct_end()};
        CHECK(context != nullptr && EVP_MAC_CTX_set_params(context, params) == 1);
        return context;
    }
    ~Macs() {
        EVP_MAC_CTX_free(sha256);
        EVP_MAC_CTX_free(sha384);
    }
};

TlsKeySchedule::TlsKeySchedule() : macs_(std::make_unique<Macs>()) {}
TlsKeySchedule::~TlsKeySchedule() = default;

// One block of HKDF-Expand is all that is ever asked for: at most hash_size octets.
void TlsKeySchedule::expand_label(const TlsSuite& suite, Bytes secret, const char* label,
                                  MutableBytes out) {
    CHECK(out.size() <= suite.hash_size);
    const std::string_view name = label;
    std::array<std::byte, 32> info;
    ByteWriter to(info);
    to.be(static_cast<uint16_t>(out.size()));
    to.be(static_cast<uint8_t>(6 + name.size()));
    to.put(std::as_bytes(std::span("tls13 ", 6)));
    to.put(std::as_bytes(std::span(name)));
    to.be(uint8_t{0});  // no context
    to.be(uint8_t{1});  // HKDF-Expand's counter
    EVP_MAC_CTX* mac = suite.hash_size == 32 ? macs_->sha256 : macs_->sha384;
    std::array<std::byte, 48> block;
    size_t size = 0;
    CHECK(EVP_MAC_init(mac, raw(secret.data()), suite.hash_size, nullptr) == 1);
    CHECK(EVP_MAC_update(mac, raw(info.data()), to.used()) == 1);
    CHECK(EVP_MAC_final(mac, raw(block.data()), &size, block.size()) == 1);
    std::memcpy(out.data(), block.data(), out.size());
    wipe(block);
}

void TlsKeySchedule::derive(const TlsSuite& suite, const TlsSecret& secret, TlsTrafficKey& key) {
    key.number = ++numbers_;
    const auto key_bytes = MutableBytes(key.key).first(suite.key_size);
    if (suite.is_tls13()) {
        expand_label(suite, secret, "key", key_bytes);
        expand_label(suite, secret, "iv", key.iv);
    } else {
        std::memcpy(key_bytes.data(), secret.data(), key_bytes.size());
        std::memcpy(key.iv.data(), secret.data() + kTls12IvAt, suite.iv_size());
    }
}

void TlsKeySchedule::next(const TlsSuite& suite, TlsSecret& secret) {
    TlsSecret current = secret;
    expand_label(suite, current, "traffic upd", MutableBytes(secret).first(suite.hash_size));
    wipe(current);
}

bool advance(TlsRecordState& state, const TlsProgress& to, TlsKeySchedule& keys) {
    const TlsProgress& from = state.progress;
    const TlsSuite* suite = find_tls_suite(state.suite);
    const auto behind = [](uint32_t ga, uint64_t sa, uint32_t gb, uint64_t sb) {
        return ga < gb || (ga == gb && sa < sb);
    };
    if (suite == nullptr ||
        behind(to.tx_generation, to.tx_sequence, from.tx_generation, from.tx_sequence) ||
        behind(to.rx_generation, to.rx_sequence, from.rx_generation, from.rx_sequence))
        return false;
    const uint32_t tx_steps = to.tx_generation - from.tx_generation;
    const uint32_t rx_steps = to.rx_generation - from.rx_generation;
    if (tx_steps > kMaxGenerationsAhead || rx_steps > kMaxGenerationsAhead) return false;
    if (!suite->is_tls13() && (tx_steps != 0 || rx_steps != 0)) return false;
    if (to.has_previous && tx_steps == 0 && !from.has_previous) return false;
    for (uint32_t i = 0; i < tx_steps; ++i) {
        state.previous_tx = state.tx;
        keys.next(*suite, state.tx);
    }
    for (uint32_t i = 0; i < rx_steps; ++i) keys.next(*suite, state.rx);
    if (!to.has_previous) wipe(state.previous_tx);
    state.progress = to;
    return true;
}

struct TlsAeadContexts::Slot {
    EVP_CIPHER_CTX* context = nullptr;
    uint64_t number = 0;

    ~Slot() { EVP_CIPHER_CTX_free(context); }  // wipes the key schedule
};

TlsAeadContexts::TlsAeadContexts(size_t per_kind)
    : per_kind_(per_kind), slots_(std::make_unique<Slot[]>(2 * kTlsAeads * per_kind)) {
    CHECK(std::has_single_bit(per_kind));
    static constexpr const char* kNames[kTlsAeads] = {"AES-128-GCM", "AES-256-GCM",
                                                      "ChaCha20-Poly1305"};
    for (size_t i = 0; i < 2 * kTlsAeads; ++i) {
        EVP_CIPHER* cipher = EVP_CIPHER_fetch(nullptr, kNames[i % kTlsAeads], nullptr);
        CHECK(cipher != nullptr);
        for (size_t j = 0; j < per_kind; ++j) {
            EVP_CIPHER_CTX* c = slots_[i * per_kind + j].context = EVP_CIPHER_CTX_new();
            CHECK(c != nullptr && EVP_CipherInit_ex(c, cipher, nullptr, nullptr, nullptr,
                                                    i < kTlsAeads ? 0 : 1) == 1);
        }
        EVP_CIPHER_free(cipher);
    }
}

TlsAeadContexts::~TlsAeadContexts() = default;

TlsAeadContexts::Slot& TlsAeadContexts::keyed_slot(bool seal, TlsAead aead,
                                                   const TlsTrafficKey& key) {
    const size_t kind = (seal ? kTlsAeads : 0) + static_cast<size_t>(aead);
    Slot& slot = slots_[kind * per_kind_ + (key.number & (per_kind_ - 1))];
    if (slot.number != key.number) {
        CHECK(EVP_CipherInit_ex(slot.context, nullptr, nullptr, raw(key.key.data()), nullptr, -1) ==
              1);
        slot.number = key.number;
        ++keyed_;
    }
    return slot;
}

void TlsAeadContexts::seal(TlsAead aead, const TlsTrafficKey& key, const Nonce& nonce, Bytes aad,
                           std::span<const Bytes> pieces, int last, MutableBytes to) {
    EVP_CIPHER_CTX* c = keyed_slot(true, aead, key).context;
    unsigned char* out = raw(to.data());
    int n = 0;
    CHECK(EVP_EncryptInit_ex(c, nullptr, nullptr, nullptr, raw(nonce.bytes.data())) == 1);
    CHECK(EVP_EncryptUpdate(c, nullptr, &n, raw(aad.data()), static_cast<int>(aad.size())) == 1);
    for (const Bytes piece : pieces) {
        if (piece.empty()) continue;
        CHECK(EVP_EncryptUpdate(c, out, &n, raw(piece.data()), static_cast<int>(piece.size())) ==
              1);
        out += piece.size();
    }
    if (last >= 0) {
        const auto type = static_cast<unsigned char>(last);
        CHECK(EVP_EncryptUpdate(c, out++, &n, &type, 1) == 1);
    }
    CHECK(EVP_EncryptFinal_ex(c, out, &n) == 1);
    CHECK(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, kTlsTagSize, out) == 1);
}

bool TlsAeadContexts::open(TlsAead aead, const TlsTrafficKey& key, const Nonce& nonce, Bytes aad,
                           const Ciphertext& text, MutableBytes to) {
    EVP_CIPHER_CTX* c = keyed_slot(false, aead, key).context;
    unsigned char* out = raw(to.data());
    std::array<std::byte, kTlsTagSize> tag;
    std::memcpy(tag.data(), text.tag.data(), tag.size());
    int n = 0;
    CHECK(EVP_DecryptInit_ex(c, nullptr, nullptr, nullptr, raw(nonce.bytes.data())) == 1);
    CHECK(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, kTlsTagSize, tag.data()) == 1);
    CHECK(EVP_DecryptUpdate(c, nullptr, &n, raw(aad.data()), static_cast<int>(aad.size())) == 1);
    size_t skip = text.skip, rest = text.size;
    for (Bytes piece : text.pieces) {
        const size_t skipped = std::min(skip, piece.size());
        skip -= skipped;
        piece = piece.subspan(skipped);
        piece = piece.first(std::min(piece.size(), rest));
        if (piece.empty()) continue;
        CHECK(EVP_DecryptUpdate(c, out, &n, raw(piece.data()), static_cast<int>(piece.size())) ==
              1);
        out += piece.size();
        rest -= piece.size();
    }
    return EVP_DecryptFinal_ex(c, out, &n) == 1;
}

void TlsAeadContexts::forget(TlsAead aead, const TlsTrafficKey& key) {
    static constexpr std::array<std::byte, 32> kNothing{};
    for (size_t direction = 0; direction < 2; ++direction) {
        const size_t kind = direction * kTlsAeads + static_cast<size_t>(aead);
        Slot& slot = slots_[kind * per_kind_ + (key.number & (per_kind_ - 1))];
        if (slot.number != key.number || key.number == 0) continue;
        CHECK(EVP_CipherInit_ex(slot.context, nullptr, nullptr, raw(kNothing.data()), nullptr,
                                -1) == 1);
        slot.number = 0;
    }
}

}  // namespace holdfast
