// What an operator, or a service, may choose about TCP endpoints. One for all endpoints of a kind,
// const while they live.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace holdfast {

struct TcpConfig {
    // Payload of a segment without options: MTU less 40 (IPv4) or 60 (IPv6). What we tell the peer.
    uint16_t mss = 1460;
    uint16_t default_mss =
        536;  // of a peer that names none: 536 (IPv4), 1220 (IPv6), RFC 9293 3.7.1
    uint16_t min_path_mss =
        536;  // no ICMP message takes us below (RFC 1191 section 3: at least 536)

    uint32_t receive_buffer = 256 * 1024;  // bytes we promise to take beyond what was delivered
    uint32_t send_buffer = 256 * 1024;     // bytes written and not acknowledged
    bool scale_windows = true;
    // The smallest shift with which a window field can say receive_buffer (RFC 7323 section 2.3).
    constexpr uint8_t window_scale() const {
        uint8_t shift = 0;
        while (shift < 14 && receive_buffer >> shift > 65535) ++shift;
        return shift;
    }
    bool sack = true;
    bool timestamps = true;
    bool ecn = false;

    Duration initial_rto = Duration::seconds(1);        // RFC 6298 section 2.1
    Duration min_rto = Duration::milliseconds(200);     // as Linux; RFC 6298 would have 1 s
    Duration max_rto = Duration::seconds(60);           // RFC 6298 section 2.5
    Duration delayed_ack = Duration::milliseconds(40);  // RFC 9293 3.8.6.3: below 500 ms; as Linux
    uint32_t initial_window = 10 * 1460;                // RFC 6928
    bool slow_start_after_idle = true;                  // RFC 5681 section 4.1

    // How long bytes may stay unacknowledged (RFC 5482), and a handshake may take; 0: for ever.
    Duration user_timeout = Duration::seconds(15 * 60);
    Duration connect_timeout = Duration::seconds(60);
    // Keep-alive (RFC 9293 section 3.8.4): after `idle` a probe each `interval`; 0: none.
    Duration keepalive_idle{};
    Duration keepalive_interval = Duration::seconds(75);
    uint8_t keepalive_probes = 9;
    Duration time_wait = Duration::seconds(60);  // 2 MSL, as Linux; RFC 9293 would have 4 minutes

    uint8_t challenges_per_second = 5;  // RFC 5961 section 7, for one connection
    // After a restore, and from the first sign of life on, acknowledgements of what we do not know
    // to have sent are believed for so long.
    Duration relearn_for = Duration::seconds(5);
};

}  // namespace holdfast
