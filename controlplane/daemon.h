// holdfastd's life: take the run directory, start the node and its listeners, wait for a signal,
// hand over, stop, leave nothing behind.
//
// Exit codes: 0 stopped as asked, 1 could not start, 2 not understood, 4 the configuration is
// refused. Signals: SIGTERM and SIGINT hand over (at most two seconds) and stop.
#pragma once

#include <string>

#include "controlplane/config/config.h"

namespace holdfast {

inline constexpr int kExitStopped = 0, kExitFailed = 1, kExitUsage = 2, kExitConfig = 4;

// Threads started from here on must not see the signals that run_daemon waits for.
void block_stop_signals();
// No core dumps, no debugger: there are keys in this memory.
void forbid_memory_dumps();
int run_daemon(const Config& config, const std::string& version);

}  // namespace holdfast
