#include "replication/ring/seal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstring>
#include <string_view>

#include "base/check.h"
#include "replication/ring/frame.h"

namespace holdfast {
namespace {

unsigned char* raw(std::byte* p) { return reinterpret_cast<unsigned char*>(p); }
const unsigned char* raw(const std::byte* p) { return reinterpret_cast<const unsigned char*>(p); }
Bytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

using Digest = std::array<std::byte, 32>;

Digest hmac_sha256(Bytes key, Bytes message) {
    Digest out;
    unsigned size = 0;
    CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), raw(message.data()),
               message.size(), raw(out.data()), &size) != nullptr &&
          size == out.size());
    return out;
}

std::array<unsigned char, 12> mixed(Nonce nonce, const std::array<std::byte, 12>& salt) {
    std::array<unsigned char, 12> iv;
    store_be(iv.data(), nonce.high);
    store_be(iv.data() + 4, nonce.low);
    for (size_t i = 0; i < iv.size(); ++i) iv[i] ^= static_cast<unsigned char>(salt[i]);
    return iv;
}

}  // namespace

std::array<std::byte, 32> hkdf_extract(Bytes salt, Bytes key) { return hmac_sha256(salt, key); }

void hkdf_expand(const Digest& prk, Bytes info, MutableBytes out) {
    CHECK(out.size() <= 2 * sizeof(Digest) && info.size() <= 80);
    std::array<std::byte, 32 + 80 + 1> message;
    Digest block{};
    size_t done = 0;
    for (uint8_t i = 1; done < out.size(); ++i) {
        ByteWriter to(message);
        if (i > 1) to.put(block);
        to.put(info);
        to.le(i);
        block = hmac_sha256(prk, to.written());
        size_t n = std::min(block.size(), out.size() - done);
        std::memcpy(out.data() + done, block.data(), n);
        done += n;
    }
    OPENSSL_cleanse(message.data(), message.size());
    OPENSSL_cleanse(block.data(), block.size());
}

// Two contexts, because switching one between directions repeats the key schedule.
struct AeadKey::Contexts {
    EVP_CIPHER_CTX* seal = EVP_CIPHER_CTX_new();
    EVP_CIPHER_CTX* open = EVP_CIPHER_CTX_new();
    ~Contexts() {  // wipes the keys
        EVP_CIPHER_CTX_free(seal);
        EVP_CIPHER_CTX_free(open);
    }
};

AeadKey::AeadKey(Cipher cipher)
    : contexts_(std::make_unique<Contexts>()), key_size_(cipher == Cipher::aes_128_gcm ? 16 : 32) {
    const EVP_CIPHER* c =
        cipher == Cipher::aes_128_gcm ? EVP_aes_128_gcm() : EVP_chacha20_poly1305();
    CHECK(contexts_->seal != nullptr && contexts_->open != nullptr);
    CHECK(EVP_EncryptInit_ex(contexts_->seal, c, nullptr, nullptr, nullptr) == 1);
    CHECK(EVP_DecryptInit_ex(contexts_->open, c, nullptr, nullptr, nullptr) == 1);
}

AeadKey::~AeadKey() { OPENSSL_cleanse(salt_.data(), salt_.size()); }

void AeadKey::set(Bytes key, const std::array<std::byte, 12>& salt) {
    CHECK(key.size() >= key_size_);
    salt_ = salt;
    CHECK(EVP_EncryptInit_ex(contexts_->seal, nullptr, nullptr, raw(key.data()), nullptr) == 1);
    CHECK(EVP_DecryptInit_ex(contexts_->open, nullptr, nullptr, raw(key.data()), nullptr) == 1);
}

void AeadKey::seal(Nonce nonce, size_t header_size, MutableBytes frame) {
    CHECK(frame.size() >= header_size + kFrameTagSize);
    EVP_CIPHER_CTX* c = contexts_->seal;
    auto iv = mixed(nonce, salt_);
    unsigned char* body = raw(frame.data() + header_size);
    int body_size = static_cast<int>(frame.size() - header_size - kFrameTagSize);
    int n = 0;
    CHECK(EVP_EncryptInit_ex(c, nullptr, nullptr, nullptr, iv.data()) == 1);
    CHECK(EVP_EncryptUpdate(c, nullptr, &n, raw(frame.data()), static_cast<int>(header_size)) == 1);
    CHECK(body_size == 0 || EVP_EncryptUpdate(c, body, &n, body, body_size) == 1);
    CHECK(EVP_EncryptFinal_ex(c, body + body_size, &n) == 1);
    CHECK(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, kFrameTagSize, body + body_size) == 1);
}

bool AeadKey::open(Nonce nonce, size_t header_size, Bytes frame, MutableBytes to, Bytes& out) {
    out = {};
    if (frame.size() < header_size + kFrameTagSize) return false;
    size_t size = frame.size() - header_size - kFrameTagSize;
    CHECK(to.size() >= size);
    EVP_CIPHER_CTX* c = contexts_->open;
    auto iv = mixed(nonce, salt_);
    const unsigned char* body = raw(frame.data() + header_size);
    std::array<unsigned char, kFrameTagSize> tag;
    std::memcpy(tag.data(), body + size, tag.size());
    int n = 0;
    bool ok = EVP_DecryptInit_ex(c, nullptr, nullptr, nullptr, iv.data()) == 1 &&
              EVP_DecryptUpdate(c, nullptr, &n, raw(frame.data()), static_cast<int>(header_size)) &&
              (size == 0 ||
               EVP_DecryptUpdate(c, raw(to.data()), &n, body, static_cast<int>(size)) == 1) &&
              EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, tag.size(), tag.data()) == 1 &&
              EVP_DecryptFinal_ex(c, raw(to.data()) + size, &n) == 1;
    if (ok) out = to.first(size);
    return ok;
}

KeySource::KeySource(const std::array<std::byte, 32>& secret)
    : prk_(hkdf_extract(bytes_of("holdfast ring v1"), secret)) {
    std::array<std::byte, 8> tag;
    hkdf_expand(prk_, bytes_of("cluster"), tag);
    cluster_ = load_le<uint64_t>(tag.data());
}

KeySource::~KeySource() { OPENSSL_cleanse(prk_.data(), prk_.size()); }

void KeySource::derive(const KeyName& name, AeadKey& key) {
    std::array<std::byte, 32> info;
    ByteWriter to(info);
    to.put(bytes_of("key"));
    to.le(static_cast<uint8_t>(name.key_class));
    to.le(name.node.value);
    to.le(name.worker);
    to.le(name.incarnation.value);
    to.le(name.generation);
    std::array<std::byte, 32 + 12> out;
    hkdf_expand(prk_, to.written(), out);
    std::array<std::byte, 12> salt;
    std::memcpy(salt.data(), out.data() + 32, salt.size());
    key.set(std::span(out).first(32), salt);
    OPENSSL_cleanse(out.data(), out.size());
    ++derived_;
}

void DataKeys::restart(KeySource& source, NodeId node, uint8_t worker, Incarnation incarnation) {
    source_ = &source;
    name_ = {KeyClass::data, node, worker, incarnation, 0};
    generation_.fill(UINT64_MAX);
}

AeadKey& DataKeys::at(Position position) {
    uint64_t generation = position.value >> kGenerationBits;
    size_t i = generation & 1;
    if (generation_[i] != generation) [[unlikely]] {
        name_.generation = generation_[i] = generation;
        source_->derive(name_, keys_[i]);
    }
    return keys_[i];
}

}  // namespace holdfast
