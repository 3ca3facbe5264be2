// Chooses the backend-side source address and port of a new session.
//
// A port will do when no session uses (backend, pool address and port) and the backend's replies
// reach this worker. So all sessions must be known: an adopter chooses none before it has gathered
// them. Tries are bounded; a random pool of the backend's family and a random walk through its
// ports (each of which has its own step, so that none queues behind what others have filled) spread
// them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/counters.h"
#include "base/random.h"
#include "dataplane/flow/session_table.h"
#include "dataplane/service/service.h"
#include "dataplane/service/steering.h"

namespace holdfast {

struct PortCounters {
    uint64_t allocated = 0;
    uint64_t probes = 0;
    uint64_t exhausted = 0;
};
inline constexpr CounterInfo<PortCounters> kPortCounters[] = {
    {"pool_ports_allocated", "Pool ports given to sessions.", &PortCounters::allocated},
    {"pool_port_probes", "Ports looked at before one would do.", &PortCounters::probes},
    {"pool_exhausted", "Times no port was found.", &PortCounters::exhausted},
};

class PortAllocator {
public:
    // Probes for one pool. At 90 % use of it 0.9^64 = 0.1 % of allocations go on to the
    // second. Two pools at most: a SYN that finds everything full costs 128 cache misses, not as
    // many as there are pools. Multiplied by the workers, as one port in so many leads to this one.
    static constexpr uint32_t kProbes = 64;

    PortAllocator(const FlowSteering& steering, uint64_t seed)
        : steering_(steering), random_(seed) {}

    std::optional<Endpoint> choose(std::span<const Pool> pools, const Endpoint& backend,
                                   const SessionTable& table);
    const PortCounters& counters() const { return counters_; }

private:
    const Pool* any_pool(std::span<const Pool> pools, bool v4, const Pool* but);
    uint32_t any_step(uint32_t ports);
    std::optional<Endpoint> probe(const Pool& pool, const Endpoint& backend,
                                  const SessionTable& table);

    FlowSteering steering_;
    Random random_;
    PortCounters counters_;
};

}  // namespace holdfast
