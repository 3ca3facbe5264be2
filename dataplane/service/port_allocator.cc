#include "dataplane/service/port_allocator.h"

#include <algorithm>

namespace holdfast {

std::optional<Endpoint> PortAllocator::probe(const Pool& pool, const Endpoint& backend,
                                             const SessionTable& table, uint32_t& budget) {
    const uint32_t ports = uint32_t{pool.last_port} - pool.first_port + 1;
    const uint32_t start = static_cast<uint32_t>(random_.below(ports));
    const uint32_t limit = std::min({ports, kProbes * steering_.workers, budget});
    for (uint32_t i = 0; i < limit; ++i) {
        const uint32_t offset = (start + i) % ports;
        const Endpoint candidate{pool.address, static_cast<uint16_t>(pool.first_port + offset)};
        ++counters_.probes;
        --budget;
        const FlowKey reply{backend, candidate};
        if (steering_.is_ours(reply) && !table.find(reply)) return candidate;
    }
    return std::nullopt;
}

std::optional<Endpoint> PortAllocator::choose(std::span<const Pool> pools, const Endpoint& backend,
                                              const SessionTable& table) {
    const bool v4 = backend.address.is_v4();
    uint32_t budget = kProbesInAll * steering_.workers;
    const size_t first = pools.empty() ? 0 : random_.below(pools.size());
    for (size_t i = 0; i < pools.size(); ++i) {
        const Pool& pool = pools[(first + i) % pools.size()];
        if (pool.address.is_v4() != v4 || pool.last_port < pool.first_port) continue;
        if (auto found = probe(pool, backend, table, budget)) {
            ++counters_.allocated;
            return found;
        }
    }
    ++counters_.exhausted;
    return std::nullopt;
}

}  // namespace holdfast
