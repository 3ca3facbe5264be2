#include "controlplane/api/server.h"

#include <fmt/format.h>
#include <httplib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "controlplane/api/limits.h"

namespace holdfast {

struct HttpServer::Impl {
    explicit Impl(HttpHandler h) : handler(std::move(h)) {}

    HttpHandler handler;
    httplib::Server server;
    std::atomic<bool> ended = false;  // by the thread, also after run() has returned
    std::thread thread;
    std::string socket_file;  // to be removed
    int port = 0;

    void set_up();
    void answer(const httplib::Request& request, httplib::Response& response) const;
    void run();
};

void HttpServer::Impl::answer(const httplib::Request& request, httplib::Response& response) const {
    ApiRequest plain{request.method, request.path, {}, request.body};
    for (const auto& [key, value] : request.params) plain.query.emplace(key, value);
    HttpReply reply = handler(plain);
    response.status = reply.status;
    response.set_content(std::move(reply.body), reply.content_type);
}

void HttpServer::Impl::set_up() {
    constexpr time_t kPatienceSeconds = 2;
    server.new_task_queue = [] { return new httplib::ThreadPool(2); };
    // Not httplib's SO_REUSEPORT, under which a second daemon would share the port in silence.
    server.set_socket_options([](int fd) {
        const int on = 1;
        ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    });
    server.set_keep_alive_max_count(1);
    server.set_read_timeout(kPatienceSeconds);
    server.set_write_timeout(kPatienceSeconds);
    server.set_payload_max_length(kMaxApiBody);
    // Before routing: its regular expressions recurse on the path.
    server.set_pre_routing_handler([this](const httplib::Request& in, httplib::Response& out) {
        using Done = httplib::Server::HandlerResponse;
        const bool has_body = in.method == "PUT" || in.method == "POST";
        if (has_body && in.path.size() <= kMaxApiPath) return Done::Unhandled;
        answer(in, out);
        return Done::Handled;
    });
    const auto handle = [this](const httplib::Request& in, httplib::Response& out) {
        answer(in, out);
    };
    server.Put(".*", handle).Post(".*", handle);
    server.set_error_handler([](const httplib::Request&, httplib::Response& out) {
        if (!out.body.empty()) return;
        const bool long_body = out.status == 413;
        out.set_content(
            api_error(out.status, long_body ? "the body is too long" : "not understood").body,
            "application/json");
    });
    server.set_exception_handler(
        [](const httplib::Request&, httplib::Response& out, std::exception_ptr) {
            out.status = 500;
            out.set_content(api_error(500, "internal error").body, "application/json");
        });
}

// Returns when the server accepts, or has failed to.
void HttpServer::Impl::run() {
    thread = std::thread([this] {
        pthread_setname_np(pthread_self(), "http");
        server.listen_after_bind();
        ended = true;
    });
    // stop() is lost on a server that does not run yet.
    while (!server.is_running() && !ended)
        std::this_thread::sleep_for(std::chrono::microseconds(200));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() { stop(); }

void HttpServer::stop() {
    if (impl_->thread.joinable()) {
        impl_->server.stop();
        impl_->thread.join();
    }
    if (!impl_->socket_file.empty()) ::unlink(impl_->socket_file.c_str());
    impl_->socket_file.clear();
}

uint16_t HttpServer::port() const { return static_cast<uint16_t>(impl_->port); }

std::expected<std::unique_ptr<HttpServer>, std::string> HttpServer::on_unix_socket(
    const std::string& path, HttpHandler handler) {
    auto impl = std::make_unique<Impl>(std::move(handler));
    impl->set_up();
    ::unlink(path.c_str());
    impl->server.set_address_family(AF_UNIX);
    constexpr int kUnused = 80;  // httplib wants a port even here
    if (!impl->server.bind_to_port(path, kUnused))
        return std::unexpected(fmt::format("cannot listen on {}: {}", path, std::strerror(errno)));
    impl->socket_file = path;
    // Until here only the owner could connect, whatever the umask: 0755 lacks the others' write.
    if (::chmod(path.c_str(), 0660) != 0)
        return std::unexpected(fmt::format("chmod {}: {}", path, std::strerror(errno)));
    impl->run();
    return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

std::expected<std::unique_ptr<HttpServer>, std::string> HttpServer::on_tcp(const Endpoint& endpoint,
                                                                           HttpHandler handler) {
    auto impl = std::make_unique<Impl>(std::move(handler));
    impl->set_up();
    const std::string host = to_string(endpoint.address);
    impl->port = endpoint.port;
    if (endpoint.port == 0)
        impl->port = impl->server.bind_to_any_port(host);
    else if (!impl->server.bind_to_port(host, endpoint.port))
        impl->port = -1;
    if (impl->port < 0)
        return std::unexpected(
            fmt::format("cannot listen on {}: {}", to_string(endpoint), std::strerror(errno)));
    impl->run();
    return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

}  // namespace holdfast
