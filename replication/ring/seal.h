// Sealing and opening the ring's datagrams: AES-128-GCM (NIST SP 800-38D) or ChaCha20-Poly1305
// (RFC 8439), keys by HKDF-SHA-256 (RFC 5869) from the cluster secret.
//
// Each start of a node has its own keys, so that the numbers of its frames, which begin anew, are
// never used twice as nonces. Three classes: DATA (nonce: position; a new key every 2^22 datagrams,
// QUIC's limit is 2^23), control (nonce: a counter) and hello (nonce: counter and incarnation; the
// key is the node's whatever its incarnation, so that an unknown start can be tested without
// deriving anything). Contexts are made once: nothing is allocated per datagram. Keys are wiped at
// the end.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "base/cluster.h"
#include "replication/ring/ring_options.h"

namespace holdfast {

// RFC 5869, SHA-256. Expand gives at most 64 bytes.
std::array<std::byte, 32> hkdf_extract(Bytes salt, Bytes key);
void hkdf_expand(const std::array<std::byte, 32>& prk, Bytes info, MutableBytes out);

enum class KeyClass : uint8_t { data = 1, control, hello };

struct KeyName {
    KeyClass key_class{};
    NodeId node;
    uint8_t worker = 0;
    Incarnation incarnation;  // 0 for hello
    uint64_t generation = 0;  // of DATA keys
};

// 96 bits; XORed with the key's own salt, as in TLS 1.3.
struct Nonce {
    uint32_t high = 0;
    uint64_t low = 0;
};

// One key, ready for use.
class AeadKey {
public:
    explicit AeadKey(Cipher cipher);
    ~AeadKey();
    AeadKey(const AeadKey&) = delete;
    AeadKey& operator=(const AeadKey&) = delete;

    void set(Bytes key, const std::array<std::byte, 12>& salt);
    // `frame` is header, body and room for the tag; header_size bytes are authenticated only.
    void seal(Nonce nonce, size_t header_size, MutableBytes frame);
    // The body, unsealed into `to` (at least as large as the frame), or an empty span and false.
    bool open(Nonce nonce, size_t header_size, Bytes frame, MutableBytes to, Bytes& body);

private:
    struct Contexts;
    std::unique_ptr<Contexts> contexts_;
    std::array<std::byte, 12> salt_{};
    size_t key_size_;
};

// Where keys come from.
class KeySource {
public:
    explicit KeySource(const std::array<std::byte, 32>& secret);
    ~KeySource();

    // A tag of the secret that may be shown: tells clusters apart.
    uint64_t cluster() const { return cluster_; }
    void derive(const KeyName& name, AeadKey& key);
    uint64_t derived() const { return derived_; }

private:
    std::array<std::byte, 32> prk_;
    uint64_t cluster_ = 0;
    uint64_t derived_ = 0;
};

// The DATA keys of one incarnation: the current generation and the one before it or after it, so
// that repairs across a rotation need no new derivation.
class DataKeys {
public:
    static constexpr unsigned kGenerationBits = 22;

    explicit DataKeys(Cipher cipher) : keys_{AeadKey(cipher), AeadKey(cipher)} {}
    void restart(KeySource& source, NodeId node, uint8_t worker, Incarnation incarnation);
    // Positions passed in must stay within 2^22 of each other, apart from a steady advance.
    AeadKey& at(Position position);

private:
    KeySource* source_ = nullptr;
    KeyName name_;
    std::array<AeadKey, 2> keys_;
    std::array<uint64_t, 2> generation_{UINT64_MAX, UINT64_MAX};
};

}  // namespace holdfast
