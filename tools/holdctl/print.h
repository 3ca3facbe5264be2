// The API's documents as people read them. Each takes the document and gives the text; a member
// that is missing (an older or newer daemon) shows as "?" and never fails.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace holdfast {

std::string status_text(const nlohmann::json& status);
std::string sessions_text(const nlohmann::json& sessions);
std::string ring_text(const nlohmann::json& ring);
std::string attributes_text(const nlohmann::json& attributes);

}  // namespace holdfast
