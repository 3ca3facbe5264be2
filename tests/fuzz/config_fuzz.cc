// Any bytes as a configuration: refused in words or understood, never a crash, and what is
// understood keeps its promises. Begin from docs/operating/holdfast.toml:
//
//   tests/fuzz/config_fuzz -max_total_time=60 -max_len=8192 CORPUS docs/operating
#include <algorithm>

#include "controlplane/config/load.h"
#include "tests/fuzz/require.h"

namespace {

using namespace holdfast;

void check_promises(const Config& config) {
    require(all_nodes(config).size() == config.cluster.nodes.size(), "node ids are unique");
    require(all_nodes(config).has(config.self), "this node is one of them");
    require(config.worker.cores.size() == config.worker.count, "a core for each worker");
    require(config.cluster.stall < config.cluster.heartbeat * config.cluster.misses,
            "a pause is noticed before others take over");
    for (const Group& group : config.groups) {
        require(!group.order.empty() && group.id.value < kMaxGroups, "a group is usable");
        for (NodeId node : group.order)
            require(all_nodes(config).has(node), "a group's order names nodes that are there");
    }
    for (const Service& service : config.services) {
        require(std::ranges::find(config.groups, service.group, &Group::id) != config.groups.end(),
                "a service's group is there");
        require(!service.vips.empty() && !service.backends.empty() && !service.pools.empty(),
                "a service is complete");
        for (const Pool& pool : service.pools)
            require(pool.first_port != 0 && pool.first_port <= pool.last_port, "ports in order");
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const Loaded loaded = parse_config(text, "fuzz.toml", [](const std::string&) {
        return std::expected<Secret, std::string>(Secret{});
    });
    const bool refused = std::ranges::any_of(
        loaded.problems, [](const Problem& p) { return p.severity == Problem::Severity::error; });
    require(loaded.config.has_value() != refused, "refused for a reason, or understood");
    if (loaded.config) check_promises(*loaded.config);
    return 0;
}
