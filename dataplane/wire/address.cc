#include "dataplane/wire/address.h"

#include <arpa/inet.h>

#include <charconv>
#include <cstdio>

namespace holdfast {

std::string to_string(const MacAddress& mac) {
    char text[18];
    const auto& b = mac.bytes;
    std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4],
                  b[5]);
    return text;
}

std::string to_string(const IpAddress& address) {
    char text[INET6_ADDRSTRLEN] = "";
    if (address.is_v4())
        inet_ntop(AF_INET, address.bytes.data() + 12, text, sizeof text);
    else
        inet_ntop(AF_INET6, address.bytes.data(), text, sizeof text);
    return text;
}

std::string to_string(const Endpoint& endpoint) {
    const std::string address = to_string(endpoint.address);
    const std::string port = std::to_string(endpoint.port);
    return endpoint.address.is_v4() ? address + ":" + port : "[" + address + "]:" + port;
}

std::optional<IpAddress> parse_ip(std::string_view text) {
    const std::string copy(text);
    if (copy.size() != std::string_view(copy.c_str()).size()) return std::nullopt;  // embedded NUL
    IpAddress a;
    if (uint32_t v4; inet_pton(AF_INET, copy.c_str(), &v4) == 1) return IpAddress::v4(ntohl(v4));
    if (inet_pton(AF_INET6, copy.c_str(), a.bytes.data()) == 1) return a;
    return std::nullopt;
}

std::optional<MacAddress> parse_mac(std::string_view text) {
    if (text.size() != 17) return std::nullopt;
    MacAddress mac;
    for (size_t i = 0; i < 6; ++i) {
        const char* p = text.data() + 3 * i;
        if (i > 0 && p[-1] != ':') return std::nullopt;
        auto [end, error] = std::from_chars(p, p + 2, mac.bytes[i], 16);
        if (error != std::errc() || end != p + 2) return std::nullopt;
    }
    return mac;
}

std::optional<Endpoint> parse_endpoint(std::string_view text) {
    const size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    std::string_view host = text.substr(0, colon), port = text.substr(colon + 1);
    const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) host = host.substr(1, host.size() - 2);
    const auto address = parse_ip(host);
    if (!address || address->is_v4() == bracketed) return std::nullopt;
    Endpoint e{*address, 0};
    auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), e.port);
    if (error != std::errc() || end != port.data() + port.size()) return std::nullopt;
    return e;
}

}  // namespace holdfast
