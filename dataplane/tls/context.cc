#include "dataplane/tls/context.h"

#include <openssl/crypto.h>
#include <openssl/err.h>

#include <algorithm>
#include <set>

#include "base/check.h"
#include "base/secret_memory.h"
#include "dataplane/tls/certificates.h"
#include "dataplane/tls/context_impl.h"

namespace holdfast {
namespace {

using Failure = std::unexpected<std::string>;
using Loaded = std::vector<LoadedCertificate>;

// What every client has. OpenSSL's own list has finite fields too, fifty times the work for us.
constexpr const char* kGroups = "X25519:P-256:P-384";

// --- callbacks ---

void key_log(const SSL* ssl, const char* line) { TlsHandshakeEvents::of(ssl)->on_key_log(line); }

int new_session(SSL* ssl, SSL_SESSION* session) {
    TlsHandshakeEvents::of(ssl)->on_new_session(session);
    return 0;  // no reference is kept
}

SSL_SESSION* get_session(SSL* ssl, const unsigned char* id, int size, int* copy) {
    *copy = 0;  // the reference returned is OpenSSL's
    return TlsHandshakeEvents::of(ssl)->find_session(
        std::as_bytes(std::span(id, static_cast<size_t>(size))));
}

int choose_certificate(SSL* ssl, int*, void* arg) {
    const auto* context = static_cast<const TlsContext::Impl*>(arg);
    const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
    SSL_CTX* chosen = context->find(name);
    if (chosen == nullptr) return SSL_TLSEXT_ERR_NOACK;  // the default's, as if not asked
    SSL_set_SSL_CTX(ssl, chosen);
    return SSL_TLSEXT_ERR_OK;
}

// RFC 7301 section 3.2: a client none of whose protocols we speak is told so.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* in, unsigned in_size, void* arg) {
    const auto& ours = static_cast<const TlsContext::Impl*>(arg)->alpn;
    unsigned char* chosen = nullptr;
    const int result = SSL_select_next_proto(&chosen, out_size,
                                             reinterpret_cast<const unsigned char*>(ours.data()),
                                             static_cast<unsigned>(ours.size()), in, in_size);
    *out = chosen;
    return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

int ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
               EVP_MAC_CTX* mac, int sealing) {
    const auto* keys = static_cast<const TicketKeys*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
    if (sealing) return keys->seal(name, iv, cipher, mac);
    const int opened = keys->open(name, iv, cipher, mac);
    // Clients use a TLS 1.3 ticket once (RFC 8446 appendix C.4), so each brings a new one.
    return opened == 1 && SSL_version(ssl) == TLS1_3_VERSION ? 2 : opened;
}

// --- loading ---

std::expected<std::pair<std::string, std::string>, std::string> suite_lists(
    const TlsOptions& options) {
    std::string tls12, tls13;
    const auto add = [&](const TlsSuite& suite) {
        std::string& list = suite.is_tls13() ? tls13 : tls12;
        list += (list.empty() ? "" : ":") + std::string(suite.name);
    };
    for (const std::string& name : options.suites) {
        const TlsSuite* suite = find_tls_suite(name);
        if (suite == nullptr) return Failure("cipher suite " + name + ": not one of ours");
        add(*suite);
    }
    if (options.suites.empty())
        for (const TlsSuite& suite : kTlsSuites) add(suite);
    if (options.minimum == TlsVersion::tls13) tls12.clear();
    if (tls12.empty() && tls13.empty()) return Failure("no cipher suite is left");
    return std::pair(tls12, tls13);
}

std::expected<void, std::string> set_suites(SSL_CTX* ctx, const TlsOptions& options) {
    const auto lists = suite_lists(options);
    if (!lists) return Failure(lists.error());
    const auto& [tls12, tls13] = *lists;
    bool ok = SSL_CTX_set_min_proto_version(ctx, tls12.empty() ? TLS1_3_VERSION : TLS1_2_VERSION) &&
              SSL_CTX_set_max_proto_version(ctx, tls13.empty() ? TLS1_2_VERSION : TLS1_3_VERSION) &&
              SSL_CTX_set_ciphersuites(ctx, tls13.c_str()) == 1 &&
              (tls12.empty() || SSL_CTX_set_cipher_list(ctx, tls12.c_str()) == 1);
    if (!ok) return Failure("cipher suites: " + openssl_error());
    const std::string groups = options.groups.empty() ? kGroups : options.groups;
    if (SSL_CTX_set1_groups_list(ctx, groups.c_str()) != 1)
        return Failure("groups " + groups + ": " + openssl_error());
    return {};
}

std::expected<void, std::string> set_client_authority(SSL_CTX* ctx, const TlsOptions& options) {
    if (options.client_certificate == TlsClientCertificate::none) return {};
    const char* file = options.client_ca.c_str();
    STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(file);
    if (names == nullptr || SSL_CTX_load_verify_file(ctx, file) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return Failure(options.client_ca + ": no certificates of an authority: " + openssl_error());
    }
    SSL_CTX_set_client_CA_list(ctx, names);
    SSL_CTX_set_verify(ctx,
                       options.client_certificate == TlsClientCertificate::required
                           ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
                           : SSL_VERIFY_PEER,
                       nullptr);
    return {};
}

void set_resumption(SSL_CTX* ctx, const TlsContext::Impl& impl) {
    const TlsOptions& options = impl.options;
    unsigned char id[32];
    unsigned size = 0;
    const std::string name = "holdfast " + options.service;
    CHECK(EVP_Digest(name.data(), name.size(), id, &size, EVP_sha256(), nullptr) == 1);
    CHECK(SSL_CTX_set_session_id_context(ctx, id, size) == 1);
    SSL_CTX_set_timeout(ctx, static_cast<long>(options.session_lifetime_s));
    SSL_CTX_set_num_tickets(ctx, options.resumption == TlsResumption::none ? 0 : 1);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (!impl.seals_tickets()) SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    if (impl.keeps_sessions()) {
        SSL_CTX_set_session_cache_mode(
            ctx, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL | SSL_SESS_CACHE_NO_AUTO_CLEAR);
        SSL_CTX_sess_set_new_cb(ctx, new_session);
        SSL_CTX_sess_set_get_cb(ctx, get_session);
    }
    if (impl.seals_tickets()) {
        SSL_CTX_set_app_data(ctx, const_cast<TicketKeys*>(&impl.tickets));
        SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_key);
    }
}

// Nothing here may be relaxed without a look at what the record layer can carry on.
std::expected<SslCtxPtr, std::string> make_context(const TlsContext::Impl& impl) {
    SslCtxPtr ctx(SSL_CTX_new(TLS_server_method()));
    if (!ctx) return Failure("SSL_CTX_new: " + openssl_error());
    SSL_CTX* c = ctx.get();
    if (auto ok = set_suites(c, impl.options); !ok) return Failure(ok.error());
    SSL_CTX_set_options(
        c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_max_early_data(c, 0);
    // A client may believe that it can: what it sends early is skipped (RFC 8446 section 4.2.10).
    SSL_CTX_set_recv_max_early_data(c, SSL3_RT_MAX_PLAIN_LENGTH);
    SSL_CTX_set_read_ahead(c, 0);
    SSL_CTX_set_keylog_callback(c, key_log);
    SSL_CTX_set_tlsext_servername_callback(c, choose_certificate);
    SSL_CTX_set_tlsext_servername_arg(c, const_cast<TlsContext::Impl*>(&impl));
    if (!impl.alpn.empty())
        SSL_CTX_set_alpn_select_cb(c, choose_protocol, const_cast<TlsContext::Impl*>(&impl));
    set_resumption(c, impl);
    if (auto ok = set_client_authority(c, impl.options); !ok) return Failure(ok.error());
    return ctx;
}

std::expected<void, std::string> use(SSL_CTX* ctx, const LoadedCertificate& loaded,
                                     const std::string& file) {
    bool ok = SSL_CTX_use_certificate(ctx, loaded.certificate.get()) == 1 &&
              SSL_CTX_use_PrivateKey(ctx, loaded.key.get()) == 1;
    for (const auto& issuer : loaded.issuers)
        ok = ok && SSL_CTX_add1_chain_cert(ctx, issuer.get()) == 1;
    if (!ok) return Failure(file + ": " + openssl_error());
    return {};
}

// One SSL_CTX for each set of certificates that serve a name: the first of each kind of key.
class ByName {
public:
    ByName(TlsContext::Impl& impl, const Loaded& loaded) : impl_(impl), loaded_(loaded) {}

    std::expected<void, std::string> build() {
        std::set<std::string> names;
        for (const auto& certificate : loaded_)
            names.insert(certificate.names.begin(), certificate.names.end());
        // The default first: the first certificate, and those that share its first name.
        const auto& first = loaded_.front().names;
        if (auto ok = context_for(first.empty() ? "" : first.front()); !ok)
            return Failure(ok.error());
        for (const std::string& name : names) {
            const auto ctx = context_for(name);
            if (!ctx) return Failure(ctx.error());
            if (name.starts_with("*."))
                impl_.by_wildcard.emplace(name.substr(1), *ctx);
            else
                impl_.by_name.emplace(name, *ctx);
        }
        return {};
    }

private:
    std::vector<size_t> serving(const std::string& name) const {
        std::vector<size_t> chosen;
        std::set<int> kinds;
        for (size_t i = 0; i < loaded_.size(); ++i) {
            const auto& names = loaded_[i].names;
            const bool serves = std::ranges::find(names, name) != names.end();
            if ((serves || (name.empty() && i == 0)) &&
                kinds.insert(EVP_PKEY_get_base_id(loaded_[i].key.get())).second)
                chosen.push_back(i);
        }
        return chosen;
    }
    std::expected<SSL_CTX*, std::string> context_for(const std::string& name) {
        const auto chosen = serving(name);
        if (const auto made = made_.find(chosen); made != made_.end()) return made->second;
        auto ctx = make_context(impl_);
        if (!ctx) return Failure(ctx.error());
        for (size_t i : chosen)
            if (auto ok = use(ctx->get(), loaded_[i], impl_.options.certificates[i].chain); !ok)
                return Failure(ok.error());
        made_[chosen] = ctx->get();
        impl_.contexts.push_back(std::move(*ctx));
        return impl_.contexts.back().get();
    }

    TlsContext::Impl& impl_;
    const Loaded& loaded_;
    std::map<std::vector<size_t>, SSL_CTX*> made_;
};

std::expected<std::vector<std::byte>, std::string> alpn_list(const TlsOptions& options) {
    std::vector<std::byte> wire;
    for (const std::string& protocol : options.alpn) {
        if (protocol.empty() || protocol.size() > 255)
            return Failure("alpn \"" + protocol + "\": 1 to 255 octets");
        wire.push_back(std::byte(protocol.size()));
        for (char c : protocol) wire.push_back(std::byte(c));
    }
    return wire;
}

}  // namespace

int TlsHandshakeEvents::index() {
    static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return index;
}

SSL_CTX* TlsContext::Impl::find(std::string_view as_sent) const {
    std::string name = lower_case(as_sent);
    if (name.ends_with('.')) name.pop_back();
    if (const auto exact = by_name.find(name); exact != by_name.end()) return exact->second;
    const size_t dot = name.find('.');
    if (dot == std::string::npos || dot == 0) return nullptr;
    const auto wildcard = by_wildcard.find(std::string_view(name).substr(dot));
    return wildcard == by_wildcard.end() ? nullptr : wildcard->second;
}

TlsContext::TlsContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsContext::~TlsContext() = default;

std::expected<std::shared_ptr<TlsContext>, std::string> TlsContext::load(
    const TlsOptions& options) {
    if (options.certificates.empty()) return Failure("no certificate");
    auto impl = std::make_unique<Impl>();
    impl->options = options;
    if (impl->seals_tickets() && options.ticket_keys.empty())
        return Failure("stateless resumption needs ticket keys");
    wipe(std::as_writable_bytes(std::span(impl->options.ticket_keys)));
    impl->options.ticket_keys.clear();
    auto alpn = alpn_list(options);
    if (!alpn) return Failure(alpn.error());
    impl->alpn = std::move(*alpn);
    if (!options.ticket_keys.empty()) impl->tickets.set(options.ticket_keys);
    Loaded loaded;
    for (const TlsCertificateFiles& files : options.certificates) {
        auto certificate = load_certificate(files);
        if (!certificate) return Failure(certificate.error());
        loaded.push_back(std::move(*certificate));
    }
    if (auto ok = ByName(*impl, loaded).build(); !ok) return Failure(ok.error());
    return std::shared_ptr<TlsContext>(new TlsContext(std::move(impl)));
}

void TlsContext::set_ticket_keys(std::span<const TlsTicketKey> keys) { impl_->tickets.set(keys); }

const TlsOptions& TlsContext::options() const { return impl_->options; }

bool prepare_tls_key_memory(size_t bytes) { return CRYPTO_secure_malloc_init(bytes, 16) == 1; }

}  // namespace holdfast
