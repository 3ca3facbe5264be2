#include "dataplane/service/health.h"

#include <algorithm>
#include <utility>

namespace holdfast {

HealthChecker::HealthChecker(const HealthOptions& options, std::vector<HealthTarget> targets,
                             Instant now)
    : options_(options), random_(options.seed) {
    targets_.reserve(targets.size());
    for (HealthTarget& t : targets) {
        if (!t.check.enabled || own(t.endpoint.address) == nullptr) continue;
        Target target;
        const uint64_t spread = static_cast<uint64_t>(std::max<int64_t>(t.check.interval.ns, 1));
        target.due = now + Duration::nanoseconds(static_cast<int64_t>(random_.below(spread)));
        target.what = std::move(t);
        targets_.push_back(target);
    }
    next_port_ = static_cast<uint32_t>(random_.next());
    reschedule();
}

const IpAddress* HealthChecker::own(const IpAddress& of) const {
    const auto& address = of.is_v4() ? options_.own_v4 : options_.own_v6;
    return address ? &*address : nullptr;
}

uint16_t HealthChecker::choose_port(const Endpoint& to, const IpAddress& from) {
    const uint32_t ports = uint32_t{options_.last_port} - options_.first_port + 1;
    uint16_t port = options_.first_port;
    // Sixteen tries a worker: one of them leads back here but for one time in millions.
    for (int i = 0; i < 16 * options_.steering.workers; ++i) {
        port = static_cast<uint16_t>(options_.first_port + next_port_++ % ports);
        if (options_.steering.is_ours({to, {from, port}})) break;
    }
    return port;
}

void HealthChecker::probe(Target& t, Instant now, ProbeOutput& out) {
    const IpAddress& from = *own(t.what.endpoint.address);
    t.port = choose_port(t.what.endpoint, from);
    t.isn = {static_cast<uint32_t>(random_.next())};
    t.waiting = true;
    t.due = now + t.what.check.timeout;
    t.next_probe = now + t.what.check.interval;
    ++counters_.probes;
    TcpSegment syn;
    syn.source_port = t.port;
    syn.destination_port = t.what.endpoint.port;
    syn.seq = t.isn;
    syn.flags = tcp_flag::syn;
    syn.window = 1024;
    out.send_probe({from, t.port}, t.what.endpoint, syn);
}

void HealthChecker::settle(Target& t, bool success) {
    t.waiting = false;
    t.due = t.next_probe;
    t.successes = success ? static_cast<uint8_t>(std::min(t.successes + 1, 255)) : uint8_t{0};
    t.failures = success ? uint8_t{0} : static_cast<uint8_t>(std::min(t.failures + 1, 255));
    if (t.up && t.failures >= t.what.check.fall) {
        t.up = false;
        changed_ = true;
        ++counters_.went_down;
    } else if (!t.up && t.successes >= t.what.check.rise) {
        t.up = true;
        changed_ = true;
        ++counters_.went_up;
    }
}

void HealthChecker::on_segment(const FlowKey& arriving, const TcpSegment& segment, Instant,
                               ProbeOutput& out) {
    for (Target& t : targets_) {
        if (!t.waiting || t.what.endpoint != arriving.source || t.port != arriving.destination.port)
            continue;
        if (!segment.has(tcp_flag::ack) || segment.ack != t.isn + 1) return;
        if (segment.has(tcp_flag::rst)) {
            ++counters_.refused;
            settle(t, false);
        } else if (segment.has(tcp_flag::syn)) {
            ++counters_.successes;
            settle(t, true);
            TcpSegment rst;
            rst.source_port = t.port;
            rst.destination_port = t.what.endpoint.port;
            rst.seq = segment.ack;
            rst.flags = tcp_flag::rst;
            out.send_probe(arriving.destination, arriving.source, rst);
        }
        reschedule();
        return;
    }
}

void HealthChecker::on_deadline(Instant now, ProbeOutput& out) {
    for (Target& t : targets_) {
        if (t.due > now) continue;
        if (t.waiting) {
            ++counters_.timeouts;
            settle(t, false);
        }
        if (t.due <= now) probe(t, now, out);
    }
    reschedule();
}

void HealthChecker::reschedule() {
    next_ = Instant::max();
    for (const Target& t : targets_) next_ = earlier(next_, t.due);
}

bool HealthChecker::up(uint16_t service, uint16_t backend) const {
    for (const Target& t : targets_)
        if (t.what.service == service && t.what.backend == backend) return t.up;
    return true;
}

bool HealthChecker::take_changed() { return std::exchange(changed_, false); }

}  // namespace holdfast
