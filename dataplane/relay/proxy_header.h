// The header of the PROXY protocol, version 2: the first octets that a backend reads tell it who
// the client is (HAProxy's doc/proxy-protocol.txt, section 2.2).
//
// Everything in it is a function of what other nodes know of the session, so that whoever carries
// the session on makes the same octets again. One segment holds it: what is optional is left out
// where there is no room. Pure; no allocation but for names.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "dataplane/tcp/initial_sequence.h"
#include "dataplane/tls/suite.h"

namespace holdfast {

// What a TLS handshake told about the client, for who asks behind it.
struct TlsClientFacts {
    bool certificate = false;  // it showed one that was verified
    bool resumed = false;      // by resumption: in an earlier connection, that is
    std::string common_name;   // of that
    std::string server_name;   // as the client asked for it (SNI)
    std::string protocol;      // agreed on (ALPN)
    friend bool operator==(const TlsClientFacts&, const TlsClientFacts&) = default;
};

// In hexadecimal: operators search their logs for it.
using ConnectionId = std::array<char, 32>;

// The same on every node, before and after a failover, and never that of another connection.
ConnectionId connection_id(const SipKey& secret, const TcpTuple& client_side, SeqNum client_iss,
                           SeqNum our_iss);

struct ProxyHeader {
    Endpoint client, vip;  // of one family
    ConnectionId name{};
    const TlsSuite* suite = nullptr;        // none: the client did not speak TLS with us
    const TlsClientFacts* facts = nullptr;  // with a suite
};

// The smallest MSS that TCP takes for granted (RFC 9293 section 3.7.1), less options.
inline constexpr size_t kMaxProxyHeader = 512;

// Octets written.
size_t write_proxy_header(const ProxyHeader& header, std::span<std::byte, kMaxProxyHeader> to);

// The most specific CN of a name as RFC 2253 writes it, without escapes; empty: there is none.
std::string common_name_of(std::string_view subject);

}  // namespace holdfast
