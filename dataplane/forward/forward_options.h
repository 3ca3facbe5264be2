// What a forwarder is built from: services, groups, ports and sizes. Plain values, checked by the
// control plane.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "dataplane/flow/session_table.h"
#include "dataplane/service/service.h"
#include "dataplane/service/steering.h"

namespace holdfast {

// One of the node's two data ports, as its own host on that link. The own addresses are the node's,
// not a group's: they do not move, and are used to resolve neighbours and to check backends.
struct PortOptions {
    MacAddress mac;
    uint16_t vlan = 0;  // of frames we originate here; 0: untagged
    std::optional<IpAddress> own_v4, own_v6;
    uint8_t prefix_v4 = 24, prefix_v6 = 64;  // what is on-link, around the own addresses
    // Next hop for what is off-link; without one, everything is taken to be on-link.
    std::optional<IpAddress> gateway_v4, gateway_v6;
};

struct ForwardOptions {
    std::vector<Service> services;
    std::vector<Group> groups;
    PortOptions front, back;
    SessionTableOptions sessions;
    FlowSteering steering;
    uint64_t seed = 0;  // for port choice, Maglev salt excepted (that one all nodes share)
    bool verify_checksums = true;  // TCP; incremental updates keep end-to-end integrity either way
    uint32_t dirty_limit = 1u << 14;  // sessions that may wait for a segment fragment at once
    uint16_t balance_table = 16381;   // Maglev slots for each service and family, a prime
    uint16_t probe_first_port = 61000, probe_last_port = 61999;  // source ports of health checks
};

// Whether this node carries a group now; set by the caller (takeover).
struct GroupState {
    bool active = false;
    Epoch epoch;
    // Sessions of the group may still be unknown here (an adopter whose sweep is not complete):
    // pool ports are then drawn only from the epoch's own slice.
    bool sliced = false;
};

}  // namespace holdfast
