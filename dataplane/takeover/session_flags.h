// The bits of Session::flags that belong to takeover (Session::kCallerFlags).
#pragma once

#include "dataplane/flow/session.h"

namespace holdfast::takeover_flag {

// The last segment fragment said that this side's stream was moving.
inline constexpr uint16_t kClientActive = 0x0100, kBackendActive = 0x0200;
// A nudge waits for this side's answer.
inline constexpr uint16_t kAskedClient = 0x0400, kAskedBackend = 0x0800;
inline constexpr uint16_t kNudgeQueued = 0x1000;

constexpr uint16_t active(Direction from) {
    return from == Direction::from_client ? kClientActive : kBackendActive;
}
constexpr uint16_t asked(Direction from) {
    return from == Direction::from_client ? kAskedClient : kAskedBackend;
}

}  // namespace holdfast::takeover_flag
