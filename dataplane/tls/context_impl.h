// What TlsContext and TlsHandshake share and nobody else sees.
#pragma once

#include <openssl/ssl.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/tls/context.h"
#include "dataplane/tls/tickets.h"

namespace holdfast {

template <auto free>
struct OpensslFree {
    template <typename T>
    void operator()(T* p) const {
        free(p);
    }
};
template <typename T, auto free>
using OpensslPtr = std::unique_ptr<T, OpensslFree<free>>;

using SslCtxPtr = OpensslPtr<SSL_CTX, SSL_CTX_free>;

// What a handshake's callbacks find behind the SSL object; the handshake implements it.
class TlsHandshakeEvents {
public:
    virtual void on_key_log(const char* line) = 0;
    virtual void on_new_session(SSL_SESSION* session) = 0;
    virtual SSL_SESSION* find_session(Bytes id) = 0;

    static int index();  // of the ex_data
    static TlsHandshakeEvents* of(const SSL* ssl) {
        return static_cast<TlsHandshakeEvents*>(SSL_get_ex_data(ssl, index()));
    }

protected:
    ~TlsHandshakeEvents() = default;
};

struct TlsContext::Impl {
    TlsOptions options;
    std::vector<std::byte> alpn;      // as on the wire
    std::vector<SslCtxPtr> contexts;  // one for each set of certificates; the first is the default
    std::map<std::string, SSL_CTX*, std::less<>> by_name;      // "www.example.com"
    std::map<std::string, SSL_CTX*, std::less<>> by_wildcard;  // ".example.com"
    TicketKeys tickets;

    // For a name the client sent, in whatever case; nullptr: the default's.
    SSL_CTX* find(std::string_view name) const;
    bool keeps_sessions() const {
        return options.resumption == TlsResumption::stateful ||
               options.resumption == TlsResumption::mixed;
    }
    bool seals_tickets() const {
        return options.resumption == TlsResumption::stateless ||
               options.resumption == TlsResumption::mixed;
    }
};

}  // namespace holdfast
