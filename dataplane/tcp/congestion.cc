#include "dataplane/tcp/congestion.h"

#include <algorithm>
#include <cmath>

namespace holdfast {
namespace {

constexpr double kC = 0.4;                                // RFC 9438 section 5.1
constexpr double kBeta = 0.7;                             // section 4.6
constexpr double kAlpha = 3 * (1 - kBeta) / (1 + kBeta);  // section 4.3
constexpr uint32_t kMaxWindow = 1u << 30;

void grow(Tcb& tcb, double by) {
    tcb.cwnd = static_cast<uint32_t>(std::min(tcb.cwnd + std::max(by, 0.0), 1.0 * kMaxWindow));
}

void begin_epoch(Tcb& tcb, Instant now) {
    tcb.cubic_epoch = now;
    tcb.w_est = tcb.cwnd;
    tcb.w_max = std::max(tcb.w_max, tcb.cwnd);
    const double segments = 1.0 * (tcb.w_max - tcb.cwnd) / tcb.mss;
    tcb.cubic_k_ms = static_cast<uint32_t>(std::cbrt(segments / kC) * 1000);
}

}  // namespace

void congestion_begin(Tcb& tcb, const TcpConfig& config) {
    tcb.cwnd = std::max<uint32_t>(config.initial_window / config.mss, 1) * tcb.mss;
    // RFC 6298 section 5.7 is a time-out of the handshake; RFC 5681 section 3.1 wants one segment.
    if (tcb.has(Tcb::syn_retransmitted)) tcb.cwnd = std::min<uint32_t>(tcb.cwnd, 2 * tcb.mss);
    tcb.ssthresh = UINT32_MAX;
    tcb.w_max = 0;
    tcb.cubic_epoch = {};
}

void congestion_on_ack(Tcb& tcb, uint32_t acked, Instant now) {
    if (tcb.cwnd < tcb.ssthresh) {
        const uint32_t slow = std::min(acked, tcb.ssthresh - tcb.cwnd);
        grow(tcb, slow);
        acked -= slow;
    }
    if (acked == 0 || tcb.cwnd < tcb.ssthresh) return;
    if (tcb.cubic_epoch == Instant{}) begin_epoch(tcb, now);

    const auto cubic = [&](double seconds) {
        const double x = seconds - tcb.cubic_k_ms / 1000.0;
        return kC * x * x * x * tcb.mss + tcb.w_max;
    };
    const double t = (now - tcb.cubic_epoch).as_seconds();
    const double cwnd = tcb.cwnd;
    // Section 4.3: as fast as Reno would be, and faster once it is past where it was.
    const double alpha = tcb.w_est < tcb.w_max ? kAlpha : 1.0;
    tcb.w_est = static_cast<uint32_t>(
        std::min(tcb.w_est + alpha * acked * tcb.mss / cwnd, 1.0 * kMaxWindow));
    if (cubic(t) < tcb.w_est) {
        grow(tcb, 1.0 * tcb.w_est - cwnd);
    } else {
        const double target = std::clamp(cubic(t + tcb.srtt_us / 1e6), cwnd, 1.5 * cwnd);
        grow(tcb, (target - cwnd) * acked / cwnd);
    }
}

void congestion_on_loss(Tcb& tcb, uint32_t flight) {
    // What an application did not use it cannot be said to have probed (RFC 9438 section 4.6).
    const uint32_t base = std::min(tcb.cwnd, std::max<uint32_t>(flight, tcb.mss));
    // Fast convergence, section 4.7.
    tcb.w_max = base < tcb.w_max ? static_cast<uint32_t>(base * (1 + kBeta) / 2) : base;
    tcb.ssthresh = std::max(static_cast<uint32_t>(base * kBeta), 2u * tcb.mss);
    tcb.cwnd = std::min(tcb.cwnd, tcb.ssthresh);
    tcb.cubic_epoch = {};
}

void congestion_on_timeout(Tcb& tcb, uint32_t flight, bool first) {
    // Once for one loss, however often it times out (RFC 5681 section 3.1, equation 4).
    if (first) congestion_on_loss(tcb, flight);
    tcb.cwnd = tcb.mss;
    tcb.cubic_epoch = {};
}

void congestion_after_idle(Tcb& tcb, const TcpConfig& config) {
    const uint32_t restart =
        std::max<uint32_t>(config.initial_window / config.mss, 1) * tcb.mss;  // RFC 5681 4.1
    if (tcb.cwnd <= restart) return;
    tcb.ssthresh = std::max(tcb.ssthresh, tcb.cwnd / 4 * 3);  // RFC 2861
    tcb.cwnd = restart;
    tcb.cubic_epoch = {};
}

}  // namespace holdfast
