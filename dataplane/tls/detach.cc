#include "dataplane/tls/detach.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/x509.h>

#include <cstring>

#include "dataplane/tls/context_impl.h"

namespace holdfast {
namespace {

constexpr size_t kMaxSubject = 1024;
constexpr uint8_t kChangeCipherSpec = 20, kApplicationData = 23;

unsigned char* raw(std::byte* p) { return reinterpret_cast<unsigned char*>(p); }

// RFC 5246 section 6.3, without MAC keys: client's key, server's key, client's IV, server's IV.
bool tls12_key_block(SSL* ssl, const TlsSuite& suite, MutableBytes block) {
    std::array<std::byte, SSL_MAX_MASTER_KEY_LENGTH> master;
    std::array<std::byte, 64> randoms;
    const size_t size =
        SSL_SESSION_get_master_key(SSL_get_session(ssl), raw(master.data()), master.size());
    SSL_get_server_random(ssl, raw(randoms.data()), 32);
    SSL_get_client_random(ssl, raw(randoms.data()) + 32, 32);
    char digest[8], label[] = "key expansion";
    std::strcpy(digest, suite.hash_size == 48 ? "SHA384" : "SHA256");
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, master.data(), size),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, label, sizeof label - 1),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, randoms.data(), randoms.size()),
        OSSL_PARAM_construct_end()};
    EVP_KDF* kdf = EVP_KDF_fetch(nullptr, "TLS1-PRF", nullptr);
    EVP_KDF_CTX* context = kdf != nullptr ? EVP_KDF_CTX_new(kdf) : nullptr;
    const bool ok = context != nullptr && size > 0 &&
                    EVP_KDF_derive(context, raw(block.data()), block.size(), params) == 1;
    EVP_KDF_CTX_free(context);
    EVP_KDF_free(kdf);
    wipe(master);
    return ok;
}

bool tls12_secrets(SSL* ssl, const TlsSuite& suite, TlsRecordState& state) {
    std::array<std::byte, 2 * (32 + 12)> space;
    const size_t key = suite.key_size, iv = suite.iv_size();
    const bool ok = tls12_key_block(ssl, suite, MutableBytes(space).first(2 * (key + iv)));
    if (ok) {
        std::memcpy(state.rx.data(), space.data(), key);
        std::memcpy(state.tx.data(), space.data() + key, key);
        std::memcpy(state.rx.data() + kTls12IvAt, space.data() + 2 * key, iv);
        std::memcpy(state.tx.data() + kTls12IvAt, space.data() + 2 * key + iv, iv);
    }
    wipe(space);
    return ok;
}

bool read_state(SSL* ssl, const RecordTally& tally, const DetachedSecrets& secrets,
                TlsRecordState& state) {
    const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl);
    const TlsSuite* suite =
        cipher != nullptr ? find_tls_suite(SSL_CIPHER_get_protocol_id(cipher)) : nullptr;
    if (suite == nullptr) return false;
    const bool tls13 = suite->is_tls13();
    if (SSL_version(ssl) != (tls13 ? TLS1_3_VERSION : TLS1_2_VERSION)) return false;
    state.suite = suite->id;
    const uint8_t code = SSL_SESSION_get_max_fragment_length(SSL_get_session(ssl));
    if (code > 4) return false;
    if (code > 0) state.max_fragment = static_cast<uint16_t>(256 << code);  // RFC 6066 section 4
    state.progress.tx_sequence = tally.tx(tls13);
    state.progress.rx_sequence = tally.rx(tls13);
    if (tls13) {
        state.tx = secrets.tx;
        state.rx = secrets.rx;
        return secrets.has_tx && secrets.has_rx && state.progress.rx_sequence == 0;
    }
    if (suite->explicit_size() > 0) state.explicit_nonce = tally.explicit_nonce();
    return state.progress.tx_sequence == 1 && state.progress.rx_sequence == 1 &&
           tls12_secrets(ssl, *suite, state);
}

bool read_subject(SSL* ssl, std::string& subject) {
    X509* certificate = SSL_get0_peer_certificate(ssl);
    if (certificate == nullptr) return true;
    OpensslPtr<BIO, BIO_free> bio(BIO_new(BIO_s_mem()));
    char* text = nullptr;
    if (!bio ||
        X509_NAME_print_ex(bio.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) < 0)
        return false;
    const long size = BIO_get_mem_data(bio.get(), &text);
    if (size < 0 || static_cast<size_t>(size) > kMaxSubject) return false;
    subject.assign(text, static_cast<size_t>(size));
    return true;
}

}  // namespace

void RecordTally::on_record(bool ours, Bytes record) {
    const auto type = static_cast<uint8_t>(record[0]);
    bool& changed = ours ? tx_changed_ : rx_changed_;
    if (changed) {
        uint64_t& behind = ours ? tx_behind_change_ : rx_behind_change_;
        if (ours && behind == 0 && record.size() >= 13)
            explicit_nonce_ = load_be<uint64_t>(record.data() + 5);
        ++behind;
    }
    if (type == kChangeCipherSpec) changed = true;
    if (application_keys_ && type == kApplicationData)
        ++(ours ? tx_behind_finished_ : rx_behind_finished_);
}

bool RecordTally::same_counts(const RecordTally& other) const {
    return tx_behind_finished_ == other.tx_behind_finished_ &&
           rx_behind_finished_ == other.rx_behind_finished_ &&
           tx_behind_change_ == other.tx_behind_change_ &&
           rx_behind_change_ == other.rx_behind_change_;
}

bool read_out(SSL* ssl, const RecordTally& tally, const DetachedSecrets& secrets,
              TlsDetached& detached) {
    if (!read_state(ssl, tally, secrets, *detached.state) ||
        !read_subject(ssl, detached.client_subject)) {
        detached.state.clear();
        ERR_clear_error();
        return false;
    }
    const unsigned char* alpn = nullptr;
    unsigned alpn_size = 0;
    SSL_get0_alpn_selected(ssl, &alpn, &alpn_size);
    if (alpn != nullptr) detached.alpn.assign(reinterpret_cast<const char*>(alpn), alpn_size);
    if (const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) detached.sni = name;
    detached.resumed = SSL_session_reused(ssl) == 1;
    return true;
}

}  // namespace holdfast
