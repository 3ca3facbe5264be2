// A TLS server over kernel sockets made of our handshake and record layer, for real clients to try.
// Before every record, in and out, the connection is serialised and parsed into a fresh object, and
// what is sealed is sealed a second time and compared.
//
//     tls_echo CHAIN KEY [CHAIN KEY]...      prints its port, serves one connection at a time
//
// "GET /n" is answered with n octets, "PUT" with what was put, anything else with itself.
// Environment: HOLDFAST_TLS_UPDATE=n asks for a KeyUpdate every n records; HOLDFAST_TLS_TICKETS=1
// uses stateless tickets.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "base/check.h"
#include "dataplane/tls/handshake.h"
#include "dataplane/tls/record.h"

using namespace holdfast;

namespace {

using Buffer = std::vector<std::byte>;

Instant now() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return Instant{t.tv_sec * 1'000'000'000 + t.tv_nsec};
}

Bytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

unsigned update_interval() {
    const char* n = std::getenv("HOLDFAST_TLS_UPDATE");
    return n != nullptr ? static_cast<unsigned>(std::atoi(n)) : 0;
}

class Connection {
public:
    Connection(int fd, std::shared_ptr<const TlsContext> context, TlsSessionCache& sessions)
        : fd_(fd), context_(std::move(context)), sessions_(sessions) {}
    ~Connection() { close(fd_); }

    void serve() {
        if (!shake()) return;
        while (read_more(true)) answer_all();
        if (!notified_) return;
        answer_all();
        send_alert(TlsAlert::close_notify);
    }

private:
    bool receive(bool wait) {
        pollfd p{fd_, POLLIN, 0};
        if (!wait && poll(&p, 1, 0) == 0) return true;
        std::byte bytes[8'192];
        const ssize_t n = read(fd_, bytes, sizeof bytes);
        if (n <= 0) return false;
        in_.insert(in_.end(), bytes, bytes + n);
        return true;
    }
    void send_all(Bytes bytes) {
        while (!bytes.empty()) {
            const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (n <= 0) return;
            bytes = bytes.subspan(static_cast<size_t>(n));
        }
    }

    // The ClientHello first: the session it names is fetched before OpenSSL sees it.
    bool shake() {
        TlsHandshake handshake(context_);
        std::expected<std::optional<ClientHelloInfo>, TlsAlert> hello{std::nullopt};
        while (hello && !*hello) {
            if (!receive(true)) return false;
            hello = parse_client_hello(in_);
        }
        TlsSession session;
        if (hello)
            for (const TlsSessionId& id : (**hello).sessions())
                if (sessions_.find(id, 0, now(), session) == TlsSessionAnswer::found)
                    handshake.offer(session);
        for (;;) {
            Buffer out;
            const auto step = handshake.feed(in_, out);
            in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(step.consumed));
            send_all(out);
            if (step.status == TlsHandshakeStatus::failed) return false;
            if (step.status == TlsHandshakeStatus::done) break;
            if (!receive(true)) return false;
        }
        const TlsDetached detached = handshake.detach();
        for (const TlsSession& made : detached.sessions) sessions_.on_new_session(made, now());
        layer_ = TlsRecordLayer::make(worker_, *detached.state);
        return layer_.has_value();
    }

    void move_house() {
        std::array<std::byte, kMaxTlsRecordState> bytes;
        const size_t size = serialise(layer_->state(), bytes);
        const auto state = parse_tls_record_state(Bytes(bytes).first(size));
        CHECK(size > 0 && state.has_value() && *state == layer_->state());
        layer_.reset();
        layer_ = TlsRecordLayer::make(worker_, *state);
    }

    void send_record(TlsRecordName name, TlsContentType type, Bytes content) {
        Buffer once(layer_->sealed_size(content.size())), twice(once.size());
        CHECK(layer_->seal(name, type, {&content, 1}, once).has_value());
        move_house();
        CHECK(layer_->seal(name, type, {&content, 1}, twice).has_value() && once == twice);
        send_all(once);
    }
    void send_alert(TlsAlert alert) {
        if (const auto name = layer_->reserve_alert(alert))
            send_record(*name, TlsContentType::alert, tls_alert_message(alert));
    }
    void update_key(bool request) {
        layer_->drop_previous();  // the kernel has what we sent
        const auto name = layer_->reserve_key_update();
        if (name) send_record(*name, TlsContentType::handshake, tls_key_update_message(request));
    }

    void send_data(std::string_view text) {
        size_t size = 1'300;  // small records first, as a relay would
        while (!text.empty()) {
            const std::string_view piece = text.substr(0, std::min(size, layer_->max_fragment()));
            layer_->drop_previous();
            if (layer_->key_update_due()) update_key(false);
            const auto name = layer_->reserve(piece.size());
            if (!name) return;
            send_record(*name, TlsContentType::application_data, bytes_of(piece));
            text.remove_prefix(piece.size());
            size = kTlsMaxPlaintext;
            const unsigned interval = update_interval();
            if (interval != 0 && ++records_ % interval == 0 && layer_->suite().is_tls13())
                update_key(true);
            // A client that has said all may still want to hear all.
            if (!closed_ && !read_more(false) && !notified_) return;
        }
    }

    bool has_record() const {
        const auto size = tls_record_size(in_);
        return !size || (*size && **size <= in_.size());
    }
    // Opens what is there; false when the client is gone.
    bool read_more(bool wait) {
        if (!has_record() && !receive(wait)) return false;
        for (;;) {
            const auto size = tls_record_size(in_);
            if (!size) return fail(size.error());
            if (!*size || **size > in_.size()) return !closed_;
            move_house();
            const Bytes record = Bytes(in_).first(**size);
            const Bytes halves[] = {record.first(**size / 2), record.subspan(**size / 2)};
            const auto opened = layer_->open(halves, plain_, now());
            if (!opened) return fail(opened.error());
            in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(**size));
            on_event(*opened);
        }
    }
    void on_event(const TlsOpened& opened) {
        switch (opened.event) {
            case TlsEvent::none:
                break;
            case TlsEvent::data:
                got_.append(reinterpret_cast<const char*>(opened.data.data()), opened.data.size());
                break;
            case TlsEvent::key_update:
                if (layer_->key_update_due()) update_key(false);
                break;
            case TlsEvent::renegotiation_refused:
                send_alert(TlsAlert::no_renegotiation);
                break;
            case TlsEvent::close_notify:
                closed_ = notified_ = true;
                break;
            case TlsEvent::fatal_alert:
                closed_ = true;
                break;
        }
    }
    bool fail(TlsAlert alert) {
        send_alert(alert);
        return false;
    }
    // More may come while an answer is under way.
    void answer_all() {
        while (!got_.empty() && answer()) {
        }
    }
    // False while a request is incomplete.
    bool answer() {
        if (!got_.starts_with("GET ") && !got_.starts_with("PUT ")) {
            const std::string text = std::exchange(got_, {});
            send_data(text);
            return true;
        }
        const size_t end = got_.find("\r\n\r\n");
        if (end == std::string::npos) return false;
        const bool put = got_.starts_with("PUT ");
        const size_t at = put ? got_.find("Content-Length: ") : got_.find('/');
        const size_t size = std::strtoul(got_.c_str() + at + (put ? 16 : 1), nullptr, 10);
        if (put && got_.size() < end + 4 + size) return false;
        std::string body = put ? got_.substr(end + 4, size) : std::string(size, '\0');
        for (size_t i = 0; !put && i < size; ++i) body[i] = static_cast<char>('a' + i % 23);
        got_.erase(0, end + 4 + (put ? size : 0));
        send_data("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n" + body);
        return true;
    }

    int fd_;
    std::shared_ptr<const TlsContext> context_;
    TlsSessionCache& sessions_;
    TlsRecordWorker worker_{2, 2};
    std::optional<TlsRecordLayer> layer_;
    Buffer in_, plain_ = Buffer(kTlsMaxRecord);
    std::string got_;
    unsigned records_ = 0;
    bool closed_ = false, notified_ = false;
};

int listen_on_loopback() {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    CHECK(bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 && listen(fd, 16) == 0);
    CHECK(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    std::printf("%d\n", ntohs(address.sin_port));
    std::fflush(stdout);
    return fd;
}

}  // namespace

int main(int argc, char** argv) {
    TlsOptions options;
    options.service = "echo";
    options.alpn = {"http/1.1"};
    for (int i = 1; i + 1 < argc; i += 2)
        options.certificates.push_back({argv[i], argv[i + 1], {}});
    if (std::getenv("HOLDFAST_TLS_TICKETS") != nullptr) {
        options.resumption = TlsResumption::stateless;
        options.ticket_keys.resize(1);
    }
    const auto context = TlsContext::load(options);
    if (!context) {
        std::fprintf(stderr, "%s\n", context.error().c_str());
        return 2;
    }
    TlsSessionCache sessions({});
    const int listener = listen_on_loopback();
    for (;;) {
        const int fd = accept(listener, nullptr, nullptr);
        if (fd < 0) return 1;
        Connection(fd, *context, sessions).serve();
    }
}
