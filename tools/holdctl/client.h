// One request to holdfastd's socket and its answer.
#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace holdfast {

struct ClientReply {
    int status = 0;
    std::string body;
};

// The error says, in a sentence, why nobody answered.
std::expected<ClientReply, std::string> ask(const std::string& socket, const std::string& method,
                                            const std::string& path, const std::string& body = "");

// RFC 3986 section 2.1: everything but unreserved characters as %XX.
std::string percent_encoded(std::string_view text);

}  // namespace holdfast
