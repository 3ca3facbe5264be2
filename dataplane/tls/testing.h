// For tests and benchmarks: certificates made on the spot, OpenSSL clients over memory, and a
// server that is our handshake and record layer.
#pragma once

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <functional>
#include <string>
#include <vector>

#include "dataplane/tls/context_impl.h"
#include "dataplane/tls/handshake.h"
#include "dataplane/tls/record.h"

namespace holdfast::tls_testing {

using Buffer = std::vector<std::byte>;

inline Bytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }
inline std::string text_of(Bytes bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// PEM files in a folder of this process, made once: "ec", "rsa", "ca", "client" (by ca), "wild"
// (EC, *.wild.example) and "other" (EC, other.example); ec and rsa are for www.example.com.
std::string chain_file(const std::string& name);
std::string key_file(const std::string& name);
TlsCertificateFiles certificate(const std::string& name, std::vector<std::string> names = {});

std::shared_ptr<TlsContext> load(const TlsOptions& options);
// With the EC and the RSA certificate.
TlsOptions usual();

struct ClientOptions {
    int version = 0;  // TLS1_2_VERSION, TLS1_3_VERSION; 0: both
    std::string suites = {};
    std::string sni = "www.example.com";
    std::vector<std::string> alpn = {};
    std::string groups = {};
    std::string signatures = {};
    bool with_certificate = false;
    bool with_tickets = true;
    uint8_t fragment_code = 0;  // RFC 6066's max_fragment_length
    int min_version_any = 0;    // TLS 1.0 and 1.1 too
    SSL_SESSION* session = nullptr;
    std::string early_data = {};  // sent with `session`, whatever its server allowed
};

class Client {
public:
    explicit Client(const ClientOptions& options = {});
    // As if closed in good order: else its session would not be resumable.
    ~Client();

    // Bytes to the server; `from_server` may be empty. Application data read goes to received().
    Buffer exchange(Bytes from_server);
    bool connected() const { return SSL_is_init_finished(ssl_.get()) == 1; }
    Buffer write(std::string_view text);
    Buffer update_key(bool request);
    Buffer close();
    std::string received() { return std::exchange(received_, {}); }
    bool saw_close() const { return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }
    const std::string& error() const { return error_; }
    bool reused() const { return SSL_session_reused(ssl_.get()) == 1; }
    OpensslPtr<SSL_SESSION, SSL_SESSION_free> session() const;
    SSL* ssl() { return ssl_.get(); }
    int key_updates_seen = 0;

private:
    Buffer flush();

    SslCtxPtr ctx_;
    OpensslPtr<SSL, SSL_free> ssl_;
    BIO* in_ = nullptr;
    BIO* out_ = nullptr;
    std::string received_;
    std::string error_;
};

struct Shaken {
    TlsHandshakeStatus status = TlsHandshakeStatus::want_more;
    TlsHandshakeFailure failure = TlsHandshakeFailure::none;
    TlsDetached detached;
    Buffer leftover;     // from the client, behind the handshake
    Buffer last_flight;  // of ours, already given to the client
};

// Runs a handshake to its end. `offers` are the sessions of the "cluster".
Shaken shake(std::shared_ptr<const TlsContext> context, Client& client,
             const std::vector<TlsSession>& offers = {});

// A connection with secrets from a seed, no handshake needed.
TlsRecordState made_up_state(uint16_t suite, uint64_t seed = 1);
// Who reads what a state writes.
TlsRecordState mirrored(TlsRecordState state);

// Our side after the handshake.
class Server {
public:
    explicit Server(const TlsRecordState& state, size_t contexts = 4);

    Buffer seal(std::string_view text, TlsContentType type = TlsContentType::application_data);
    Buffer alert(TlsAlert alert);
    Buffer key_update(bool request);
    // All whole records in it; what they held, or the alert. Events in the order they came.
    std::expected<std::string, TlsAlert> open(Bytes stream);
    std::vector<TlsEvent> events;
    // Everything through its serialised form, into a fresh object.
    void move_house();

    TlsRecordLayer& layer() { return *layer_; }
    TlsRecordWorker& worker() { return *worker_; }
    Instant now{};

private:
    std::unique_ptr<TlsRecordWorker> worker_;
    std::optional<TlsRecordLayer> layer_;
    size_t contexts_;
};

}  // namespace holdfast::tls_testing
