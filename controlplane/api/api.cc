#include "controlplane/api/api.h"

#include <nlohmann/json.hpp>

#include "controlplane/api/json.h"
#include "controlplane/api/limits.h"
#include "controlplane/api/text.h"
#include "controlplane/config/units.h"

namespace holdfast {

namespace {

using nlohmann::json;

// What came from outside may hold bytes that are not UTF-8: they are replaced, never thrown about.
ApiReply reply(const json& document, int status = 200) {
    return {status, document.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"};
}

ApiReply refusal(const Refusal& why) {
    switch (why.kind) {
        case Refusal::Kind::not_found:
            return api_error(404, why.message);
        case Refusal::Kind::refused:
            return api_error(409, why.message);
        case Refusal::Kind::invalid:
            return api_error(400, why.message);
        case Refusal::Kind::unavailable:
            return api_error(503, why.message);
    }
    return api_error(500, why.message);
}

bool attribute_name_ok(const std::string& name) {
    return !name.empty() && name.size() <= kMaxAttributeName &&
           name.find_first_not_of(
               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
               "0123456789._-") == std::string::npos;
}

// The body as an object with no other members than these; "" is an empty object.
std::expected<json, std::string> body_object(const std::string& body,
                                             std::initializer_list<const char*> members) {
    if (body.empty()) return json::object();
    json object = json::parse(body, nullptr, false);
    if (!object.is_object()) return std::unexpected("the body must be a JSON object");
    for (const auto& [key, value] : object.items())
        if (std::find(members.begin(), members.end(), key) == members.end())
            return std::unexpected("unknown member \"" + key.substr(0, 64) + "\"");
    return object;
}

// "/v1/backends/web/b1" under "/v1/backends/" -> {"web", "b1"}
std::vector<std::string> segments(const std::string& path, size_t from) {
    std::vector<std::string> parts;
    while (from <= path.size()) {
        const size_t slash = std::min(path.find('/', from), path.size());
        parts.push_back(path.substr(from, slash - from));
        from = slash + 1;
    }
    return parts;
}

constexpr std::string_view kSessions = "/v1/sessions/";
constexpr std::string_view kBackends = "/v1/backends/";

}  // namespace

ApiReply api_error(int status, const std::string& sentence) {
    return reply(json{{"error", sentence}}, status);
}

ApiReply Api::handle(const ApiRequest& request) const {
    const bool get = request.method == "GET";
    const bool put = request.method == "PUT";
    const bool post = request.method == "POST";
    const std::string& path = request.path;
    if (path.size() > kMaxApiPath) return api_error(414, "the path is too long");
    if (request.body.size() > kMaxApiBody) return api_error(413, "the body is too long");
    const ApiReply wrong_method = api_error(405, "not with " + request.method.substr(0, 16));
    if (path == "/v1/status") return get ? status() : wrong_method;
    if (path == "/v1/ring") return get ? ring() : wrong_method;
    if (path == "/v1/version") return get ? reply({{"version", version_}}) : wrong_method;
    if (path == "/v1/sessions") return get ? sessions(request) : wrong_method;
    if (path == "/v1/handover") return post ? handover(request) : wrong_method;
    if (path.starts_with(kSessions)) return get || put ? session(request) : wrong_method;
    if (path.starts_with(kBackends)) return put ? backend(request) : wrong_method;
    return api_error(404, "there is nothing here");
}

ApiReply Api::status() const {
    const auto node = view_.status();
    return node ? reply(status_json(*node, version_)) : refusal(node.error());
}

ApiReply Api::ring() const {
    const auto node = view_.status();
    return node ? reply(ring_json(*node)) : refusal(node.error());
}

ApiReply Api::sessions(const ApiRequest& request) const {
    SessionQuery query;
    for (const auto& [key, value] : request.query) {
        if (key == "limit") {
            const auto limit = parse_digits(value);
            if (!limit || *limit > kMaxSessionRows)
                return api_error(400, "limit must be from 0 to " + std::to_string(kMaxSessionRows));
            query.limit = static_cast<uint32_t>(*limit);
        } else if (key == "vip" || key == "client") {
            const auto address = parse_ip(value);
            if (!address) return api_error(400, key + " must be an address");
            (key == "vip" ? query.vip : query.client) = address;
        } else if (key == "state") {
            query.state = session_state(value);
            if (!query.state)
                return api_error(400, "state must be embryonic, established, closing or closed");
        } else {
            return api_error(400, "unknown parameter \"" + key.substr(0, 64) + "\"");
        }
    }
    const auto page = view_.sessions(query);
    return page ? reply(sessions_json(*page)) : refusal(page.error());
}

ApiReply Api::session(const ApiRequest& request) const {
    const auto parts = segments(request.path, kSessions.size());
    const auto name = parse_session_name(parts[0]);
    if (!name)
        return api_error(400,
                         "a session is CLIENT:PORT>VIP:PORT, such as "
                         "198.51.100.101:40000>198.51.100.10:80");
    if (parts.size() < 2 || parts.size() > 3 || parts[1] != "attributes")
        return api_error(404, "a session has only attributes");
    if (parts.size() == 3 && !attribute_name_ok(parts[2]))
        return api_error(400, "an attribute's name has letters, digits, '.', '_', '-'; at most " +
                                  std::to_string(kMaxAttributeName));
    if (request.method == "GET") return get_attributes(*name, parts.size() == 3 ? parts[2] : "");
    if (parts.size() != 3) return api_error(405, "attributes are set one by one");
    return put_attribute(*name, parts[2], request.body);
}

ApiReply Api::get_attributes(const SessionName& session, const std::string& name) const {
    auto attributes = view_.attributes(session);
    if (!attributes) return refusal(attributes.error());
    if (name.empty()) return reply(attributes_json(session, *attributes));
    for (const auto& [key, value] : *attributes)
        if (key == name)
            return reply({{"session", to_string(session)}, {"name", name}, {"value", value}});
    return api_error(404, "the session has no attribute \"" + name + "\"");
}

ApiReply Api::put_attribute(const SessionName& session, const std::string& name,
                            const std::string& body) const {
    const auto object = body_object(body, {"value"});
    if (!object) return api_error(400, object.error());
    if (!object->contains("value") || !(*object)["value"].is_string())
        return api_error(400, "value must be a string");
    const std::string value = (*object)["value"];
    if (value.size() > kMaxAttributeValue)
        return api_error(413,
                         "a value has at most " + std::to_string(kMaxAttributeValue) + " bytes");
    const auto done = view_.set_attribute(session, name, value);
    if (!done) return refusal(done.error());
    return reply({{"session", to_string(session)}, {"name", name}, {"value", value}});
}

ApiReply Api::handover(const ApiRequest& request) const {
    const auto object = body_object(request.body, {"group", "wait_ms"});
    if (!object) return api_error(400, object.error());
    std::optional<GroupId> group;
    int64_t wait_ms = 2'000;
    if (object->contains("group")) {
        const json& value = (*object)["group"];
        if (!value.is_number_unsigned() || value.get<uint64_t>() >= kMaxGroups)
            return api_error(400, "group must be the number of a group");
        group = GroupId{value.get<uint8_t>()};
    }
    if (object->contains("wait_ms")) {
        const json& value = (*object)["wait_ms"];
        if (!value.is_number_unsigned() || value.get<uint64_t>() > kMaxHandoverMs)
            return api_error(400, "wait_ms must be from 0 to " + std::to_string(kMaxHandoverMs));
        wait_ms = value.get<int64_t>();
    }
    const auto moved = view_.handover(group, Duration::milliseconds(wait_ms));
    return moved ? reply({{"groups_moved", *moved}}) : refusal(moved.error());
}

ApiReply Api::backend(const ApiRequest& request) const {
    const auto parts = segments(request.path, kBackends.size());
    if (parts.size() != 2) return api_error(404, "a backend is <service>/<backend>");
    const auto object = body_object(request.body, {"weight"});
    if (!object) return api_error(400, object.error());
    const json weight = object->value("weight", json("missing"));
    std::optional<uint32_t> to;
    if (weight.is_number_unsigned() && weight.get<uint64_t>() <= kMaxBackendWeight)
        to = weight.get<uint32_t>();
    else if (!weight.is_null())
        return api_error(400, "weight must be from 0 to " + std::to_string(kMaxBackendWeight) +
                                  ", or null for what is configured");
    const auto done = view_.set_backend_weight(parts[0], parts[1], to);
    if (!done) return refusal(done.error());
    return reply({{"service", parts[0]}, {"backend", parts[1]}, {"weight", weight}});
}

}  // namespace holdfast
