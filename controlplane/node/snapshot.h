// Fills the control plane's snapshots from a worker's state. Runs on the worker's thread.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "controlplane/api/node_view.h"
#include "controlplane/config/config.h"
#include "controlplane/node/worker_unit.h"

namespace holdfast {

// Sessions looked at in one call: some 0.3 ms, since no packet passes meanwhile (I8).
inline constexpr uint32_t kSessionsAtOnce = 8192;

// What is counted over all sessions, some at a time: of a table that changes meanwhile.
struct SessionCounts {
    explicit SessionCounts(const Config& config);

    snapshot::Sessions sessions;
    std::vector<std::vector<uint64_t>> by_backend;  // by service, as configured
    std::array<uint64_t, kMaxGroups> by_group{};
};

// Goes on from `cursor`; where to go on next, or nothing when all were looked at.
std::optional<uint32_t> count_sessions(WorkerUnit& unit, uint32_t cursor, SessionCounts& counts);
std::optional<uint32_t> fill_sessions(WorkerUnit& unit, const Config& config,
                                      const SessionQuery& query, uint32_t cursor, Instant now,
                                      SessionPage& page);
void fill_shard(WorkerUnit& unit, const Config& config, const SessionCounts& counts, Instant now,
                snapshot::Shard& shard);
snapshot::SessionState state_of(const Session& session);

}  // namespace holdfast
