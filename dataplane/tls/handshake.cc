#include "dataplane/tls/handshake.h"

#include <openssl/err.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "dataplane/tls/context_impl.h"
#include "dataplane/tls/detach.h"
#include "dataplane/tls/record.h"

namespace holdfast {
namespace {

using SslPtr = OpensslPtr<SSL, SSL_free>;

// "LABEL <client random> <secret>", in hex.
bool read_secret(std::string_view line, std::string_view label, TlsSecret& secret) {
    if (!line.starts_with(label) || line.substr(label.size(), 1) != " ") return false;
    const std::string_view hex = line.substr(line.rfind(' ') + 1);
    if (hex.size() % 2 != 0 || hex.size() / 2 > secret.size()) return false;
    const auto digit = [](char c) {
        return static_cast<uint8_t>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    };
    for (size_t i = 0; i < hex.size(); i += 2)
        secret[i / 2] = std::byte(digit(hex[i]) << 4 | digit(hex[i + 1]));
    return true;
}

}  // namespace

struct TlsHandshake::Impl final : TlsHandshakeEvents {
    explicit Impl(std::shared_ptr<const TlsContext> c) : context(std::move(c)) {}
    ~Impl();

    bool start();
    size_t take_record(Bytes from, Bytes& record);
    TlsHandshakeStatus step(Bytes record, std::vector<std::byte>& to_client);
    TlsHandshakeStatus fail(TlsHandshakeFailure why);
    TlsHandshakeStatus fail_plainly(TlsAlert alert, std::vector<std::byte>& to_client);
    void drain(std::vector<std::byte>& to_client);
    bool detachable() const;
    bool finish();

    void on_key_log(const char* line) override;
    void on_new_session(SSL_SESSION* session) override;
    SSL_SESSION* find_session(Bytes id) override;
    static void on_message(int write, int version, int type, const void* data, size_t size,
                           SSL* ssl, void* arg);

    std::shared_ptr<const TlsContext> context;
    SslPtr ssl;
    BIO* from_client = nullptr;  // the SSL object's
    BIO* to_client = nullptr;
    std::vector<std::byte> partial;  // of a record
    size_t octets = 0;
    bool answered = false;  // OpenSSL has said something: plain alerts are no longer ours to send
    TlsHandshakeStatus status = TlsHandshakeStatus::want_more;
    TlsHandshakeFailure failure = TlsHandshakeFailure::none;
    Wiped<DetachedSecrets> secrets;
    RecordTally seen;      // counted from the bytes that went in and came out
    RecordTally reported;  // counted from OpenSSL's own messages
    std::vector<TlsSession> offered;
    TlsDetached detached;
};

TlsHandshake::Impl::~Impl() {
    // Freeing an object that has not said goodbye would end its session: no client could resume.
    if (ssl) SSL_set_shutdown(ssl.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

bool TlsHandshake::Impl::start() {
    ssl.reset(SSL_new(context->impl().contexts.front().get()));
    from_client = BIO_new(BIO_s_mem());
    to_client = BIO_new(BIO_s_mem());
    if (!ssl || from_client == nullptr || to_client == nullptr) {
        BIO_free(from_client);
        BIO_free(to_client);
        ssl.reset();
        return false;
    }
    BIO_set_mem_eof_return(from_client, -1);
    BIO_set_mem_eof_return(to_client, -1);
    SSL_set_bio(ssl.get(), from_client, to_client);
    SSL_set_accept_state(ssl.get());
    SSL_set_ex_data(ssl.get(), index(), static_cast<TlsHandshakeEvents*>(this));
    SSL_set_msg_callback(ssl.get(), on_message);
    SSL_set_msg_callback_arg(ssl.get(), this);
    return true;
}

void TlsHandshake::Impl::on_key_log(const char* line) {
    if (read_secret(line, "SERVER_TRAFFIC_SECRET_0", secrets->tx)) secrets->has_tx = true;
    if (read_secret(line, "CLIENT_TRAFFIC_SECRET_0", secrets->rx)) {
        secrets->has_rx = true;
        seen.on_application_keys();
        reported.on_application_keys();
    }
}

void TlsHandshake::Impl::on_message(int write, int, int type, const void* data, size_t size, SSL*,
                                    void* arg) {
    if (type != SSL3_RT_HEADER) return;
    auto* self = static_cast<Impl*>(arg);
    self->reported.on_record(
        write == 1, std::as_bytes(std::span(static_cast<const unsigned char*>(data), size)));
}

void TlsHandshake::Impl::on_new_session(SSL_SESSION* session) {
    unsigned size = 0;
    const unsigned char* id = SSL_SESSION_get_id(session, &size);
    const auto session_id = TlsSessionId::from(std::as_bytes(std::span(id, size)));
    // OpenSSL tells of sessions for which it gave a TLS 1.3 ticket, too.
    if (context->impl().seals_tickets() &&
        SSL_SESSION_get_protocol_version(session) != TLS1_2_VERSION)
        return;
    const int der_size = i2d_SSL_SESSION(session, nullptr);
    if (!session_id || der_size <= 0 || static_cast<size_t>(der_size) > kMaxTlsSession) return;
    TlsSession& s = detached.sessions.emplace_back();
    s.id = *session_id;
    s.lifetime_s = static_cast<uint32_t>(SSL_SESSION_get_timeout(session));
    s.der.resize(static_cast<size_t>(der_size));
    auto* to = reinterpret_cast<unsigned char*>(s.der.data());
    i2d_SSL_SESSION(session, &to);
}

SSL_SESSION* TlsHandshake::Impl::find_session(Bytes id) {
    const auto session_id = TlsSessionId::from(id);
    for (const TlsSession& session : offered) {
        if (session.id != session_id) continue;
        const auto* from = reinterpret_cast<const unsigned char*>(session.der.data());
        SSL_SESSION* found = d2i_SSL_SESSION(nullptr, &from, static_cast<long>(session.der.size()));
        ERR_clear_error();
        return found;
    }
    return nullptr;
}

// Takes from `from` what the current record lacks; `record` is it, once whole.
size_t TlsHandshake::Impl::take_record(Bytes from, Bytes& record) {
    record = {};
    const auto size_of = [](Bytes bytes) {
        return load_be<uint16_t>(bytes.data() + 3) + size_t{5};
    };
    if (partial.empty() && from.size() >= kTlsHeaderSize && from.size() >= size_of(from)) {
        record = from.first(size_of(from));
        return record.size();
    }
    size_t taken = 0;
    const auto fill = [&](size_t size) {
        const size_t n = std::min(size - std::min(size, partial.size()), from.size() - taken);
        partial.insert(partial.end(), from.begin() + taken, from.begin() + taken + n);
        taken += n;
        return partial.size() >= size;
    };
    if (fill(kTlsHeaderSize) && fill(size_of(partial))) record = partial;
    return taken;
}

TlsHandshakeStatus TlsHandshake::Impl::step(Bytes record, std::vector<std::byte>& out) {
    ERR_clear_error();
    seen.on_record(false, record);
    if (BIO_write(from_client, record.data(), static_cast<int>(record.size())) !=
        static_cast<int>(record.size()))
        return fail(TlsHandshakeFailure::not_detachable);
    const int result = SSL_do_handshake(ssl.get());
    drain(out);
    if (result == 1) {
        if (!finish()) return fail(TlsHandshakeFailure::not_detachable);
        return status = TlsHandshakeStatus::done;
    }
    const int error = SSL_get_error(ssl.get(), result);
    const bool by_peer = ERR_GET_REASON(ERR_peek_error()) >= SSL_AD_REASON_OFFSET;
    ERR_clear_error();
    if (error == SSL_ERROR_WANT_READ) return TlsHandshakeStatus::want_more;
    return fail(by_peer ? TlsHandshakeFailure::peer_alert : TlsHandshakeFailure::refused);
}

void TlsHandshake::Impl::drain(std::vector<std::byte>& out) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(to_client, &data);
    if (size <= 0) return;
    answered = true;
    const Bytes bytes = std::as_bytes(std::span(data, static_cast<size_t>(size)));
    for (Bytes rest = bytes; rest.size() >= kTlsHeaderSize;) {
        const size_t one = std::min(rest.size(), kTlsHeaderSize + load_be<uint16_t>(&rest[3]));
        seen.on_record(true, rest.first(one));
        rest = rest.subspan(one);
    }
    out.insert(out.end(), bytes.begin(), bytes.end());
    BIO_reset(to_client);
}

bool TlsHandshake::Impl::detachable() const {
    return SSL_is_init_finished(ssl.get()) && SSL_has_pending(ssl.get()) == 0 &&
           BIO_pending(from_client) == 0 && BIO_pending(to_client) == 0 &&
           seen.same_counts(reported);
}

// Reads everything out and lets go of the SSL object.
bool TlsHandshake::Impl::finish() {
    const bool ok = detachable() && read_out(ssl.get(), seen, *secrets, detached);
    secrets.clear();
    SSL_set_shutdown(ssl.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    ssl.reset();
    offered.clear();
    return ok;
}

TlsHandshakeStatus TlsHandshake::Impl::fail(TlsHandshakeFailure why) {
    failure = why;
    return status = TlsHandshakeStatus::failed;
}

// What OpenSSL is not asked about, before it has said anything.
TlsHandshakeStatus TlsHandshake::Impl::fail_plainly(TlsAlert alert, std::vector<std::byte>& out) {
    if (!answered) {
        const auto message = tls_alert_message(alert);
        for (const int octet : {21, 3, 3, 0, 2}) out.push_back(std::byte(octet));
        out.insert(out.end(), message.begin(), message.end());
    }
    return fail(TlsHandshakeFailure::bad_record);
}

TlsHandshake::TlsHandshake(std::shared_ptr<const TlsContext> context)
    : impl_(std::make_unique<Impl>(std::move(context))) {}
TlsHandshake::~TlsHandshake() = default;
TlsHandshake::TlsHandshake(TlsHandshake&&) noexcept = default;
TlsHandshake& TlsHandshake::operator=(TlsHandshake&&) noexcept = default;

void TlsHandshake::offer(TlsSession session) { impl_->offered.push_back(std::move(session)); }

TlsHandshakeFailure TlsHandshake::failure() const { return impl_->failure; }

TlsHandshake::Step TlsHandshake::feed(Bytes bytes, std::vector<std::byte>& to_client) {
    Impl& me = *impl_;
    CHECK(me.status == TlsHandshakeStatus::want_more);
    Step step;
    if (!me.ssl && !me.start()) {
        step.status = me.fail(TlsHandshakeFailure::not_detachable);
        return step;
    }
    while (step.status == TlsHandshakeStatus::want_more && step.consumed < bytes.size()) {
        const Bytes rest = bytes.subspan(step.consumed);
        // Whatever is certainly no record is refused before it is waited for.
        const auto size = tls_record_size(me.partial.empty() ? rest : Bytes(me.partial));
        if (!size) {
            step.status = me.fail_plainly(size.error(), to_client);
            break;
        }
        Bytes record;
        const size_t taken = me.take_record(rest, record);
        step.consumed += taken;
        me.octets += taken;
        if (me.octets > kMaxOctets)
            step.status = me.fail(TlsHandshakeFailure::too_long);
        else if (!record.empty())
            step.status = me.step(record, to_client);
        if (!record.empty()) me.partial.clear();
    }
    return step;
}

TlsDetached TlsHandshake::detach() {
    CHECK(impl_->status == TlsHandshakeStatus::done);
    return std::move(impl_->detached);
}

}  // namespace holdfast
