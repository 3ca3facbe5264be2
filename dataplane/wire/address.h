// Addresses as values: 48-bit Ethernet addresses, and IPv4 and IPv6 in one 16-byte type.
//
// An IPv4 address is kept as its IPv4-mapped IPv6 form (RFC 4291 section 2.5.5.2), so that tables
// and records have one shape; is_v4() tells them apart. Ports are in host byte order.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace holdfast {

struct MacAddress {
    std::array<uint8_t, 6> bytes{};
    constexpr bool is_group() const { return bytes[0] & 1; }
    friend constexpr auto operator<=>(const MacAddress&, const MacAddress&) = default;
    friend constexpr bool operator==(const MacAddress& a, const MacAddress& b) {
        using Words = std::array<uint16_t, 3>;
        const auto x = std::bit_cast<Words>(a), y = std::bit_cast<Words>(b);
        return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2])) == 0;
    }
};

// Made and compared several times for every packet, hence in words: byte by byte, each use costs a
// failed store-to-load forwarding.
struct IpAddress {
    std::array<uint8_t, 16> bytes{};

    static constexpr IpAddress v4(uint32_t host_order) {
        return std::bit_cast<IpAddress>(Words{0, big(uint64_t{0xffff} << 32 | host_order)});
    }
    constexpr bool is_v4() const {
        const Words w = words();
        return (w[0] | (big(w[1]) >> 32 ^ 0xffff)) == 0;
    }
    // Only for is_v4(): the address in host byte order.
    constexpr uint32_t as_v4() const { return static_cast<uint32_t>(big(words()[1])); }
    friend constexpr auto operator<=>(const IpAddress&, const IpAddress&) = default;
    friend constexpr bool operator==(const IpAddress& a, const IpAddress& b) {
        const Words x = a.words(), y = b.words();
        return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
    }

    using Words = std::array<uint64_t, 2>;  // as they lie in memory
    constexpr Words words() const { return std::bit_cast<Words>(*this); }
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
