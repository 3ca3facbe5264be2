// What a forwarder is built from: services, groups, ports and sizes. Plain values, checked by the
// control plane.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/flow/session_table.h"
#include "dataplane/neighbor/port_options.h"
#include "dataplane/service/service.h"
#include "dataplane/service/steering.h"

namespace holdfast {

struct ForwardOptions {
    std::vector<Service> services;
    std::vector<Group> groups;
    PortOptions front, back;
    SessionTableOptions sessions;
    FlowSteering steering;
    uint64_t seed = 0;  // for port choice, Maglev salt excepted (that one all nodes share)
    bool verify_checksums = true;  // TCP; incremental updates keep end-to-end integrity either way
    bool plain_path = true;        // false: all frames go the long way (tests compare both)
    uint32_t dirty_limit = 1u << 14;  // sessions that may wait for a segment fragment at once
    uint16_t balance_table = 16381;   // Maglev slots for each service and family, a prime
    uint16_t probe_first_port = 61000, probe_last_port = 61999;  // source ports of health checks
};

// Whether this node carries a group now; set by the caller (takeover).
struct GroupState {
    bool active = false;
    Epoch epoch;
    // Sessions of the group may still be unknown here (an adopter whose sweep is not complete): no
    // new one is begun, as its pool port might be one of theirs.
    bool gathering = false;
    // Lately others agreed that we hold it. Else nothing is said of where its addresses are (I6).
    bool confirmed = true;
};

}  // namespace holdfast
