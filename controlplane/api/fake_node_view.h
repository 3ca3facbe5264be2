// A NodeView for tests: hands out what it was given, remembers what it was asked.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "controlplane/api/node_view.h"

namespace holdfast {

// A node of two workers in the middle of its life: holder of group 1, standby of group 2.
snapshot::Node example_node();

class FakeNodeView : public NodeView {
public:
    snapshot::Node node = example_node();
    SessionPage page;
    std::map<SessionName, std::map<std::string, std::string>> attributes_of;
    std::optional<Refusal> refuse;  // every call
    SessionQuery last_query;
    std::optional<GroupId> last_group;
    Duration last_wait;
    std::pair<std::string, std::optional<uint32_t>> last_weight;  // "service/backend"
    uint32_t status_calls = 0;
    uint32_t handovers = 0;

    FakeNodeView();
    Answer<snapshot::Node> status() override;
    Answer<SessionPage> sessions(const SessionQuery& query) override;
    Answer<Attributes> attributes(const SessionName& session) override;
    Answer<void> set_attribute(const SessionName& session, const std::string& name,
                               const std::string& value) override;
    Answer<uint32_t> handover(std::optional<GroupId> group, Duration wait) override;
    Answer<void> set_backend_weight(const std::string& service, const std::string& backend,
                                    std::optional<uint32_t> weight) override;
};

}  // namespace holdfast
