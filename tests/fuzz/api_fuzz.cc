// Any bytes as a request to the control API: answered in JSON with a status it documents, never a
// crash, and what reaches the node is within the limits that the API states. The first line is
// METHOD PATH?QUERY, the rest is the body.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "controlplane/api/api.h"
#include "controlplane/api/fake_node_view.h"
#include "controlplane/api/limits.h"
#include "tests/fuzz/require.h"

namespace {

using namespace holdfast;

// What is before the separator; the text goes on behind it.
std::string cut(std::string_view& text, char separator) {
    const std::string_view before = text.substr(0, text.find(separator));
    text.remove_prefix(std::min(text.size(), before.size() + 1));
    return std::string(before);
}

ApiRequest read_request(std::string_view text) {
    ApiRequest request;
    const std::string line = cut(text, '\n');
    request.body = text;
    std::string_view rest = line;
    request.method = cut(rest, ' ');
    request.path = cut(rest, '?');
    while (!rest.empty()) {
        const std::string parameter = cut(rest, '&');
        std::string_view value = parameter;
        const std::string key = cut(value, '=');
        request.query.emplace(key, value);
    }
    return request;
}

bool documented(int status) {
    for (const int one : {200, 400, 404, 405, 409, 413, 414, 503})
        if (status == one) return true;
    return false;
}

void check_what_was_asked(const FakeNodeView& view) {
    require(view.last_query.limit <= kMaxSessionRows, "rows are bounded");
    require(view.last_wait <= Duration::milliseconds(kMaxHandoverMs), "a wait is bounded");
    require(!view.last_group || view.last_group->value < kMaxGroups, "a group is one");
    require(view.last_weight.second.value_or(0) <= kMaxBackendWeight, "a weight is bounded");
    for (const auto& [session, attributes] : view.attributes_of)
        for (const auto& [name, value] : attributes)
            require(!name.empty() && name.size() <= kMaxAttributeName &&
                        value.size() <= kMaxAttributeValue,
                    "an attribute is bounded");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    FakeNodeView view;
    view.attributes_of[*parse_session_name("198.51.100.101:40000>198.51.100.10:80")]["user"] =
        "one";
    const Api api(view, "0.1.0");
    const ApiReply reply = api.handle(read_request({reinterpret_cast<const char*>(data), size}));
    require(documented(reply.status), "a documented status");
    require(reply.body.ends_with('\n'), "a line");
    const auto body = nlohmann::json::parse(reply.body, nullptr, false);
    require(body.is_object(), "an object");
    require(body.contains("error") == (reply.status != 200), "an error says which");
    check_what_was_asked(view);
    return 0;
}
