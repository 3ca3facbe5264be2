// From a traffic secret to keys: HKDF-Expand-Label (RFC 8446 section 7.1), and a worker's AEAD
// contexts.
//
// A context is 1.3 KB and takes about 170 ns to key, a third of what sealing 1,400 octets takes; a
// connection does not own one. A worker has some per AEAD and direction, found by the key's number:
// as many connections as that key once, ten thousand cost no more memory and key as they take turns
// (BM_SealInTurns: 456 ns a record of AES-128-GCM when keyed, 630 when not, at 16,384 contexts and
// ten thousand connections 530: the cache misses eat half of it). All are made at construction; one
// thread uses them. Failing inside OpenSSL where no input is at fault is a failed CHECK. Contexts
// are OpenSSL's own memory; forget() overwrites a key schedule that may be in one.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "dataplane/tls/record_state.h"

namespace holdfast {

struct TlsTrafficKey {
    uint64_t number = 0;  // unique in this process's AeadContexts; 0: not derived
    std::array<std::byte, 32> key{};
    std::array<std::byte, 12> iv{};
};

class TlsKeySchedule {
public:
    TlsKeySchedule();
    ~TlsKeySchedule();
    TlsKeySchedule(const TlsKeySchedule&) = delete;
    TlsKeySchedule& operator=(const TlsKeySchedule&) = delete;

    // The key of a secret. TLS 1.3: derived; TLS 1.2: taken out of it.
    void derive(const TlsSuite& suite, const TlsSecret& secret, TlsTrafficKey& key);
    // The secret of the next generation (RFC 8446 section 7.2).
    void next(const TlsSuite& suite, TlsSecret& secret);

private:
    struct Macs;
    void expand_label(const TlsSuite& suite, Bytes secret, const char* label, MutableBytes out);

    std::unique_ptr<Macs> macs_;
    uint64_t numbers_ = 0;
};

// Moves `state` forward to `progress`, deriving the secrets of generations in between. False, and
// nothing changed, when that is not forward or too far: then the state is of no use for writing.
bool advance(TlsRecordState& state, const TlsProgress& progress, TlsKeySchedule& keys);

class TlsAeadContexts {
public:
    // How many contexts per AEAD and direction: a power of two.
    explicit TlsAeadContexts(size_t per_kind);
    ~TlsAeadContexts();
    TlsAeadContexts(const TlsAeadContexts&) = delete;
    TlsAeadContexts& operator=(const TlsAeadContexts&) = delete;

    struct Nonce {
        std::array<std::byte, 12> bytes;
    };
    // `to` takes the pieces' octets, `last` if it is not -1 (TLS 1.3's inner type) and the tag.
    void seal(TlsAead aead, const TlsTrafficKey& key, const Nonce& nonce, Bytes aad,
              std::span<const Bytes> pieces, int last, MutableBytes to);
    // `size` octets of ciphertext, which begin `skip` octets into the pieces, and their tag.
    struct Ciphertext {
        std::span<const Bytes> pieces;
        size_t skip = 0;
        size_t size = 0;
        Bytes tag;
    };
    // Into `to`; false when the tag is wrong.
    bool open(TlsAead aead, const TlsTrafficKey& key, const Nonce& nonce, Bytes aad,
              const Ciphertext& text, MutableBytes to);
    // Overwrites what is left of a key.
    void forget(TlsAead aead, const TlsTrafficKey& key);

    uint64_t keyed() const { return keyed_; }

private:
    struct Slot;
    Slot& keyed_slot(bool seal, TlsAead aead, const TlsTrafficKey& key);

    size_t per_kind_;
    std::unique_ptr<Slot[]> slots_;  // [seal][aead][per_kind]
    uint64_t keyed_ = 0;
};

}  // namespace holdfast
