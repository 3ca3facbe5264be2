#include "dataplane/relay/proxy_header.h"

#include <gtest/gtest.h>

#include "dataplane/wire/testing.h"

namespace holdfast {
namespace {

using namespace holdfast::testing;

std::string hex(Bytes bytes) {
    std::string text;
    for (const std::byte b : bytes) {
        text += "0123456789abcdef"[std::to_integer<int>(b) >> 4];
        text += "0123456789abcdef"[std::to_integer<int>(b) & 15];
    }
    return text;
}

std::string hex(std::string_view text) { return hex(std::as_bytes(std::span(text))); }

std::string written(const ProxyHeader& h) {
    std::array<std::byte, kMaxProxyHeader> octets;
    return hex(Bytes(octets).first(write_proxy_header(h, octets)));
}

ConnectionId name() {
    ConnectionId n;
    n.fill('7');
    return n;
}

constexpr const char* kSignature = "0d0a0d0a000d0a515549540a";  // section 2.2 of the specification
const std::string kName = "050020" + hex("77777777777777777777777777777777");

TEST(ProxyHeader, OfIpv4) {
    const ProxyHeader h{endpoint("203.0.113.9:40000"), endpoint("192.0.2.80:443"), name(), nullptr,
                        nullptr};
    EXPECT_EQ(written(h), std::string(kSignature) + "2111002f" + "cb007109" + "c0000250" + "9c40" +
                              "01bb" + kName);
}

TEST(ProxyHeader, OfIpv6) {
    const ProxyHeader h{endpoint("[2001:db8:9::9]:40000"), endpoint("[2001:db8:1::80]:443"), name(),
                        nullptr, nullptr};
    EXPECT_EQ(written(h), std::string(kSignature) + "21210047" +
                              "20010db8000900000000000000000009"
                              "20010db8000100000000000000000080" +
                              "9c4001bb" + kName);
}

// 01 ALPN, 02 authority, 20 SSL: client flags, verify, 21 version, 22 common name, 23 cipher.
TEST(ProxyHeader, OfATlsClient) {
    ProxyHeader h{endpoint("203.0.113.9:40000"), endpoint("192.0.2.80:443"), name(), nullptr,
                  nullptr};
    const std::string head = "cb007109c00002509c4001bb" + kName;
    TlsClientFacts facts;
    h.facts = &facts;
    h.suite = find_tls_suite(0x1301);
    const std::string suite = "230016" + hex("TLS_AES_128_GCM_SHA256");
    EXPECT_EQ(written(h), std::string(kSignature) + "2111005a" + head + "200028" + "01" +
                              "00000001" + "210007" + hex("TLSv1.3") + suite);
    facts = {true, false, "a client", "www.example.com", "http/1.1"};
    EXPECT_EQ(written(h), std::string(kSignature) + "21110082" + head + "200033" + "07" +
                              "00000000" + "210007" + hex("TLSv1.3") + suite + "220008" +
                              hex("a client") + "010008" + hex("http/1.1") + "02000f" +
                              hex("www.example.com"));
    facts = {true, true, "a client", "", ""};
    h.suite = find_tls_suite("ECDHE-RSA-AES256-GCM-SHA384");
    EXPECT_EQ(written(h), std::string(kSignature) + "2111006a" + head + "200038" + "05" +
                              "00000000" + "210007" + hex("TLSv1.2") + "23001b" +
                              hex("ECDHE-RSA-AES256-GCM-SHA384") + "220008" + hex("a client"));
}

// What would not fit one segment is left out; what is not optional always fits.
TEST(ProxyHeader, OneSegmentHoldsIt) {
    const std::string longest(255, 'x');
    const TlsClientFacts facts{true, false, longest, longest, longest};
    for (const TlsSuite& suite : kTlsSuites) {
        const ProxyHeader h{endpoint("[2001:db8:9::9]:1"), endpoint("[2001:db8:1::80]:2"), name(),
                            &suite, &facts};
        EXPECT_LE(written(h).size(), 2 * kMaxProxyHeader);
        EXPECT_NE(written(h).find("2200ff" + hex(longest)), std::string::npos);
    }
}

TEST(ProxyHeader, ANameIsOfOneConnection) {
    const SipKey secret{std::byte{1}}, other{std::byte{2}};
    const TcpTuple tuple{endpoint("192.0.2.80:443"), endpoint("203.0.113.9:40000")};
    const TcpTuple next{endpoint("192.0.2.80:443"), endpoint("203.0.113.9:40001")};
    const ConnectionId n = connection_id(secret, tuple, {1}, {2});
    EXPECT_EQ(n, connection_id(secret, tuple, {1}, {2}));
    EXPECT_NE(n, connection_id(other, tuple, {1}, {2}));
    EXPECT_NE(n, connection_id(secret, next, {1}, {2}));
    EXPECT_NE(n, connection_id(secret, tuple, {2}, {2}));
    EXPECT_NE(n, connection_id(secret, tuple, {1}, {1}));
    EXPECT_EQ(std::string_view(n.data(), n.size()).find_first_not_of("0123456789abcdef"),
              std::string_view::npos);
    EXPECT_NE(std::string_view(n.data(), 16), std::string_view(n.data() + 16, 16));
}

TEST(ProxyHeader, CommonNames) {
    EXPECT_EQ(common_name_of("CN=a client"), "a client");
    EXPECT_EQ(common_name_of("CN=first,CN=second,O=Example"), "first");
    EXPECT_EQ(common_name_of("O=CN\\=no,OU=x+CN=b"), "b");
    EXPECT_EQ(common_name_of("CN=a\\,b\\+c\\\\d,O=e"), "a,b+c\\d");
    EXPECT_EQ(common_name_of("CN=M\\C3\\BCller"), "M\xc3\xbcller");
    EXPECT_EQ(common_name_of("O=Example\\,CN=no"), "");
    EXPECT_EQ(common_name_of(""), "");
    EXPECT_EQ(common_name_of("CN=\\"), "\\");
}

}  // namespace
}  // namespace holdfast
