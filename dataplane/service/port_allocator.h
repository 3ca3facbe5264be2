// Chooses the backend-side source address and port of a new session.
//
// A port will do when no session uses (backend, pool address and port) and the backend's replies
// reach this worker. Tries are bounded; a random start spreads them. Two nodes must not give out
// the same port while one of them does not know the other's sessions yet: the range of each pool is
// cut into eight slices by epoch. While `sliced` is set, ports come from slice (epoch mod 8) only;
// else the slices of the next two epochs are left for whoever adopts next, unless nothing else is
// free.
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
    uint64_t from_reserve = 0;
    uint64_t exhausted = 0;
};
inline constexpr CounterInfo<PortCounters> kPortCounters[] = {
    {"pool_ports_allocated", "Pool ports given to sessions.", &PortCounters::allocated},
    {"pool_port_probes", "Ports looked at before one would do.", &PortCounters::probes},
    {"pool_ports_from_reserve", "Ports taken from a slice kept for the next epochs.",
     &PortCounters::from_reserve},
    {"pool_exhausted", "Times no port was found.", &PortCounters::exhausted},
};

class PortAllocator {
public:
    static constexpr uint32_t kSlices = 8;
    // Probes for a range of one pool. At 90 % use of it 0.9^64 = 0.1 % of allocations go on to the
    // next. Twice that in all: a SYN that finds everything full costs 128 cache misses, not as many
    // as there are pools. Multiplied by the workers, as one port in so many leads to this one.
    static constexpr uint32_t kProbes = 64;
    static constexpr uint32_t kProbesInAll = 2 * kProbes;

    PortAllocator(const FlowSteering& steering, uint64_t seed)
        : steering_(steering), random_(seed) {}

    struct Claim {
        Epoch epoch;
        bool sliced = false;
    };
    std::optional<Endpoint> choose(std::span<const Pool> pools, const Endpoint& backend,
                                   const Claim& claim, const SessionTable& table);
    const PortCounters& counters() const { return counters_; }

private:
    struct Range {
        uint32_t first, size;
    };
    static Range slice(const Pool& pool, uint64_t first_slice, uint32_t slices);
    std::optional<Endpoint> probe(const Pool& pool, const Endpoint& backend, Range from,
                                  const SessionTable& table, uint32_t& budget);

    FlowSteering steering_;
    Random random_;
    PortCounters counters_;
};

}  // namespace holdfast
