#include "dataplane/service/port_allocator.h"

#include <algorithm>
#include <numeric>

namespace holdfast {

// Each with the same chance, whatever else the list holds.
const Pool* PortAllocator::any_pool(std::span<const Pool> pools, bool v4, const Pool* but) {
    const auto fits = [&](const Pool& p) {
        return p.address.is_v4() == v4 && p.last_port >= p.first_port && &p != but;
    };
    const auto count = std::ranges::count_if(pools, fits);
    if (count == 0) return nullptr;
    uint64_t skip = random_.below(static_cast<uint64_t>(count));
    return &*std::ranges::find_if(pools, [&](const Pool& p) { return fits(p) && skip-- == 0; });
}

// Coprime to the number of ports: every port comes by once.
uint32_t PortAllocator::any_step(uint32_t ports) {
    uint32_t step = 1 + static_cast<uint32_t>(random_.below(ports));
    while (std::gcd(step, ports) != 1) ++step;
    return step;
}

std::optional<Endpoint> PortAllocator::probe(const Pool& pool, const Endpoint& backend,
                                             const SessionTable& table) {
    const uint32_t ports = uint32_t{pool.last_port} - pool.first_port + 1;
    const uint32_t limit = std::min(ports, kProbes * steering_.workers);
    uint32_t offset = static_cast<uint32_t>(random_.below(ports)), step = 0;
    for (uint32_t i = 0; i < limit; ++i) {
        const Endpoint candidate{pool.address, static_cast<uint16_t>(pool.first_port + offset)};
        ++counters_.probes;
        const FlowKey reply{backend, candidate};
        if (steering_.is_ours(reply) && !table.find(reply)) return candidate;
        if (step == 0) step = any_step(ports);
        offset = (offset + step) % ports;
    }
    return std::nullopt;
}

std::optional<Endpoint> PortAllocator::choose(std::span<const Pool> pools, const Endpoint& backend,
                                              const SessionTable& table) {
    const bool v4 = backend.address.is_v4();
    const Pool* first = any_pool(pools, v4, nullptr);
    std::optional<Endpoint> found;
    if (first != nullptr) found = probe(*first, backend, table);
    if (const Pool* second = found ? nullptr : any_pool(pools, v4, first))
        found = probe(*second, backend, table);
    ++(found ? counters_.allocated : counters_.exhausted);
    return found;
}

}  // namespace holdfast
