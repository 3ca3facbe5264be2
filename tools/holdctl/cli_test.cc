// holdctl against the real API on a real socket, with a node that is not there.
#include "tools/holdctl/cli.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "controlplane/api/fake_node_view.h"
#include "controlplane/api/server.h"
#include "tools/holdctl/print.h"

namespace holdfast {
namespace {

const std::string kKey = "198.51.100.101:40000>198.51.100.10:80";

class Holdctl : public testing::Test {
protected:
    void SetUp() override {
        auto started = HttpServer::on_unix_socket(path, [this](const ApiRequest& request) {
            const ApiReply reply = api.handle(request);
            return HttpReply{reply.status, reply.body, "application/json"};
        });
        ASSERT_TRUE(started) << started.error();
        server = std::move(*started);
    }
    CliResult run(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), {"--socket", path});
        return run_holdctl(arguments);
    }
    std::string ok(std::vector<std::string> arguments) {
        const CliResult result = run(std::move(arguments));
        EXPECT_EQ(result.code, kDone) << result.err;
        EXPECT_EQ(result.err, "");
        return result.out;
    }
    std::string path = testing::TempDir() + "holdctl_" + std::to_string(::getpid()) + ".sock";
    FakeNodeView view;
    Api api{view, "9.9"};
    std::unique_ptr<HttpServer> server;
};

TEST_F(Holdctl, StatusReadsWell) {
    EXPECT_EQ(ok({"status"}),
              R"(node b (id 1) of cluster lab, up 1h02m, holdfast 9.9
coverage  95.0% of live sessions would survive this node
sessions  200 live (4 embryonic, 190 established, 6 closing), 10 unprotected; room for 131072
gate      1 waiting, 1000 released, longest wait 90 us; 0 parked
store     800 fragments for other nodes, 125.0 KiB of 32.0 MiB

GROUP  ROLE     HOLDER  EPOCH  SESSIONS
    1  holder   b           7       200
    2  standby  c           2         0

PEER  STATE        HEARD  LAG  IN VIEW
a     silent     7ms ago  400  no
c     following  7ms ago    5  yes
d     following  7ms ago    0  yes

BACKEND  ADDRESS          STATE  WEIGHT  SESSIONS  FAILED CHECKS
web/b1   203.0.113.11:80  up          1       120              0
web/b2   203.0.113.12:80  DOWN        1       120              6

TAKEOVERS
2025-11-23T00:00:00.123Z  group 1 worker 0 taken from a, epoch 7
    silent 102.3 ms, epoch won +1.4 ms, first packet +2.1 ms, 104.4 ms without one, sweep done +31.0 ms
    200 sessions carried on, 0 lost; fragments: 138 own, 133 from c, 129 from d
2025-11-23T00:00:00.123Z  group 1 worker 1 taken from a, epoch 7
    silent 102.3 ms, epoch won +1.4 ms, first packet +2.1 ms, 104.4 ms without one, sweep done +31.0 ms
    200 sessions carried on, 0 lost; fragments: 138 own, 133 from c, 129 from d

DROPPED       PACKETS
bad_checksum        8
)");
}

TEST_F(Holdctl, SoloIsLoud) {
    view.node.shards[1].solo = true;
    EXPECT_NE(ok({"status"}).find("\nSOLO: "), std::string::npos);
}

TEST_F(Holdctl, JsonIsWhatTheDaemonSaid) {
    const auto before = nlohmann::json::parse(ok({"--json", "status"}));
    EXPECT_EQ(before["schema"], "holdfast.status/1");
    EXPECT_EQ(nlohmann::json::parse(ok({"status", "--json"})), before);
    EXPECT_EQ(nlohmann::json::parse(ok({"ring", "--json"}))["schema"], "holdfast.ring/1");
}

TEST_F(Holdctl, SessionsAreListedAndFiltered) {
    EXPECT_EQ(ok({"sessions", "--limit", "7", "--vip", "2001:db8::1", "--state", "closing"}),
              "CLIENT                VIP               BACKEND  POOL                STATE         "
              " AGE  IDLE  WORKER  PROTECTED\n"
              "198.51.100.101:40000  198.51.100.10:80  web/b1   203.0.113.200:1024  established  "
              "1m35s  20ms       0  yes\n"
              "1 of 200 shown\n");
    EXPECT_EQ(view.last_query.limit, 7u);
    EXPECT_EQ(view.last_query.vip, parse_ip("2001:db8::1"));
    const CliResult bad = run({"sessions", "--state", "open"});
    EXPECT_EQ(bad.code, kRefused);
    EXPECT_EQ(bad.err, "holdfastd: state must be embryonic, established, closing or closed\n");
}

TEST_F(Holdctl, RingShowsPeersAndCounters) {
    const std::string text = ok({"ring"});
    EXPECT_NE(text.find("worker 1: 1000 datagrams published, view 3 (b c d)"), std::string::npos)
        << text;
    EXPECT_NE(text.find("ring.naks_sent      7\n"), std::string::npos) << text;
}

TEST_F(Holdctl, AttributesAreSetAndRead) {
    EXPECT_EQ(ok({"session", "set", kKey, "purchase.items", "3 anvils & \"rope\""}), "");
    EXPECT_EQ(ok({"session", "get", kKey, "purchase.items"}), "3 anvils & \"rope\"\n");
    EXPECT_EQ(ok({"session", "attributes", kKey}),
              "ATTRIBUTE       VALUE\n"
              "billing         1 Example Street\n"
              "purchase.items  3 anvils & \"rope\"\n");
    EXPECT_EQ(run({"session", "get", kKey, "nothing"}).code, kRefused);
    EXPECT_EQ(run({"session", "get", "nonsense"}).code, kRefused);
}

TEST_F(Holdctl, ATerminalIsNotDrivenByAValue) {
    ok({"session", "set", kKey, "evil", "\x1b[2J"});
    EXPECT_NE(ok({"session", "attributes", kKey}).find("\\x1b[2J"), std::string::npos);
}

TEST_F(Holdctl, BackendsDrainAndReturn) {
    EXPECT_EQ(ok({"backend", "drain", "web", "b1"}), "web/b1 takes no new sessions\n");
    EXPECT_EQ(view.last_weight.second, 0u);
    EXPECT_EQ(ok({"backend", "undrain", "web", "b1"}), "web/b1 has its configured weight\n");
    EXPECT_EQ(view.last_weight.second, std::nullopt);
    EXPECT_EQ(run({"backend", "drain", "nope", "b1"}).code, kRefused);
}

TEST_F(Holdctl, Handover) {
    EXPECT_EQ(ok({"handover", "--group", "2", "--wait", "500ms"}), "1 group(s) handed over\n");
    EXPECT_EQ(view.last_group, GroupId{2});
    EXPECT_EQ(view.last_wait, Duration::milliseconds(500));
    view.refuse = Refusal{Refusal::Kind::refused, "no standby follows"};
    const CliResult refused = run({"handover"});
    EXPECT_EQ(refused.code, kRefused);
    EXPECT_EQ(refused.err, "holdfastd: no standby follows\n");
    EXPECT_EQ(run({"handover", "--wait", "5"}).code, kUsage);
    EXPECT_EQ(run({"handover", "--group", "x"}).code, kUsage);
}

TEST_F(Holdctl, UsageErrors) {
    for (const std::vector<std::string>& bad : {std::vector<std::string>{},
                                                {"stauts"},
                                                {"session"},
                                                {"session", "set", kKey},
                                                {"status", "--nope"},
                                                {"backend", "drain", "web"},
                                                {"completion", "fish"}}) {
        const CliResult result = run(bad);
        EXPECT_EQ(result.code, kUsage);
        EXPECT_TRUE(result.err.starts_with("holdctl: ")) << result.err;
        EXPECT_EQ(result.out, "");
    }
}

TEST_F(Holdctl, NobodyThere) {
    server->stop();
    const CliResult result = run({"status"});
    EXPECT_EQ(result.code, kUnreachable);
    EXPECT_TRUE(result.err.starts_with("cannot reach holdfastd at " + path)) << result.err;
    EXPECT_EQ(run({"version"}).code, kDone);
}

TEST_F(Holdctl, HelpIsComplete) {
    const std::string help = ok({"--help"});
    for (const char* word : {"status", "sessions", "ring", "session", "backend", "handover",
                             "version", "completion", "--socket", "--json", "Exit codes"})
        EXPECT_NE(help.find(word), std::string::npos) << word;
    EXPECT_NE(ok({"sessions", "--help"}).find("--client"), std::string::npos);
    EXPECT_NE(ok({"version"}).find("holdfastd 9.9\n"), std::string::npos);
}

TEST_F(Holdctl, CompletionKnowsTheCommands) {
    const std::string script = ok({"completion", "bash"});
    EXPECT_NE(script.find("\"session\") words=\"get set attributes "), std::string::npos) << script;
    EXPECT_NE(script.find("--limit"), std::string::npos);
    EXPECT_NE(script.find("complete -F _holdctl holdctl\n"), std::string::npos);
}

TEST(Print, ADocumentFromAnotherVersionIsNoCrash) {
    for (const char* text : {"{}", R"({"node":{}})", R"({"groups":[{}],"peers":[{}]})",
                             R"({"backends":[{}],"adoptions":[{}],"sessions":[{}]})",
                             R"({"workers":[{}],"attributes":{"a":1}})"}) {
        const auto document = nlohmann::json::parse(text);
        EXPECT_NE(status_text(document), "");
        EXPECT_NE(sessions_text(document), "");
        ring_text(document);
        attributes_text(document);
    }
}

}  // namespace
}  // namespace holdfast
