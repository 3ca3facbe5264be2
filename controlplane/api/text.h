// The words for the snapshot's enumerations: the same in JSON, in metrics and on the terminal.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "controlplane/api/node_view.h"

namespace holdfast {

constexpr std::string_view to_text(snapshot::Role role) {
    switch (role) {
        case snapshot::Role::standby:
            return "standby";
        case snapshot::Role::adopting:
            return "adopting";
        case snapshot::Role::holder:
            return "holder";
    }
    return "?";
}

constexpr std::string_view to_text(snapshot::PeerState state) {
    switch (state) {
        case snapshot::PeerState::never_heard:
            return "never-heard";
        case snapshot::PeerState::joining:
            return "joining";
        case snapshot::PeerState::following:
            return "following";
        case snapshot::PeerState::lagging:
            return "lagging";
        case snapshot::PeerState::silent:
            return "silent";
    }
    return "?";
}

inline constexpr std::array kSessionStates{
    snapshot::SessionState::embryonic, snapshot::SessionState::established,
    snapshot::SessionState::closing, snapshot::SessionState::closed};

constexpr std::string_view to_text(snapshot::SessionState state) {
    switch (state) {
        case snapshot::SessionState::embryonic:
            return "embryonic";
        case snapshot::SessionState::established:
            return "established";
        case snapshot::SessionState::closing:
            return "closing";
        case snapshot::SessionState::closed:
            return "closed";
    }
    return "?";
}

constexpr std::optional<snapshot::SessionState> session_state(std::string_view text) {
    for (snapshot::SessionState state : kSessionStates)
        if (to_text(state) == text) return state;
    return std::nullopt;
}

}  // namespace holdfast
