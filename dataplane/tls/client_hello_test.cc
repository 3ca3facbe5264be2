#include "dataplane/tls/client_hello.h"

#include <gtest/gtest.h>

#include "dataplane/tls/testing.h"

namespace holdfast {
namespace {

using namespace tls_testing;

ClientHelloInfo parsed(Bytes stream) {
    const auto info = parse_client_hello(stream);
    EXPECT_TRUE(info && *info);
    return info && *info ? **info : ClientHelloInfo{};
}

// The same handshake message in records of `size` octets.
Buffer cut(Bytes stream, size_t size) {
    Buffer out;
    for (Bytes rest = stream.subspan(5); !rest.empty();) {
        const size_t n = std::min(size, rest.size());
        for (const int octet : {22, 3, 1, static_cast<int>(n >> 8), static_cast<int>(n & 255)})
            out.push_back(std::byte(octet));
        out.insert(out.end(), rest.begin(), rest.begin() + n);
        rest = rest.subspan(n);
    }
    return out;
}

TEST(ClientHello, SaysWhatItAsksFor) {
    Client client({.sni = "WWW.Example.com", .alpn = {"h2", "http/1.1"}});
    const ClientHelloInfo info = parsed(client.exchange({}));
    EXPECT_EQ(info.server_name(), "www.example.com");
    EXPECT_TRUE(info.offers_tls13);
    EXPECT_FALSE(info.offers_ticket);
    EXPECT_EQ(text_of(Bytes(info.alpn).first(info.alpn_size)), "\x02h2\x08http/1.1");
    EXPECT_TRUE(info.sessions().empty());  // its session id is for middleboxes
    Client old({.version = TLS1_2_VERSION, .sni = ""});
    const ClientHelloInfo plain = parsed(old.exchange({}));
    EXPECT_FALSE(plain.offers_tls13);
    EXPECT_EQ(plain.server_name(), "");
    EXPECT_TRUE(plain.sessions().empty());
}

TEST(ClientHello, IsWaitedForOctetByOctet) {
    Client client({.alpn = {"h2"}});
    const Buffer hello = client.exchange({});
    for (size_t i = 0; i < hello.size(); ++i) {
        const auto info = parse_client_hello(Bytes(hello).first(i));
        ASSERT_TRUE(info.has_value());
        EXPECT_FALSE(info->has_value());
    }
    for (size_t size : {1, 3, 100}) {
        const Buffer pieces = cut(hello, size);
        EXPECT_EQ(parsed(pieces).server_name(), "www.example.com");
        const auto almost = parse_client_hello(Bytes(pieces).first(pieces.size() - 1));
        EXPECT_TRUE(almost.has_value() && !almost->has_value());
    }
}

TEST(ClientHello, WhatCannotBeOneIsRefused) {
    const auto alert = [](std::string_view text) {
        return parse_client_hello(bytes_of(text)).error();
    };
    using namespace std::string_view_literals;
    EXPECT_EQ(alert("GET / HTTP/1.1"), TlsAlert::unexpected_message);
    EXPECT_EQ(alert("\x16\x02"), TlsAlert::protocol_version);
    EXPECT_EQ(alert("\x16\x03\x01\x00\x00"sv), TlsAlert::unexpected_message);
    EXPECT_EQ(alert("\x16\x03\x01\x40\x01"sv), TlsAlert::record_overflow);
    EXPECT_EQ(alert("\x16\x03\x01\x00\x04\x02\x00\x00\x00"sv), TlsAlert::unexpected_message);
    EXPECT_EQ(alert("\x16\x03\x01\x00\x04\x01\x00\x40\x01"sv), TlsAlert::illegal_parameter);
    EXPECT_EQ(alert("\x16\x03\x01\x00\x04\x01\x00\x00\x00"sv), TlsAlert::decode_error);
}

// Whatever is changed, it is read without harm; most of it is refused.
TEST(ClientHello, SurvivesEveryFlippedOctet) {
    Client client({.alpn = {"h2", "http/1.1"}});
    const Buffer hello = client.exchange({});
    for (size_t i = 0; i < hello.size(); ++i) {
        for (const int flip : {0x01, 0x80, 0xff}) {
            Buffer changed = hello;
            changed[i] ^= std::byte(flip);
            const auto info = parse_client_hello(changed);
            EXPECT_TRUE(!info || !*info || (*info)->identities <= ClientHelloInfo::kMaxIdentities);
        }
    }
}

}  // namespace
}  // namespace holdfast
