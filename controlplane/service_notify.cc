#include "controlplane/service_notify.h"

#ifdef HAVE_LIBSYSTEMD
#include <systemd/sd-daemon.h>
#endif

#include <cstdint>

namespace holdfast {

#ifdef HAVE_LIBSYSTEMD

void notify_service(const std::string& state) { sd_notify(0, state.c_str()); }

std::optional<Duration> watchdog_interval() {
    uint64_t us = 0;
    if (sd_watchdog_enabled(0, &us) <= 0 || us == 0) return std::nullopt;
    return Duration::microseconds(static_cast<int64_t>(us));
}

#else

void notify_service(const std::string&) {}
std::optional<Duration> watchdog_interval() { return std::nullopt; }

#endif

}  // namespace holdfast
