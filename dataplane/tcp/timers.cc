// Deadlines: which there are, and what they do. RFC 6298 section 5, RFC 8985 section 7.2.
#include <algorithm>

#include "dataplane/tcp/endpoint.h"

namespace holdfast {
namespace {
// RFC 8985 section 7.2: what a receiver may hold back an ACK for; Linux's largest.
constexpr Duration kMaxAckDelay = Duration::milliseconds(200);
constexpr uint8_t kEnoughRelearnProbes = 2, kRelearnProbes = 10;
constexpr Duration kMinTailProbe = Duration::milliseconds(2);  // two ticks
}  // namespace

Duration TcpEndpoint::rto() const {
    const int64_t us = int64_t{tcb_.rto_us} << std::min<uint8_t>(tcb_.backoff, 20);
    return Duration::microseconds(std::min(us, config_.max_rto.as_microseconds()));
}

bool TcpEndpoint::has_work() const {
    if (tcb_.state == TcpState::closed) return false;
    return in_flight() > 0 || (may_send_data() && tcb_.snd_nxt < send_end());
}

bool TcpEndpoint::tail_probe_fits() const {
    return tcb_.has(Tcb::sack) && tcb_.has(Tcb::rtt_valid) && !log_.empty() &&
           !tcb_.has(Tcb::recovery | Tcb::tlp_outstanding) && log_.sacked_segments() == 0 &&
           log_.lost_bytes() == 0 && tcb_.backoff == 0;
}

Duration TcpEndpoint::tail_probe_delay() const {
    Duration d = Duration::microseconds(int64_t{tcb_.srtt_us} * 2);
    if (log_.segments() == 1) d = d + kMaxAckDelay;
    return std::clamp(d, kMinTailProbe, rto());
}

// Keeps the one timer of sending right: there is work exactly when it is armed. `restart`: count
// from now although it runs.
void TcpEndpoint::arm_send_timer(Instant now, bool restart) {
    if (in_flight() == 0) {
        const bool blocked = has_work();
        if (blocked && tcb_.timer == SendTimer::persist && !restart) return;
        tcb_.timer = blocked ? SendTimer::persist : SendTimer::none;
        tcb_.send_at = blocked ? now + rto() : Instant::max();
        return;
    }
    if (tcb_.timer == SendTimer::persist) tcb_.backoff = 0;
    const bool runs = tcb_.timer != SendTimer::none && tcb_.timer != SendTimer::persist;
    const bool misplaced = tcb_.timer == SendTimer::tail_probe && !tail_probe_fits();
    if (runs && !restart && !misplaced) return;
    const bool probe = tail_probe_fits();
    tcb_.timer = probe ? SendTimer::tail_probe : SendTimer::retransmit;
    tcb_.send_at = now + (probe ? tail_probe_delay() : rto());
}

void TcpEndpoint::on_send_timer(Instant now, TcpOutput& out) {
    switch (tcb_.timer) {
        case SendTimer::none:
            return;
        case SendTimer::retransmit:
            return on_retransmit_timeout(now, out);
        case SendTimer::persist:
            return on_persist(now, out);
        case SendTimer::tail_probe:
            return on_tail_probe(now, out);
        case SendTimer::reorder:
            tcb_.timer = SendTimer::none;
            arm_send_timer(now, true);
            detect_losses(now);
            return flush(now, out);
    }
}

bool TcpEndpoint::given_up(Instant since, Instant now) const {
    return config_.user_timeout > Duration{} && now - since >= config_.user_timeout;
}

bool TcpEndpoint::relearn_unanswered() const {
    if (!tcb_.has(Tcb::relearn)) return false;
    const bool answered = tcb_.linger_at != Instant::max();
    return tcb_.relearn_probes < (answered ? kEnoughRelearnProbes : kRelearnProbes);
}

Duration TcpEndpoint::relearn_interval() const {
    if (tcb_.relearn_probes == 0) return {};
    const int64_t us = int64_t{tcb_.rto_us} << (tcb_.relearn_probes - 1);
    return Duration::microseconds(std::min(us, config_.max_rto.as_microseconds()));
}

// Counted from when the peer was last heard; nothing moves while it talks. After a restore the peer
// is asked where it stands until it has said so, and once more, as the first that came may be what
// it said before.
Instant TcpEndpoint::keepalive_at() const {
    const bool open = tcb_.state == TcpState::established || tcb_.state == TcpState::close_wait ||
                      tcb_.state == TcpState::fin_wait_2;
    if (relearn_unanswered()) return tcb_.heard_at + relearn_interval();
    if (config_.keepalive_idle == Duration{} || !open || tcb_.timer != SendTimer::none)
        return Instant::max();
    return tcb_.heard_at + config_.keepalive_idle + config_.keepalive_interval * tcb_.keepalives;
}

// RFC 9293 section 3.8.4: an old byte that is not there.
void TcpEndpoint::on_keepalive(Instant now, TcpOutput& out) {
    if (relearn_unanswered()) {
        ++tcb_.relearn_probes;
        tcb_.heard_at = now;
        return probe(now, out);
    }
    if (tcb_.keepalives >= config_.keepalive_probes) {
        ++pool_.counters.timed_out;
        return close(TcpEvent::timed_out, out);
    }
    ++tcb_.keepalives;
    ++pool_.counters.keepalive_probes;
    send_ack(ack_sequence() - 1, now, out);
}

void TcpEndpoint::enter_time_wait(Instant now) {
    tcb_.clear(Tcb::relearn);
    tcb_.linger_at = now + config_.time_wait;
}

void TcpEndpoint::on_linger(TcpOutput& out) {
    tcb_.linger_at = Instant::max();
    tcb_.clear(Tcb::relearn);
    if (tcb_.state == TcpState::time_wait) close(TcpEvent::closed, out);
}

Instant TcpEndpoint::next_deadline() const {
    if (tcb_.state == TcpState::closed) return Instant::max();
    return earlier(earlier(tcb_.send_at, tcb_.ack_at), earlier(tcb_.linger_at, keepalive_at()));
}

void TcpEndpoint::on_deadline(Instant now, TcpOutput& out) {
    if (tcb_.state == TcpState::closed) return;
    if (now >= tcb_.linger_at) on_linger(out);
    if (tcb_.state != TcpState::closed && now >= tcb_.send_at) on_send_timer(now, out);
    if (tcb_.state != TcpState::closed && now >= keepalive_at()) on_keepalive(now, out);
    if (tcb_.state != TcpState::closed && now >= tcb_.ack_at) send_ack(ack_sequence(), now, out);
}

}  // namespace holdfast
