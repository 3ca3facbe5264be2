// What a relayed session's fragments hold beyond a forwarded one's: its stage and both endpoints'
// control blocks, without a byte of payload.
//
// docs/protocol.md has the bytes. Instants and timestamps travel relative to a clock that all nodes
// share more or less (a state may be old, but TSval must not go back): nodes' clocks must not be
// further apart than the slack that every adoption adds (RelayOptions). Timers, the congestion
// window's history and what was received out of order do not travel (RFC 2018 section 8 allows to
// forget the latter). Reading refuses what cannot be and never trusts a length.
#pragma once

#include <optional>

#include "base/bytes.h"
#include "dataplane/relay/relay_session.h"

namespace holdfast {

inline constexpr size_t kRelayStateSize = 210;

// `shared_now`: the present on the clock that all nodes share.
size_t write_relay_state(const RelayState& state, Instant shared_now, MutableBytes to);
std::optional<RelayState> read_relay_state(Bytes bytes, Instant shared_now);

}  // namespace holdfast
