#include "controlplane/api/node_view.h"

namespace holdfast {

std::string to_string(const SessionName& name) {
    return to_string(name.client) + ">" + to_string(name.vip);
}

std::optional<SessionName> parse_session_name(std::string_view text) {
    const size_t arrow = text.find('>');
    if (arrow == std::string_view::npos) return std::nullopt;
    const auto client = parse_endpoint(text.substr(0, arrow));
    const auto vip = parse_endpoint(text.substr(arrow + 1));
    if (!client || !vip) return std::nullopt;
    return SessionName{*client, *vip};
}

}  // namespace holdfast
