// Fills the control plane's snapshots from a worker's state. Runs on the worker's thread.
#pragma once

#include <map>
#include <string>

#include "controlplane/api/node_view.h"
#include "controlplane/config/config.h"
#include "controlplane/node/worker_unit.h"

namespace holdfast {

void fill_shard(WorkerUnit& unit, const Config& config, Instant now, snapshot::Shard& shard);
void fill_sessions(WorkerUnit& unit, const Config& config, const SessionQuery& query, Instant now,
                   SessionPage& page);
snapshot::SessionState state_of(const Session& session);

}  // namespace holdfast
