// What the service manager is told (sd_notify(3)): nothing at all where there is none.
#pragma once

#include <optional>
#include <string>

#include "base/time.h"

namespace holdfast {

void notify_service(const std::string& state);  // "READY=1", "STOPPING=1", "WATCHDOG=1"
// How often it wants WATCHDOG=1; none: it does not watch.
std::optional<Duration> watchdog_interval();

}  // namespace holdfast
