#include "tools/holdctl/client.h"

#include <fmt/format.h>
#include <httplib.h>
#include <sys/socket.h>

namespace holdfast {

std::expected<ClientReply, std::string> ask(const std::string& socket, const std::string& method,
                                            const std::string& path, const std::string& body) {
    constexpr int kUnused = 80;  // httplib wants a port even here
    httplib::Client client(socket, kUnused);
    client.set_address_family(AF_UNIX);
    client.set_connection_timeout(2);
    client.set_read_timeout(15);  // a handover may take its time
    httplib::Request request;
    request.method = method;
    request.path = path;
    request.headers = {{"Host", "localhost"}, {"Connection", "close"}};
    request.body = body;
    if (!body.empty()) request.headers.emplace("Content-Type", "application/json");
    const httplib::Result result = client.send(request);
    if (!result)
        return std::unexpected(fmt::format("cannot reach holdfastd at {}: {}", socket,
                                           httplib::to_string(result.error())));
    return ClientReply{result->status, result->body};
}

std::string percent_encoded(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
        out += plain ? std::string(1, c)
                     : fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    }
    return out;
}

}  // namespace holdfast
