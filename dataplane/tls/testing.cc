#include "dataplane/tls/testing.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "base/check.h"
#include "base/random.h"

namespace holdfast::tls_testing {
namespace {

using KeyPtr = OpensslPtr<EVP_PKEY, EVP_PKEY_free>;
using X509Ptr = OpensslPtr<X509, X509_free>;

struct Issued {
    KeyPtr key;
    X509Ptr certificate;
};

void add(X509* certificate, int nid, const std::string& value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
    CHECK(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

Issued issue(bool rsa, const std::string& name, const std::string& alternatives, const Issued* by,
             long serial) {
    Issued made{KeyPtr(rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256")), X509Ptr(X509_new())};
    X509* c = made.certificate.get();
    X509_set_version(c, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(c), serial);
    ASN1_TIME_set_string(X509_getm_notBefore(c), "20200101000000Z");
    ASN1_TIME_set_string(X509_getm_notAfter(c), "20491231000000Z");
    X509_NAME* subject = X509_get_subject_name(c);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_issuer_name(c, by ? X509_get_subject_name(by->certificate.get()) : subject);
    X509_set_pubkey(c, made.key.get());
    if (!alternatives.empty()) add(c, NID_subject_alt_name, alternatives);
    if (by == nullptr) add(c, NID_basic_constraints, "critical,CA:TRUE");
    CHECK(X509_sign(c, by ? by->key.get() : made.key.get(), EVP_sha256()) > 0);
    return made;
}

class Folder {
public:
    Folder() : path_("/tmp/holdfast-tls-" + std::to_string(getpid())) {
        std::filesystem::create_directories(path_);
        const Issued ca = put("ca", issue(false, "Test authority", "", nullptr, 1));
        put("ec", issue(false, "www.example.com", "DNS:www.example.com", nullptr, 2));
        put("rsa", issue(true, "www.example.com", "DNS:www.example.com", nullptr, 3));
        put("wild", issue(false, "wild", "DNS:*.wild.example,DNS:wild.example", nullptr, 4));
        put("other", issue(false, "other.example", "", nullptr, 5));
        put("client", issue(false, "a client", "", &ca, 6));
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    std::string file(const std::string& name) const { return path_ + "/" + name; }

private:
    Issued put(const std::string& name, Issued issued) {
        FILE* chain = std::fopen(file(name + ".pem").c_str(), "w");
        FILE* key = std::fopen(file(name + ".key").c_str(), "w");
        CHECK(chain != nullptr && key != nullptr);
        PEM_write_X509(chain, issued.certificate.get());
        PEM_write_PrivateKey(key, issued.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
        std::fclose(chain);
        std::fclose(key);
        return issued;
    }
    std::string path_;
};

const Folder& folder() {
    static const Folder folder;
    return folder;
}

int keep_session(SSL* ssl, SSL_SESSION* session) {
    SSL_SESSION_free(static_cast<SSL_SESSION*>(SSL_get_app_data(ssl)));
    SSL_set_app_data(ssl, session);
    return 1;
}

void count_updates(int write, int, int type, const void* data, size_t size, SSL*, void* arg) {
    if (write == 0 && type == SSL3_RT_HANDSHAKE && size > 0 &&
        *static_cast<const unsigned char*>(data) == SSL3_MT_KEY_UPDATE)
        ++static_cast<Client*>(arg)->key_updates_seen;
}

}  // namespace

std::string chain_file(const std::string& name) { return folder().file(name + ".pem"); }
std::string key_file(const std::string& name) { return folder().file(name + ".key"); }
TlsCertificateFiles certificate(const std::string& name, std::vector<std::string> names) {
    return {chain_file(name), key_file(name), std::move(names)};
}

std::shared_ptr<TlsContext> load(const TlsOptions& options) {
    auto context = TlsContext::load(options);
    if (!context) {
        ADD_FAILURE() << context.error();
        std::abort();
    }
    return *context;
}

TlsOptions usual() {
    TlsOptions options;
    options.service = "test";
    options.certificates = {certificate("ec"), certificate("rsa")};
    return options;
}

Client::Client(const ClientOptions& o) : ctx_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX* ctx = ctx_.get();
    if (o.min_version_any != 0) {
        SSL_CTX_set_security_level(ctx, 0);
        SSL_CTX_set_min_proto_version(ctx, o.min_version_any);
        SSL_CTX_set_max_proto_version(ctx, o.min_version_any);
    } else {
        SSL_CTX_set_min_proto_version(ctx, o.version != 0 ? o.version : TLS1_2_VERSION);
        SSL_CTX_set_max_proto_version(ctx, o.version);
    }
    if (!o.suites.empty() && o.suites.starts_with("TLS_"))
        SSL_CTX_set_ciphersuites(ctx, o.suites.c_str());
    else if (!o.suites.empty())
        SSL_CTX_set_cipher_list(ctx, o.suites.c_str());
    if (!o.groups.empty()) SSL_CTX_set1_groups_list(ctx, o.groups.c_str());
    if (!o.signatures.empty()) SSL_CTX_set1_sigalgs_list(ctx, o.signatures.c_str());
    if (!o.with_tickets) SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    if (o.with_certificate) {
        SSL_CTX_use_certificate_file(ctx, chain_file("client").c_str(), SSL_FILETYPE_PEM);
        SSL_CTX_use_PrivateKey_file(ctx, key_file("client").c_str(), SSL_FILETYPE_PEM);
    }
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, keep_session);
    ssl_.reset(SSL_new(ctx));
    SSL* ssl = ssl_.get();
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in_, -1);
    SSL_set_bio(ssl, in_, out_);
    SSL_set_connect_state(ssl);
    SSL_set_msg_callback(ssl, count_updates);
    SSL_set_msg_callback_arg(ssl, this);
    if (!o.sni.empty()) SSL_set_tlsext_host_name(ssl, o.sni.c_str());
    if (o.fragment_code != 0) SSL_set_tlsext_max_fragment_length(ssl, o.fragment_code);
    if (o.session != nullptr) SSL_set_session(ssl, o.session);
    std::string protocols;
    for (const auto& p : o.alpn) protocols += static_cast<char>(p.size()) + p;
    if (!protocols.empty())
        SSL_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(protocols.data()),
                            static_cast<unsigned>(protocols.size()));
    if (o.early_data.empty()) return;
    size_t written = 0;
    SSL_SESSION_set_max_early_data(o.session, SSL3_RT_MAX_PLAIN_LENGTH);
    SSL_write_early_data(ssl, o.early_data.data(), o.early_data.size(), &written);
    CHECK(written == o.early_data.size());
}

Client::~Client() {
    SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_SESSION_free(static_cast<SSL_SESSION*>(SSL_get_app_data(ssl_.get())));
}

OpensslPtr<SSL_SESSION, SSL_SESSION_free> Client::session() const {
    auto* session = static_cast<SSL_SESSION*>(SSL_get_app_data(ssl_.get()));
    if (session != nullptr) SSL_SESSION_up_ref(session);
    return OpensslPtr<SSL_SESSION, SSL_SESSION_free>(session);
}

Buffer Client::flush() {
    char* data = nullptr;
    const long size = BIO_get_mem_data(out_, &data);
    const Bytes bytes = std::as_bytes(std::span(data, static_cast<size_t>(size)));
    Buffer out(bytes.begin(), bytes.end());
    BIO_reset(out_);
    return out;
}

Buffer Client::exchange(Bytes from_server) {
    if (!from_server.empty())
        BIO_write(in_, from_server.data(), static_cast<int>(from_server.size()));
    ERR_clear_error();
    int result = connected() ? 1 : SSL_do_handshake(ssl_.get());
    char text[20'000];
    while (result > 0 && connected()) {
        result = SSL_read(ssl_.get(), text, sizeof text);
        if (result > 0) received_.append(text, static_cast<size_t>(result));
    }
    const int error = SSL_get_error(ssl_.get(), result);
    if (error == SSL_ERROR_SSL) error_ = ERR_reason_error_string(ERR_peek_error());
    ERR_clear_error();
    return flush();
}

Buffer Client::write(std::string_view text) {
    CHECK(SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())) > 0);
    return flush();
}

Buffer Client::update_key(bool request) {
    CHECK(SSL_key_update(ssl_.get(),
                         request ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
    SSL_do_handshake(ssl_.get());
    return flush();
}

Buffer Client::close() {
    SSL_shutdown(ssl_.get());
    return flush();
}

Shaken shake(std::shared_ptr<const TlsContext> context, Client& client,
             const std::vector<TlsSession>& offers) {
    Shaken shaken;
    TlsHandshake handshake(std::move(context));
    for (const auto& session : offers) handshake.offer(session);
    Buffer to_server = client.exchange({});
    while (shaken.status == TlsHandshakeStatus::want_more && !to_server.empty()) {
        shaken.last_flight.clear();
        const auto step = handshake.feed(to_server, shaken.last_flight);
        shaken.status = step.status;
        shaken.leftover.assign(to_server.begin() + step.consumed, to_server.end());
        to_server = client.exchange(shaken.last_flight);
    }
    shaken.failure = handshake.failure();
    if (shaken.status == TlsHandshakeStatus::done) shaken.detached = handshake.detach();
    shaken.leftover.insert(shaken.leftover.end(), to_server.begin(), to_server.end());
    return shaken;
}

TlsRecordState made_up_state(uint16_t suite, uint64_t seed) {
    Random random(seed);
    TlsRecordState state;
    state.suite = suite;
    const TlsSuite& s = *find_tls_suite(suite);
    const size_t secret = s.is_tls13() ? s.hash_size : s.key_size;
    for (TlsSecret* to : {&state.tx, &state.rx}) {
        for (size_t i = 0; i < secret; ++i) (*to)[i] = std::byte(random.next());
        for (size_t i = 0; !s.is_tls13() && i < s.iv_size(); ++i)
            (*to)[kTls12IvAt + i] = std::byte(random.next());
    }
    if (s.explicit_size() > 0) state.explicit_nonce = random.next();
    return state;
}

TlsRecordState mirrored(TlsRecordState state) {
    std::swap(state.tx, state.rx);
    std::swap(state.progress.tx_sequence, state.progress.rx_sequence);
    std::swap(state.progress.tx_generation, state.progress.rx_generation);
    return state;
}

Server::Server(const TlsRecordState& state, size_t contexts)
    : worker_(std::make_unique<TlsRecordWorker>(4, contexts)),
      layer_(TlsRecordLayer::make(*worker_, state)),
      contexts_(contexts) {
    CHECK(layer_.has_value());
}

Buffer Server::seal(std::string_view text, TlsContentType type) {
    const auto name = layer_->reserve(text.size());
    CHECK(name.has_value());
    Buffer record(layer_->sealed_size(text.size()));
    const Bytes piece = bytes_of(text);
    CHECK(layer_->seal(*name, type, {&piece, 1}, record).has_value());
    return record;
}

Buffer Server::alert(TlsAlert alert) {
    const auto name = layer_->reserve_alert(alert);
    CHECK(name.has_value());
    const auto message = tls_alert_message(alert);
    Buffer record(layer_->sealed_size(message.size()));
    const Bytes piece(message);
    CHECK(layer_->seal(*name, TlsContentType::alert, {&piece, 1}, record).has_value());
    return record;
}

Buffer Server::key_update(bool request) {
    const auto name = layer_->reserve_key_update();
    CHECK(name.has_value());
    const auto message = tls_key_update_message(request);
    Buffer record(layer_->sealed_size(message.size()));
    const Bytes piece(message);
    CHECK(layer_->seal(*name, TlsContentType::handshake, {&piece, 1}, record).has_value());
    return record;
}

std::expected<std::string, TlsAlert> Server::open(Bytes stream) {
    std::string text;
    Buffer scratch(kTlsMaxRecord);
    while (!stream.empty()) {
        const auto size = tls_record_size(stream);
        if (!size) return std::unexpected(size.error());
        CHECK(*size && **size <= stream.size());
        const Bytes record = stream.first(**size);
        const auto opened = layer_->open({&record, 1}, scratch, now);
        if (!opened) return std::unexpected(opened.error());
        events.push_back(opened->event);
        if (opened->event == TlsEvent::data) text += text_of(opened->data);
        stream = stream.subspan(**size);
    }
    return text;
}

void Server::move_house() {
    std::array<std::byte, kMaxTlsRecordState> bytes;
    const size_t size = serialise(layer_->state(), bytes);
    CHECK(size > 0);
    const auto state = parse_tls_record_state(Bytes(bytes).first(size));
    CHECK(state.has_value());
    layer_.reset();
    worker_ = std::make_unique<TlsRecordWorker>(4, contexts_);
    layer_ = TlsRecordLayer::make(*worker_, *state);
    CHECK(layer_.has_value());
}

}  // namespace holdfast::tls_testing
