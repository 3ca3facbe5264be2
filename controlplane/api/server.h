// HTTP in front of a handler: the API on a unix socket, metrics on a TCP port.
//
// One small server for both: two threads, one request for each connection, short timeouts, bounded
// bodies, so that a client that sends nothing or never stops costs little. Start-up problems are
// returned; stop() (and the destructor) ends the threads and removes the socket's file. Safe to be
// reached by strangers only where the handler is; who may connect is the file's mode or the
// listening address.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>

#include "controlplane/api/api.h"
#include "dataplane/wire/address.h"

namespace holdfast {

struct HttpReply {
    int status = 200;
    std::string body;
    std::string content_type = "application/json";
};
using HttpHandler = std::function<HttpReply(const ApiRequest&)>;

class HttpServer {
public:
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    // Mode 0660. An old file of that name is removed: the caller holds the run directory's lock.
    static std::expected<std::unique_ptr<HttpServer>, std::string> on_unix_socket(
        const std::string& path, HttpHandler handler);
    // Port 0: any free one.
    static std::expected<std::unique_ptr<HttpServer>, std::string> on_tcp(const Endpoint& endpoint,
                                                                          HttpHandler handler);
    void stop();
    uint16_t port() const;

private:
    struct Impl;
    explicit HttpServer(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast
