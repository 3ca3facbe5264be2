// Stateless session tickets (RFC 5077 section 4, RFC 8446 section 4.6.1) sealed with keys that all
// nodes share: AES-256-CBC and HMAC-SHA-256, as OpenSSL's own. For OpenSSL's ticket key callback.
//
// Keys may be replaced by any thread while others seal and open. A ticket under a previous key
// resumes, and the client is given a new one.
#pragma once

#include <openssl/evp.h>

#include <atomic>
#include <memory>
#include <vector>

#include "dataplane/tls/context.h"

namespace holdfast {

class TicketKeys {
public:
    ~TicketKeys();
    void set(std::span<const TlsTicketKey> keys);
    bool empty() const { return !keys_.load(); }

    // As SSL_CTX_set_tlsext_ticket_key_evp_cb(3) asks: -1 error, 0 no such key, 1 done, 2 renew.
    int seal(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
             EVP_MAC_CTX* mac) const;
    int open(const unsigned char* name, const unsigned char* iv, EVP_CIPHER_CTX* cipher,
             EVP_MAC_CTX* mac) const;

private:
    struct List;
    static bool key_mac(const TlsTicketKey& key, EVP_MAC_CTX* mac);
    std::atomic<std::shared_ptr<const List>> keys_;
};

}  // namespace holdfast
