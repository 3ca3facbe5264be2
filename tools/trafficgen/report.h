// What a run has shown, taken in one moment, and its two shapes: text for a person, JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/port/port.h"
#include "dataplane/port/port_set.h"
#include "tools/trafficgen/engine.h"

namespace holdfast::gen {

struct Snapshot {
    std::string profile;
    uint64_t seed = 0;
    Phase phase = Phase::stopped;
    Duration took{};  // since it began, or was cleared
    uint32_t sessions = 0, opening = 0, established = 0, at_servers = 0, waiting = 0;
    uint64_t owed = 0, outstanding = 0;
    GenCounters counters;
    DropCounters drops;
    PortSetCounters devices;
    Latencies latencies;
    std::vector<Gap> gaps;
    uint64_t gap_count = 0, sessions_waited = 0;
    Duration gap_threshold{}, longest{}, longest_session{};
    std::vector<std::pair<std::string, PortStats>> ports;
    Instant now{};
};

// By the thread that runs the engine.
Snapshot take_snapshot(const Engine& engine, Instant began, Instant now);

// One object; docs/operating/holdfast-gen.1 has its members.
nlohmann::ordered_json to_json(const Snapshot& snapshot);
// Some twenty lines; with an earlier snapshot also what was since, and rates.
std::string to_text(const Snapshot& snapshot, const Snapshot* earlier);
// Gaps, and what became of the sessions.
std::string failover_text(const Snapshot& snapshot);
// As testpmd's "show port stats all".
std::string port_text(const Snapshot& snapshot);

// Nothing lost, nothing wrong.
bool is_clean(const Snapshot& snapshot);

}  // namespace holdfast::gen
