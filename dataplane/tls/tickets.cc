#include "dataplane/tls/tickets.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <cstring>

#include "base/secret_memory.h"

namespace holdfast {
namespace {

const unsigned char* raw(const std::byte* p) { return reinterpret_cast<const unsigned char*>(p); }

}  // namespace

struct TicketKeys::List {
    std::vector<TlsTicketKey> keys;
    ~List() { wipe(std::as_writable_bytes(std::span(keys))); }
};

TicketKeys::~TicketKeys() = default;

void TicketKeys::set(std::span<const TlsTicketKey> keys) {
    auto list = std::make_shared<List>();
    list->keys.assign(keys.begin(), keys.end());
    keys_.store(std::move(list));
}

bool TicketKeys::key_mac(const TlsTicketKey& key, EVP_MAC_CTX* mac) {
    char digest[] = "SHA256";
    auto hmac = key.hmac;
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, hmac.data(), hmac.size()),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end()};
    const bool ok = EVP_MAC_CTX_set_params(mac, params) == 1;
    wipe(hmac);
    return ok;
}

int TicketKeys::seal(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                     EVP_MAC_CTX* mac) const {
    const auto list = keys_.load();
    if (!list || list->keys.empty()) return -1;
    const TlsTicketKey& key = list->keys.front();
    std::memcpy(name, key.name.data(), key.name.size());
    const bool ok =
        RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1 &&
        EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr, raw(key.aes.data()), iv) &&
        key_mac(key, mac);
    return ok ? 1 : -1;
}

int TicketKeys::open(const unsigned char* name, const unsigned char* iv, EVP_CIPHER_CTX* cipher,
                     EVP_MAC_CTX* mac) const {
    const auto list = keys_.load();
    if (!list) return 0;
    for (const TlsTicketKey& key : list->keys) {
        if (std::memcmp(name, key.name.data(), key.name.size()) != 0) continue;
        const bool ok = key_mac(key, mac) && EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), nullptr,
                                                                raw(key.aes.data()), iv) == 1;
        if (!ok) return -1;
        return &key == &list->keys.front() ? 1 : 2;
    }
    return 0;
}

}  // namespace holdfast
