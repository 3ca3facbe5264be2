// A run from its start to its last report: by itself, or as somebody at the prompt says.
#pragma once

#include "tools/trafficgen/options.h"

namespace holdfast::gen {

// SIGINT and SIGTERM are taken by run(), which then ends in order.
void block_signals();

// The exit code.
int run(Generator& generator, const RunOptions& options);

}  // namespace holdfast::gen
