// What a `tls` service offers its clients, loaded once: certificates by server name, protocols,
// cipher suites, client authentication, resumption (SSL_CTX and what belongs to it).
//
// Configured so that whatever a handshake agrees on can be carried on by another node
// (tls handshake and record layer): ECDHE and AEAD only, TLS 1.2 or 1.3, no renegotiation, no
// compression, no 0-RTT, no kernel TLS. Immutable after load() but for the ticket keys, which may
// be replaced at any time by any thread; shared by all workers and helper threads. A reload is a
// new context; handshakes under way keep the old one alive.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "dataplane/tls/suite.h"

namespace holdfast {

struct TlsCertificateFiles {
    std::string chain;  // PEM: the certificate first, then its issuers
    std::string key;    // PEM, unencrypted
    // The names it is shown for, "*.example.com" too (one label, RFC 6125 section 6.4); none: those
    // of the certificate itself.
    std::vector<std::string> names;
};

enum class TlsClientCertificate : uint8_t { none, optional, required };

// Where a resumable session lives: nowhere, here and at its owners, or sealed at the client; or
// there, and here only for a client of TLS 1.2 that takes no ticket.
enum class TlsResumption : uint8_t { none, stateful, stateless, mixed };

// The same on all nodes, rotated by the cluster: current first, then previous ones.
struct TlsTicketKey {
    std::array<std::byte, 16> name{};
    std::array<std::byte, 32> aes{};
    std::array<std::byte, 32> hmac{};
};

struct TlsOptions {
    std::string service;  // of the service; tells sessions of services apart
    std::vector<TlsCertificateFiles> certificates;  // the first is shown when no name fits
    std::vector<std::string> alpn;                  // in order of preference
    TlsClientCertificate client_certificate = TlsClientCertificate::none;
    std::string client_ca;  // PEM
    TlsVersion minimum = TlsVersion::tls12;
    std::vector<std::string> suites;  // OpenSSL's names, of kTlsSuites; none: all, AES first
    std::string groups;               // of key exchange; none: "X25519:P-256:P-384"
    TlsResumption resumption = TlsResumption::stateful;
    uint32_t session_lifetime_s = 7'200;
    // How long a client waits for its session to be had from a peer before all begins anew.
    Duration resume_wait = Duration::milliseconds(20);
    std::vector<TlsTicketKey> ticket_keys;  // for tickets: at least one
};

class TlsContext {
public:
    // The reason names the file.
    static std::expected<std::shared_ptr<TlsContext>, std::string> load(const TlsOptions& options);
    ~TlsContext();
    TlsContext(const TlsContext&) = delete;
    TlsContext& operator=(const TlsContext&) = delete;

    // Replaces them; not empty. The first seals, all open.
    void set_ticket_keys(std::span<const TlsTicketKey> keys);
    const TlsOptions& options() const;

    struct Impl;  // context_impl.h
    const Impl& impl() const { return *impl_; }

private:
    explicit TlsContext(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

// Once per process, before any key is loaded: private keys go to OpenSSL's locked, guarded heap.
// False when the limit of locked memory forbids it.
bool prepare_tls_key_memory(size_t bytes = size_t{1} << 20);

}  // namespace holdfast
