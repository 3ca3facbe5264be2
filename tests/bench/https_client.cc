// HTTPS load from one thread: so many connections at once, each of which asks for a file again and
// again (bulk), or begins anew after each answer, with a full handshake (new) or a resumed one
// (resumed). The certificate is checked; X25519 and TLS_AES_128_GCM_SHA256 (TLS 1.2: the same by
// another name) always.
//
//   https_client ADDRESS PORT CA NAME {bulk|new|resumed} PATH {ec|rsa} {1.2|1.3} CONNECTIONS
//   SECONDS
//
// Says "measuring" when every connection has had an answer and half a second has gone by, then
// "measured", then what it did in between as JSON.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

struct Plan {
    sockaddr_in to{};
    std::string ca, name, path;
    bool bulk = false, resumes = false, ec = true, tls13 = true;
    size_t connections = 1;
    double seconds = 1;
};

struct Done {
    uint64_t octets = 0, answers = 0, resumed = 0, failed = 0;
};

struct Freed {
    void operator()(SSL* s) const { SSL_free(s); }
    void operator()(SSL_CTX* c) const { SSL_CTX_free(c); }
    void operator()(SSL_SESSION* s) const { SSL_SESSION_free(s); }
};

// One place of the load: its connection, and what it may resume.
struct Place {
    int fd = -1;
    std::unique_ptr<SSL, Freed> ssl;
    std::unique_ptr<SSL_SESSION, Freed> session;
    uint32_t events = 0;
    bool asked = false, head = false, had_answer = false;
    uint64_t left = 0;  // of the body, bulk
};

class Load {
public:
    explicit Load(const Plan& plan) : plan_(plan), places_(plan.connections) {
        CHECK(poll_ >= 0);
        make_context();
        request_ = "GET " + plan.path + (plan.bulk ? " HTTP/1.1" : " HTTP/1.0") +
                   "\r\nHost: " + plan.name + "\r\n\r\n";
        for (Place& p : places_) begin(p);
    }

    void run_until(Clock::time_point end) {
        epoll_event ready[64];
        while (Clock::now() < end) {
            const int n = epoll_wait(poll_, ready, 64, 10);
            for (int i = 0; i < n; ++i) step(*static_cast<Place*>(ready[i].data.ptr));
        }
    }
    bool warm() const {
        for (const Place& p : places_)
            if (!p.had_answer) return false;
        return true;
    }
    Done done;

private:
    static int keep_session(SSL* ssl, SSL_SESSION* session) {
        static_cast<Place*>(SSL_get_app_data(ssl))->session.reset(session);
        return 1;
    }

    void make_context() {
        SSL_CTX* c = context_.get();
        const int version = plan_.tls13 ? TLS1_3_VERSION : TLS1_2_VERSION;
        SSL_CTX_set_min_proto_version(c, version);
        SSL_CTX_set_max_proto_version(c, version);
        CHECK(SSL_CTX_set_ciphersuites(c, "TLS_AES_128_GCM_SHA256") == 1);
        CHECK(SSL_CTX_set_cipher_list(c, plan_.ec ? "ECDHE-ECDSA-AES128-GCM-SHA256"
                                                  : "ECDHE-RSA-AES128-GCM-SHA256") == 1);
        CHECK(SSL_CTX_set1_sigalgs_list(
                  c, plan_.ec ? "ECDSA+SHA256" : "RSA-PSS+SHA256:RSA+SHA256") == 1);
        CHECK(SSL_CTX_set1_groups_list(c, "X25519") == 1);
        CHECK(SSL_CTX_load_verify_file(c, plan_.ca.c_str()) == 1);
        SSL_CTX_set_verify(c, SSL_VERIFY_PEER, nullptr);
        SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS);
        SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        if (plan_.resumes) SSL_CTX_sess_set_new_cb(c, keep_session);
    }

    void begin(Place& p) {
        // As if closed in good order: else its session would not be resumable.
        if (p.ssl) SSL_set_shutdown(p.ssl.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        p.ssl.reset();
        if (p.fd >= 0) close(p.fd);
        p.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        CHECK(p.fd >= 0);
        const int on = 1;
        setsockopt(p.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (connect(p.fd, reinterpret_cast<const sockaddr*>(&plan_.to), sizeof plan_.to) != 0)
            CHECK(errno == EINPROGRESS);
        p.ssl.reset(SSL_new(context_.get()));
        SSL_set_fd(p.ssl.get(), p.fd);
        SSL_set_app_data(p.ssl.get(), &p);
        SSL_set_connect_state(p.ssl.get());
        SSL_set_tlsext_host_name(p.ssl.get(), plan_.name.c_str());
        SSL_set1_host(p.ssl.get(), plan_.name.c_str());
        if (p.session) SSL_set_session(p.ssl.get(), p.session.get());
        p.asked = p.head = false;
        p.events = EPOLLOUT;
        epoll_event event{p.events, {&p}};
        CHECK(epoll_ctl(poll_, EPOLL_CTL_ADD, p.fd, &event) == 0);
    }

    void wants(Place& p, uint32_t events) {
        if (p.events == events) return;
        epoll_event event{p.events = events, {&p}};
        CHECK(epoll_ctl(poll_, EPOLL_CTL_MOD, p.fd, &event) == 0);
    }

    void step(Place& p) {
        ERR_clear_error();
        int result = 1;
        if (!p.asked && (result = SSL_write(p.ssl.get(), request_.data(),
                                            static_cast<int>(request_.size()))) > 0)
            p.asked = true;
        // Not for ever: the others are waiting.
        for (int turns = 0; p.asked && turns < 16 && result > 0; ++turns) {
            result = SSL_read(p.ssl.get(), buffer_, sizeof buffer_);
            if (result > 0 && !take(p, std::string_view(buffer_, static_cast<size_t>(result))))
                return begin(p);
        }
        if (result > 0) return wants(p, EPOLLIN);
        const int error = SSL_get_error(p.ssl.get(), result);
        if (error == SSL_ERROR_WANT_READ) return wants(p, EPOLLIN);
        if (error == SSL_ERROR_WANT_WRITE) return wants(p, EPOLLOUT);
        if (error == SSL_ERROR_ZERO_RETURN && p.head && !plan_.bulk) {
            ++done.answers;
            done.resumed += SSL_session_reused(p.ssl.get()) == 1;
            p.had_answer = true;
        } else {
            tell(p, error);
            ++done.failed;
            p.session.reset();
        }
        begin(p);
    }

    // The first few of what fails, for whoever wonders.
    void tell(const Place& p, int error) {
        if (++told_ > 3) return;
        const char* reason = ERR_reason_error_string(ERR_peek_error());
        std::fprintf(stderr, "failed: %s, %s, %s, head %d, left %lu\n",
                     SSL_state_string_long(p.ssl.get()), reason != nullptr ? reason : "no reason",
                     error == SSL_ERROR_SYSCALL ? std::strerror(errno) : "", p.head, p.left);
    }

    // False: not the answer that was asked for.
    bool take(Place& p, std::string_view text) {
        done.octets += text.size();
        if (!p.head) {
            const size_t end = text.find("\r\n\r\n"), length = text.find("Content-Length: ");
            if (!text.starts_with("HTTP/1.1 200") || end == text.npos || length == text.npos)
                return ++done.failed, false;
            p.head = true;
            p.left = std::strtoull(text.data() + length + 16, nullptr, 10) + end + 4;
        }
        p.left -= std::min<uint64_t>(p.left, text.size());
        if (!plan_.bulk) return true;
        p.had_answer = true;
        if (p.left == 0) {
            ++done.answers;
            p.asked = p.head = false;
            SSL_write(p.ssl.get(), request_.data(), static_cast<int>(request_.size()));
            p.asked = true;
        }
        return true;
    }

    const Plan& plan_;
    int poll_ = epoll_create1(0);
    std::unique_ptr<SSL_CTX, Freed> context_{SSL_CTX_new(TLS_client_method())};
    std::string request_;
    std::vector<Place> places_;
    char buffer_[16'384];
    unsigned told_ = 0;  // of failures
};

Plan plan_from(char** words) {
    Plan plan;
    plan.to.sin_family = AF_INET;
    CHECK(inet_pton(AF_INET, words[1], &plan.to.sin_addr) == 1);
    plan.to.sin_port = htons(static_cast<uint16_t>(std::atoi(words[2])));
    plan.ca = words[3];
    plan.name = words[4];
    plan.bulk = words[5] == std::string_view("bulk");
    plan.resumes = words[5] == std::string_view("resumed");
    plan.path = words[6];
    plan.ec = words[7] == std::string_view("ec");
    plan.tls13 = words[8] == std::string_view("1.3");
    plan.connections = static_cast<size_t>(std::atoi(words[9]));
    plan.seconds = std::atof(words[10]);
    return plan;
}

double own_seconds() {
    rusage used{};
    getrusage(RUSAGE_SELF, &used);
    const auto of = [](const timeval& t) { return double(t.tv_sec) + double(t.tv_usec) / 1e6; };
    return of(used.ru_utime) + of(used.ru_stime);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 11) {
        std::fputs(
            "usage: https_client ADDRESS PORT CA NAME {bulk|new|resumed} PATH {ec|rsa} "
            "{1.2|1.3} CONNECTIONS SECONDS\n",
            stderr);
        return 2;
    }
    const Plan plan = plan_from(argv);
    std::signal(SIGPIPE, SIG_IGN);  // a connection that was reset is one that failed
    Load load(plan);
    const auto late = Clock::now() + 20s;
    while (!load.warm() && Clock::now() < late) load.run_until(Clock::now() + 50ms);
    load.run_until(Clock::now() + 500ms);
    std::puts("measuring");
    std::fflush(stdout);
    load.done = {};
    const auto began = Clock::now();
    const double used = own_seconds();
    load.run_until(began + std::chrono::duration_cast<Clock::duration>(
                               std::chrono::duration<double>(plan.seconds)));
    const double took = std::chrono::duration<double>(Clock::now() - began).count();
    std::puts("measured");
    std::printf(
        "{\"seconds\": %.4f, \"octets\": %llu, \"answers\": %llu, \"resumed\": %llu, "
        "\"failed\": %llu, \"client_s\": %.3f, \"warm\": %s}\n",
        took, static_cast<unsigned long long>(load.done.octets),
        static_cast<unsigned long long>(load.done.answers),
        static_cast<unsigned long long>(load.done.resumed),
        static_cast<unsigned long long>(load.done.failed), own_seconds() - used,
        load.warm() ? "true" : "false");
    return 0;
}
