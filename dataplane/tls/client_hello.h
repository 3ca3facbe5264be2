// What a ClientHello (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2) says that matters before
// OpenSSL sees it: which session it wants to resume, so that the session can be fetched first, and
// which name it asks for.
//
// A pure parser over the raw bytes of the connection, records and all. It refuses what OpenSSL
// would refuse anyway, and nothing it accepts is trusted: OpenSSL parses the same bytes again.
// Nothing is allocated.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "dataplane/tls/alert.h"

namespace holdfast {

// The longest ClientHello read: SSL3_RT_MAX_PLAIN_LENGTH, OpenSSL's own limit.
inline constexpr size_t kMaxClientHello = 16'384;

// A session's identifier: TLS 1.2's, or what a TLS 1.3 stateful ticket holds.
struct TlsSessionId {
    uint8_t size = 0;
    std::array<std::byte, 32> bytes{};

    static std::optional<TlsSessionId> from(Bytes bytes);
    Bytes view() const { return Bytes(bytes).first(size); }
    friend bool operator==(const TlsSessionId&, const TlsSessionId&) = default;
};

struct ClientHelloInfo {
    static constexpr size_t kMaxIdentities = 4;  // more are a client's oddity: never looked up

    bool offers_tls13 = false;
    bool offers_ticket = false;  // a stateless ticket: nothing to fetch
    uint8_t sni_size = 0;
    uint8_t identities = 0;
    std::array<char, 255> sni{};  // as sent, lower case
    // Sessions worth fetching: the PSK identities that can be ones of ours, or the TLS 1.2 session
    // id.
    std::array<TlsSessionId, kMaxIdentities> identity{};
    // The protocols offered, as on the wire: each with its length before it.
    uint8_t alpn_size = 0;
    std::array<std::byte, 255> alpn{};

    std::string_view server_name() const { return {sni.data(), sni_size}; }
    std::span<const TlsSessionId> sessions() const { return {identity.data(), identities}; }
};

// Nothing yet when the bytes end too early; an alert when they can become no ClientHello.
std::expected<std::optional<ClientHelloInfo>, TlsAlert> parse_client_hello(Bytes stream);

}  // namespace holdfast
