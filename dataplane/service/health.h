// Active TCP checks of backends: a SYN from the node's own back-side address; a SYN-ACK is a
// success (answered with RST, so that the backend keeps nothing), a RST or silence a failure.
//
// Pure machine with the usual silhouette. A backend is taken to be up until `fall` failures in a
// row. Probes of many backends are spread over the interval.
// Without an own address of the backend's family there are no probes and it stays up.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/counters.h"
#include "base/random.h"
#include "base/time.h"
#include "dataplane/service/service.h"
#include "dataplane/service/steering.h"
#include "dataplane/wire/tcp_segment.h"

namespace holdfast {

struct HealthCounters {
    uint64_t probes = 0;
    uint64_t successes = 0;
    uint64_t refused = 0;
    uint64_t timeouts = 0;
    uint64_t went_up = 0;
    uint64_t went_down = 0;
};
inline constexpr CounterInfo<HealthCounters> kHealthCounters[] = {
    {"health_probes", "Health check SYNs sent.", &HealthCounters::probes},
    {"health_successes", "Health checks answered with SYN-ACK.", &HealthCounters::successes},
    {"health_refused", "Health checks answered with RST.", &HealthCounters::refused},
    {"health_timeouts", "Health checks not answered in time.", &HealthCounters::timeouts},
    {"health_went_up", "Times a backend became healthy.", &HealthCounters::went_up},
    {"health_went_down", "Times a backend became unhealthy.", &HealthCounters::went_down},
};

class ProbeOutput {
public:
    virtual ~ProbeOutput() = default;
    virtual void send_probe(const Endpoint& from, const Endpoint& to,
                            const TcpSegment& segment) = 0;
};

struct HealthTarget {
    uint16_t service = 0;
    uint16_t backend = 0;
    Endpoint endpoint;
    HealthCheck check;
};

struct HealthOptions {
    std::optional<IpAddress> own_v4, own_v6;
    uint16_t first_port = 61000, last_port = 61999;
    FlowSteering steering;
    uint64_t seed = 0;
};

class HealthChecker {
public:
    HealthChecker(const HealthOptions& options, std::vector<HealthTarget> targets, Instant now);

    // A segment for an own address. Those that answer no probe are ignored.
    void on_segment(const FlowKey& arriving, const TcpSegment& segment, Instant now,
                    ProbeOutput& out);
    Instant next_deadline() const { return next_; }
    void on_deadline(Instant now, ProbeOutput& out);

    bool up(uint16_t service, uint16_t backend) const;
    // Whether any backend went up or down since the last call.
    bool take_changed();
    const HealthCounters& counters() const { return counters_; }

private:
    struct Target {
        HealthTarget what;
        Instant due;         // of the next probe, or of this one's timeout while waiting
        Instant next_probe;  // while waiting: when the probe after this one is due
        SeqNum isn;
        uint16_t port = 0;
        uint8_t successes = 0, failures = 0;
        bool waiting = false;
        bool up = true;
    };
    const IpAddress* own(const IpAddress& of) const;
    void probe(Target& target, Instant now, ProbeOutput& out);
    void settle(Target& target, bool success);
    uint16_t choose_port(const Endpoint& to, const IpAddress& from);
    void reschedule();

    HealthOptions options_;
    std::vector<Target> targets_;
    Random random_;
    uint32_t next_port_ = 0;
    Instant next_ = Instant::max();
    bool changed_ = false;
    HealthCounters counters_;
};

}  // namespace holdfast
