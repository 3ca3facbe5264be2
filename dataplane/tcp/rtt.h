// The retransmission timer's value (RFC 6298), in whole microseconds.
#pragma once

#include <algorithm>

#include "dataplane/tcp/config.h"
#include "dataplane/tcp/tcb.h"

namespace holdfast {

inline constexpr uint32_t kClockGranularityUs = 1000;  // G: timers fire on ticks of a wheel

inline void take_rtt_sample(Tcb& tcb, uint32_t rtt_us, const TcpConfig& config) {
    rtt_us = std::max(rtt_us, 1u);
    if (!tcb.has(Tcb::rtt_valid)) {
        tcb.set(Tcb::rtt_valid);
        tcb.srtt_us = rtt_us;
        tcb.rttvar_us = rtt_us / 2;
    } else {
        const uint32_t error = tcb.srtt_us > rtt_us ? tcb.srtt_us - rtt_us : rtt_us - tcb.srtt_us;
        tcb.rttvar_us = static_cast<uint32_t>((uint64_t{tcb.rttvar_us} * 3 + error) / 4);
        tcb.srtt_us = static_cast<uint32_t>((uint64_t{tcb.srtt_us} * 7 + rtt_us) / 8);
    }
    const int64_t us = int64_t{tcb.srtt_us} + std::max(kClockGranularityUs, tcb.rttvar_us * 4);
    tcb.rto_us = static_cast<uint32_t>(
        std::clamp(us, config.min_rto.as_microseconds(), config.max_rto.as_microseconds()));
}

inline uint32_t elapsed_us(Instant since, Instant now) {
    return static_cast<uint32_t>(
        std::clamp<int64_t>((now - since).as_microseconds(), 0, UINT32_MAX / 8));
}

}  // namespace holdfast
