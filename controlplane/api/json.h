// The snapshots as JSON. Every document names its schema; keys carry their unit; 64-bit numbers
// that may exceed 2^53 (incarnations) are strings.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "controlplane/api/node_view.h"

namespace holdfast {

nlohmann::json status_json(const snapshot::Node& node, const std::string& version);
nlohmann::json ring_json(const snapshot::Node& node);
nlohmann::json sessions_json(const SessionPage& page);
nlohmann::json attributes_json(const SessionName& session, const Attributes& attributes);

}  // namespace holdfast
