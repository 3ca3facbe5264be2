#include "controlplane/api/api.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controlplane/api/fake_node_view.h"
#include "controlplane/api/limits.h"

namespace holdfast {
namespace {

using nlohmann::json;
const std::string kKey = "198.51.100.101:40000>198.51.100.10:80";

class ApiTest : public testing::Test {
protected:
    ApiReply ask(const std::string& method, const std::string& path, const std::string& body = "",
                 std::multimap<std::string, std::string> query = {}) {
        return api.handle({method, path, std::move(query), body});
    }
    json ok(const ApiReply& reply) {
        EXPECT_EQ(reply.status, 200) << reply.body;
        return json::parse(reply.body, nullptr, false);
    }
    std::string error(int status, const ApiReply& reply) {
        EXPECT_EQ(reply.status, status) << reply.body;
        return json::parse(reply.body)["error"];
    }
    FakeNodeView view;
    Api api{view, "0.1.0"};
};

TEST_F(ApiTest, StatusSumsTheShards) {
    const json status = ok(ask("GET", "/v1/status"));
    EXPECT_EQ(status["schema"], "holdfast.status/1");
    EXPECT_EQ(status["node"]["name"], "b");
    EXPECT_EQ(status["node"]["incarnation"], "1763850000000000001");
    EXPECT_EQ(status["sessions"]["live"], 200);
    EXPECT_EQ(status["sessions"]["unprotected"], 10);
    EXPECT_NEAR(status["coverage"].get<double>(), 0.95, 1e-9);
    EXPECT_EQ(status["groups"].size(), 2u);
    EXPECT_EQ(status["groups"][0]["role"], "holder");
    EXPECT_EQ(status["groups"][0]["sessions"], 200);
    EXPECT_EQ(status["groups"][1]["holder"], "c");
    EXPECT_EQ(status["peers"][0]["state"], "silent");
    EXPECT_EQ(status["peers"][1]["lag"], 5);
    EXPECT_EQ(status["backends"][1]["up"], false);  // one worker says no
    EXPECT_EQ(status["drops"], json({{"bad_checksum", 8}}));
    EXPECT_EQ(status["gate"]["longest_wait_us"], 90);
    EXPECT_EQ(status["adoptions"].size(), 2u);
    EXPECT_EQ(status["adoptions"][0]["pulled"], json({{"c", 133}, {"d", 129}}));
    EXPECT_DOUBLE_EQ(status["adoptions"][0]["first_packet_ms"], 2.1);
}

TEST_F(ApiTest, ShardsThatDisagreeShow) {
    view.node.shards[1].groups[0].role = snapshot::Role::adopting;
    const json status = ok(ask("GET", "/v1/status"));
    EXPECT_EQ(status["groups"][0]["role"], "adopting");
    EXPECT_EQ(status["groups"][0]["mixed"], true);
}

TEST_F(ApiTest, RingHasEachWorkersCounters) {
    const json ring = ok(ask("GET", "/v1/ring"));
    EXPECT_EQ(ring["workers"].size(), 2u);
    EXPECT_EQ(ring["workers"][1]["counters"]["ring"]["naks_sent"], 7);
    EXPECT_EQ(ring["workers"][0]["peers"][0]["acknowledged"], 600);
    EXPECT_EQ(ring["workers"][0]["view"]["members"], json({"b", "c", "d"}));
}

TEST_F(ApiTest, SessionsPassTheQueryOn) {
    const json page = ok(ask("GET", "/v1/sessions", "",
                             {{"limit", "5"},
                              {"vip", "198.51.100.10"},
                              {"client", "2001:db8::1"},
                              {"state", "closing"}}));
    EXPECT_EQ(page["matching"], 200);
    EXPECT_EQ(page["sessions"][0]["session"], kKey);
    EXPECT_EQ(view.last_query.limit, 5u);
    EXPECT_EQ(view.last_query.vip, parse_ip("198.51.100.10"));
    EXPECT_EQ(view.last_query.client, parse_ip("2001:db8::1"));
    EXPECT_EQ(view.last_query.state, snapshot::SessionState::closing);
}

TEST_F(ApiTest, SessionsRefuseWhatTheyDoNotKnow) {
    for (const auto& [key, value] : std::multimap<std::string, std::string>{{"limit", "10001"},
                                                                            {"limit", "-1"},
                                                                            {"limit", "x"},
                                                                            {"vip", "web"},
                                                                            {"client", "1.2.3"},
                                                                            {"state", "open"},
                                                                            {"sort", "age"}})
        EXPECT_NE(error(400, ask("GET", "/v1/sessions", "", {{key, value}})), "") << key << value;
}

TEST_F(ApiTest, AttributesAreReadAndSet) {
    const std::string path = "/v1/sessions/" + kKey + "/attributes";
    EXPECT_EQ(ok(ask("GET", path))["attributes"], json({{"billing", "1 Example Street"}}));
    ok(ask("PUT", path + "/purchase.items", R"({"value":"3 anvils"})"));
    EXPECT_EQ(ok(ask("GET", path + "/purchase.items"))["value"], "3 anvils");
    EXPECT_EQ(error(404, ask("GET", path + "/nothing")),
              "the session has no attribute \"nothing\"");
}

TEST_F(ApiTest, AttributesRefuseWhatIsNotOne) {
    const std::string path = "/v1/sessions/" + kKey + "/attributes";
    error(400, ask("GET", "/v1/sessions/nonsense/attributes"));
    error(404, ask("GET", "/v1/sessions/" + kKey));
    error(404, ask("GET", "/v1/sessions/" + kKey + "/other/x"));
    error(405, ask("PUT", path, R"({"value":"x"})"));
    error(400, ask("PUT", path + "/" + std::string(65, 'a'), R"({"value":"x"})"));
    error(400, ask("PUT", path + "/a b", R"({"value":"x"})"));
    for (const char* body : {"", "{", "[]", "3", R"({"value":3})", R"({"valeu":"x"})", "\xff"})
        error(400, ask("PUT", path + "/a", body));
    const json big{{"value", std::string(kMaxAttributeValue + 1, 'x')}};
    error(413, ask("PUT", path + "/a", big.dump()));
    error(413, ask("PUT", path + "/a", std::string(kMaxApiBody + 1, ' ')));
    error(404, ask("PUT", "/v1/sessions/198.51.100.1:1>198.51.100.10:80/attributes/a",
                   R"({"value":"x"})"));
}

TEST_F(ApiTest, AValueThatIsNotUtf8IsStillAnswered) {
    view.attributes_of[*parse_session_name(kKey)]["raw"] = "\xff\xfe";
    const json all = ok(ask("GET", "/v1/sessions/" + kKey + "/attributes"));
    EXPECT_TRUE(all["attributes"].contains("raw"));
}

TEST_F(ApiTest, HandoverOfAllOrOne) {
    EXPECT_EQ(ok(ask("POST", "/v1/handover"))["groups_moved"], 1);
    EXPECT_EQ(view.last_group, std::nullopt);
    EXPECT_EQ(view.last_wait, Duration::seconds(2));
    ok(ask("POST", "/v1/handover", R"({"group":3,"wait_ms":10})"));
    EXPECT_EQ(view.last_group, GroupId{3});
    EXPECT_EQ(view.last_wait, Duration::milliseconds(10));
    for (const char* body : {R"({"group":16})", R"({"group":-1})", R"({"wait_ms":10001})",
                             R"({"to":"c"})", R"({"group":"1"})"})
        error(400, ask("POST", "/v1/handover", body));
}

TEST_F(ApiTest, BackendsAreDrainedAndRestored) {
    ok(ask("PUT", "/v1/backends/web/b1", R"({"weight":0})"));
    EXPECT_EQ(view.last_weight, (std::pair<std::string, std::optional<uint32_t>>("web/b1", 0)));
    ok(ask("PUT", "/v1/backends/web/b1", R"({"weight":null})"));
    EXPECT_EQ(view.last_weight.second, std::nullopt);
    error(404, ask("PUT", "/v1/backends/nope/b1", R"({"weight":0})"));
    for (const char* body : {"", "{}", R"({"weight":257})", R"({"weight":-1})", R"({"weight":"0"})",
                             R"({"weight":0,"x":1})"})
        error(400, ask("PUT", "/v1/backends/web/b1", body));
}

TEST_F(ApiTest, WhatTheNodeRefusesIsTold) {
    view.refuse = Refusal{Refusal::Kind::refused, "no standby follows"};
    EXPECT_EQ(error(409, ask("POST", "/v1/handover")), "no standby follows");
    view.refuse = Refusal{Refusal::Kind::unavailable, "worker 1 does not answer"};
    error(503, ask("GET", "/v1/status"));
    error(503, ask("GET", "/v1/ring"));
    error(503, ask("GET", "/v1/sessions"));
}

TEST_F(ApiTest, UnknownPathsAndMethods) {
    error(404, ask("GET", "/"));
    error(404, ask("GET", "/v2/status"));
    error(405, ask("POST", "/v1/status"));
    error(405, ask("GET", "/v1/handover"));
    error(405, ask("DELETE", "/v1/sessions/" + kKey + "/attributes/a"));
    error(414, ask("GET", "/" + std::string(kMaxApiPath, 'x')));
    EXPECT_EQ(ok(ask("GET", "/v1/version"))["version"], "0.1.0");
}

TEST(SessionName, ReadsBackWhatItWrites) {
    for (const char* text :
         {"198.51.100.101:40000>198.51.100.10:80", "[2001:db8::1]:1>[2001:db8:1::10]:65535"}) {
        const auto name = parse_session_name(text);
        ASSERT_TRUE(name) << text;
        EXPECT_EQ(to_string(*name), text);
    }
    for (const char* bad : {"", ">", "198.51.100.1:1", "198.51.100.1>198.51.100.2:80",
                            "198.51.100.1:1>198.51.100.2:80>198.51.100.2:80"})
        EXPECT_FALSE(parse_session_name(bad)) << bad;
}

}  // namespace
}  // namespace holdfast
