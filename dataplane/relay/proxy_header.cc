#include "dataplane/relay/proxy_header.h"

#include "base/check.h"

namespace holdfast {
namespace {

constexpr std::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr uint8_t kVersion2Proxy = 0x21, kTcpOverV4 = 0x11, kTcpOverV6 = 0x21;
constexpr size_t kFixed = 16;

// PP2_TYPE_*, and PP2_SUBTYPE_SSL_* within the last of them.
enum class Tlv : uint8_t {
    alpn = 0x01,
    authority = 0x02,
    unique_id = 0x05,
    ssl = 0x20,
    ssl_version = 0x21,
    ssl_common_name = 0x22,
    ssl_cipher = 0x23,
};
constexpr size_t kTlvHead = 3;
constexpr uint8_t kClientSsl = 1, kClientCertConnection = 2, kClientCertSession = 4;

Bytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

void put_tlv(ByteWriter& w, Tlv type, std::string_view value) {
    w.be(static_cast<uint8_t>(type));
    w.be(static_cast<uint16_t>(value.size()));
    w.put(bytes_of(value));
}

// Where there is something to say, and room for it.
void put_optional(ByteWriter& w, Tlv type, std::string_view value) {
    if (!value.empty() && kTlvHead + value.size() <= w.room()) put_tlv(w, type, value);
}

void put_addresses(ByteWriter& w, const ProxyHeader& h, bool v4) {
    for (const Endpoint* e : {&h.client, &h.vip})
        w.put(std::as_bytes(std::span(e->address.bytes)).subspan(v4 ? 12 : 0));
    w.be(h.client.port);
    w.be(h.vip.port);
}

void put_ssl(ByteWriter& w, const TlsSuite& suite, const TlsClientFacts& facts) {
    const uint8_t shown =
        facts.certificate ? kClientCertSession | (facts.resumed ? 0 : kClientCertConnection) : 0;
    const size_t start = w.used();
    w.be(static_cast<uint8_t>(Tlv::ssl));
    std::byte* const size = w.reserve(2);
    w.be(static_cast<uint8_t>(kClientSsl | shown));
    w.be(uint32_t{facts.certificate ? 0u : 1u});
    put_tlv(w, Tlv::ssl_version, suite.is_tls13() ? "TLSv1.3" : "TLSv1.2");
    put_tlv(w, Tlv::ssl_cipher, suite.name);
    put_optional(w, Tlv::ssl_common_name, facts.common_name);
    CHECK(w.ok());
    store_be(size, static_cast<uint16_t>(w.used() - start - kTlvHead));
}

int digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const char lower = static_cast<char>(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Takes one character of a value, two or three as it is written; nothing at its end.
std::optional<char> take_character(std::string_view& rest) {
    if (rest.empty() || rest[0] == ',' || rest[0] == '+') return std::nullopt;
    if (rest[0] != '\\' || rest.size() < 2) {
        const char c = rest[0];
        rest.remove_prefix(1);
        return c;
    }
    if (rest.size() > 2 && digit(rest[1]) >= 0 && digit(rest[2]) >= 0) {
        const char c = static_cast<char>(digit(rest[1]) << 4 | digit(rest[2]));
        rest.remove_prefix(3);
        return c;
    }
    const char c = rest[1];
    rest.remove_prefix(2);
    return c;
}

}  // namespace

ConnectionId connection_id(const SipKey& secret, const TcpTuple& t, SeqNum client_iss,
                           SeqNum our_iss) {
    ConnectionId name;
    for (const uint8_t half : {uint8_t{0}, uint8_t{1}}) {
        std::array<std::byte, 45> message;
        ByteWriter w(message);
        for (const Endpoint* e : {&t.local, &t.remote}) {
            w.put(std::as_bytes(std::span(e->address.bytes)));
            w.le(e->port);
        }
        w.le(client_iss.value);
        w.le(our_iss.value);
        w.le(half);
        uint64_t bits = siphash(secret, w.written());
        for (size_t i = 16; i-- > 0; bits >>= 4)
            name[half * 16u + i] = "0123456789abcdef"[bits & 15];
    }
    return name;
}

size_t write_proxy_header(const ProxyHeader& h, std::span<std::byte, kMaxProxyHeader> to) {
    const bool v4 = h.client.address.is_v4();
    ByteWriter w(to);
    w.put(bytes_of(kSignature));
    w.be(kVersion2Proxy);
    w.be(v4 ? kTcpOverV4 : kTcpOverV6);
    std::byte* const size = w.reserve(2);
    put_addresses(w, h, v4);
    put_tlv(w, Tlv::unique_id, {h.name.data(), h.name.size()});
    if (h.suite) {
        put_ssl(w, *h.suite, *h.facts);
        put_optional(w, Tlv::alpn, h.facts->protocol);
        put_optional(w, Tlv::authority, h.facts->server_name);
    }
    CHECK(w.ok());
    store_be(size, static_cast<uint16_t>(w.used() - kFixed));
    return w.used();
}

std::string common_name_of(std::string_view subject) {
    for (std::string_view rest = subject; !rest.empty();) {
        const bool wanted = rest.starts_with("CN=");
        std::string value;
        while (const auto c = take_character(rest)) value.push_back(*c);
        if (wanted) return value.substr(3);
        if (!rest.empty()) rest.remove_prefix(1);
    }
    return {};
}

}  // namespace holdfast
