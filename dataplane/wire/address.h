// Addresses as values: 48-bit Ethernet addresses, and IPv4 and IPv6 in one 16-byte type.
//
// An IPv4 address is kept as its IPv4-mapped IPv6 form (RFC 4291 section 2.5.5.2), so that tables
// and records have one shape; is_v4() tells them apart. Ports are in host byte order.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

struct MacAddress {
    std::array<uint8_t, 6> bytes{};
    friend constexpr auto operator<=>(const MacAddress&, const MacAddress&) = default;
    constexpr bool is_group() const { return bytes[0] & 1; }
};

struct IpAddress {
    std::array<uint8_t, 16> bytes{};

    static constexpr IpAddress v4(uint32_t host_order) {
        IpAddress a;
        a.bytes[10] = a.bytes[11] = 0xff;
        for (int i = 0; i < 4; ++i)
            a.bytes[12 + i] = static_cast<uint8_t>(host_order >> (24 - 8 * i));
        return a;
    }
    constexpr bool is_v4() const {
        for (int i = 0; i < 10; ++i)
            if (bytes[i] != 0) return false;
        return bytes[10] == 0xff && bytes[11] == 0xff;
    }
    // Only for is_v4(): the address in host byte order.
    constexpr uint32_t as_v4() const {
        return uint32_t{bytes[12]} << 24 | uint32_t{bytes[13]} << 16 | uint32_t{bytes[14]} << 8 |
               bytes[15];
    }
    friend constexpr auto operator<=>(const IpAddress&, const IpAddress&) = default;
};

struct Endpoint {
    IpAddress address;
    uint16_t port = 0;
    friend constexpr auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

// Text forms: RFC 5952 for IPv6, "192.0.2.1:80" and "[2001:db8::1]:80" for endpoints.
std::string to_string(const MacAddress& mac);
std::string to_string(const IpAddress& address);
std::string to_string(const Endpoint& endpoint);
std::optional<IpAddress> parse_ip(std::string_view text);
std::optional<MacAddress> parse_mac(std::string_view text);
std::optional<Endpoint> parse_endpoint(std::string_view text);

}  // namespace holdfast
