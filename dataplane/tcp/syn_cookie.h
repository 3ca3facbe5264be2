// SYN cookies (RFC 4987 section 3.6): under flood a SYN is answered without keeping anything, and
// the ACK of that answer brings back what is needed. As any node can check a cookie of any other,
// a handshake outlives the node that began it.
//
// The sequence number proves itself (a keyed hash of tuple, client's number and time, good for one
// to two minutes) and carries the MSS as one of eight; the timestamp's last six bits carry window
// scale, SACK and ECN. Without timestamps those are not negotiated.
#pragma once

#include <optional>

#include "dataplane/tcp/config.h"
#include "dataplane/tcp/initial_sequence.h"
#include "dataplane/wire/tcp_segment.h"

namespace holdfast {

struct CookieOptions {
    uint16_t mss = 536;
    std::optional<uint8_t> window_scale;
    bool sack = false, ecn = false;
};

// Of this generation and the one before, while it is rotated.
struct CookieKeys {
    SipKey current{}, previous{};
};

SeqNum make_cookie(const SipKey& key, const TcpTuple& tuple, SeqNum client_iss, uint16_t mss,
                   Duration wall);
// The MSS, if one of us made it, and lately.
std::optional<uint16_t> check_cookie(const CookieKeys& keys, const TcpTuple& tuple,
                                     SeqNum client_iss, SeqNum cookie, Duration wall);

struct CookieAnswer {
    TcpSegment segment;  // but for the ports
    TcpOptions options;
};
// The SYN-ACK. `timestamp`: the TSval an endpoint would send now.
CookieAnswer answer_with_cookie(const TcpConfig& config, const CookieKeys& keys,
                                const TcpTuple& tuple, const TcpSegment& syn,
                                const TcpOptions& options, uint32_t timestamp, Duration wall);
// For TcpEndpoint::accept_cookie(), if `ack` answers a cookie.
std::optional<CookieOptions> open_cookie(const TcpConfig& config, const CookieKeys& keys,
                                         const TcpTuple& tuple, const TcpSegment& ack,
                                         const TcpOptions& options, Duration wall);

}  // namespace holdfast
