// The cipher suites whose connections can be carried on: ECDHE with an AEAD, nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace holdfast {

enum class TlsVersion : uint8_t { tls12 = 12, tls13 = 13 };

enum class TlsAead : uint8_t { aes_128_gcm, aes_256_gcm, chacha20_poly1305 };
inline constexpr size_t kTlsAeads = 3;

inline constexpr size_t kTlsTagSize = 16;
inline constexpr size_t kTlsHeaderSize = 5;
inline constexpr size_t kTlsMaxPlaintext = 16'384;  // RFC 8446 section 5.1
inline constexpr size_t kTlsMaxRecord = kTlsHeaderSize + kTlsMaxPlaintext + 256;  // section 5.2

struct TlsSuite {
    uint16_t id;  // IANA's
    TlsVersion version;
    TlsAead aead;
    uint8_t key_size;
    uint8_t hash_size;      // of the PRF or HKDF: 32 or 48
    std::string_view name;  // OpenSSL's

    bool is_gcm() const { return aead != TlsAead::chacha20_poly1305; }
    bool is_tls13() const { return version == TlsVersion::tls13; }
    // Of the part of the nonce that never changes.
    size_t iv_size() const { return !is_tls13() && is_gcm() ? 4 : 12; }
    // TLS 1.2 GCM shows eight octets of its nonce in each record (RFC 5288).
    size_t explicit_size() const { return !is_tls13() && is_gcm() ? 8 : 0; }
    // What a record is longer than its plaintext; TLS 1.3 hides the type behind it.
    size_t overhead() const {
        return kTlsHeaderSize + explicit_size() + (is_tls13() ? 1 : 0) + kTlsTagSize;
    }
};

inline constexpr TlsSuite kTlsSuites[] = {
    {0x1301, TlsVersion::tls13, TlsAead::aes_128_gcm, 16, 32, "TLS_AES_128_GCM_SHA256"},
    {0x1302, TlsVersion::tls13, TlsAead::aes_256_gcm, 32, 48, "TLS_AES_256_GCM_SHA384"},
    {0x1303, TlsVersion::tls13, TlsAead::chacha20_poly1305, 32, 32, "TLS_CHACHA20_POLY1305_SHA256"},
    {0xc02b, TlsVersion::tls12, TlsAead::aes_128_gcm, 16, 32, "ECDHE-ECDSA-AES128-GCM-SHA256"},
    {0xc02c, TlsVersion::tls12, TlsAead::aes_256_gcm, 32, 48, "ECDHE-ECDSA-AES256-GCM-SHA384"},
    {0xc02f, TlsVersion::tls12, TlsAead::aes_128_gcm, 16, 32, "ECDHE-RSA-AES128-GCM-SHA256"},
    {0xc030, TlsVersion::tls12, TlsAead::aes_256_gcm, 32, 48, "ECDHE-RSA-AES256-GCM-SHA384"},
    {0xcca8, TlsVersion::tls12, TlsAead::chacha20_poly1305, 32, 32, "ECDHE-RSA-CHACHA20-POLY1305"},
    {0xcca9, TlsVersion::tls12, TlsAead::chacha20_poly1305, 32, 32,
     "ECDHE-ECDSA-CHACHA20-POLY1305"},
};

constexpr const TlsSuite* find_tls_suite(uint16_t id) {
    for (const TlsSuite& suite : kTlsSuites)
        if (suite.id == id) return &suite;
    return nullptr;
}

constexpr const TlsSuite* find_tls_suite(std::string_view name) {
    for (const TlsSuite& suite : kTlsSuites)
        if (suite.name == name) return &suite;
    return nullptr;
}

}  // namespace holdfast
