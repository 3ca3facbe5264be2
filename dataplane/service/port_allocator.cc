#include "dataplane/service/port_allocator.h"

#include <algorithm>

namespace holdfast {

// `slices` slices from number `first_slice` on, modulo kSlices, as a range that may run past the
// pool's last port: probe() wraps it.
PortAllocator::Range PortAllocator::slice(const Pool& pool, uint64_t first_slice, uint32_t slices) {
    const uint32_t ports = uint32_t{pool.last_port} - pool.first_port + 1;
    const uint32_t k = static_cast<uint32_t>(first_slice % kSlices);
    const uint32_t from = ports * k / kSlices;
    const uint32_t past = k + slices;
    const uint32_t to =
        past <= kSlices ? ports * past / kSlices : ports + ports * (past - kSlices) / kSlices;
    return {from, to - from};
}

std::optional<Endpoint> PortAllocator::probe(const Pool& pool, const Endpoint& backend, Range from,
                                             const SessionTable& table, uint32_t& budget) {
    if (from.size == 0) return std::nullopt;
    const uint32_t ports = uint32_t{pool.last_port} - pool.first_port + 1;
    const uint32_t start = static_cast<uint32_t>(random_.below(from.size));
    const uint32_t limit = std::min({from.size, kProbes * steering_.workers, budget});
    for (uint32_t i = 0; i < limit; ++i) {
        const uint32_t offset = (from.first + (start + i) % from.size) % ports;
        const Endpoint candidate{pool.address, static_cast<uint16_t>(pool.first_port + offset)};
        ++counters_.probes;
        --budget;
        const FlowKey reply{backend, candidate};
        if (steering_.is_ours(reply) && !table.find(reply)) return candidate;
    }
    return std::nullopt;
}

std::optional<Endpoint> PortAllocator::choose(std::span<const Pool> pools, const Endpoint& backend,
                                              const Claim& claim, const SessionTable& table) {
    const bool v4 = backend.address.is_v4();
    const uint64_t e = claim.epoch.value;
    uint32_t budget = kProbesInAll * steering_.workers;
    // First everybody's own part in all pools, then what is kept for successors.
    for (const bool reserve : {false, true}) {
        if (reserve && claim.sliced) break;
        const size_t start = pools.empty() ? 0 : random_.below(pools.size());
        for (size_t i = 0; i < pools.size(); ++i) {
            const Pool& pool = pools[(start + i) % pools.size()];
            if (pool.address.is_v4() != v4 || pool.last_port < pool.first_port) continue;
            const Range range = reserve        ? slice(pool, e + 1, 2)
                                : claim.sliced ? slice(pool, e, 1)
                                               : slice(pool, e + 3, kSlices - 2);
            if (auto found = probe(pool, backend, range, table, budget)) {
                ++counters_.allocated;
                counters_.from_reserve += reserve;
                return found;
            }
        }
    }
    ++counters_.exhausted;
    return std::nullopt;
}

}  // namespace holdfast
