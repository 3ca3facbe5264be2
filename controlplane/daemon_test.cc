// The whole daemon as a process of its own, with a node that is not there.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "controlplane/api/fake_node_view.h"
#include "controlplane/run_directory.h"
#include "controlplane/state_log.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

class Daemon : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "holdfastd_XXXXXX";
        ASSERT_TRUE(::mkdtemp(pattern.data()));
        directory = pattern;
        write("secret", std::string(64, 'a'));
        fs::permissions(directory / "secret", fs::perms::owner_read);
        write("good.toml", config("front"));
    }
    void TearDown() override {
        if (child > 0) {
            ::kill(child, SIGKILL);
            ::waitpid(child, nullptr, 0);
        }
        fs::remove_all(directory);
    }
    void write(const std::string& name, const std::string& text) {
        std::ofstream(directory / name) << text;
    }
    std::string config(const std::string& device) {
        return "[node]\nname = \"a\"\nrun_dir = \"" + (directory / "run").string() +
               "\"\n[cluster]\nname = \"lab\"\nsecret_file = \"secret\"\ncopies = 1\n"
               "[[cluster.node]]\nid = 0\nname = \"a\"\nring = \"192.0.2.1\"\n"
               "[[cluster.node]]\nid = 1\nname = \"b\"\nring = \"192.0.2.2\"\n"
               "[ring]\ninterface = \"ring\"\n[metrics]\nlisten = \"off\"\n"
               "[port.front]\ndevice = \"" +
               device +
               "\"\n[port.back]\ndevice = \"back\"\n"
               "[[group]]\nid = 1\norder = [\"a\", \"b\"]\n"
               "[[service]]\nname = \"web\"\ngroup = 1\nvip = [\"198.51.100.10\"]\nport = 80\n"
               "pool = [\"203.0.113.200\"]\nhealth = false\n"
               "[[service.backend]]\nname = \"b1\"\naddress = \"203.0.113.11\"\nport = 80\n";
    }
    void start(std::vector<std::string> arguments) {
        child = ::fork();
        ASSERT_GE(child, 0);
        if (child != 0) return;
        ::chdir(directory.c_str());
        const int out = ::open("out", O_CREAT | O_TRUNC | O_WRONLY, 0644);
        ::dup2(out, 1);
        ::dup2(out, 2);
        std::vector<char*> argv{const_cast<char*>(HOLDFASTD)};
        for (std::string& a : arguments) argv.push_back(a.data());
        argv.push_back(nullptr);
        ::execv(HOLDFASTD, argv.data());
        ::_exit(127);
    }
    int wait() {
        int status = 0;
        ::waitpid(std::exchange(child, -1), &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    std::string said() {
        std::stringstream text;
        text << std::ifstream(directory / "out").rdbuf();
        return text.str();
    }
    bool says(const std::string& what) { return said().find(what) != std::string::npos; }
    // Until the daemon serves, or has ended.
    bool serves() {
        while (!fs::exists(directory / "run/api.sock") || !says("group 1:")) {
            if (::waitpid(child, nullptr, WNOHANG) != 0) return child = -1, false;
            std::this_thread::sleep_for(std::chrono::milliseconds(2));
        }
        return true;
    }
    fs::path directory;
    pid_t child = -1;
};

TEST_F(Daemon, StopsCleanlyAfterAHandover) {
    for (const int signal : {SIGTERM, SIGINT}) {
        start({"--config", "good.toml"});
        ASSERT_TRUE(serves()) << said();
        EXPECT_TRUE(says("group 1: holder in epoch 7, held by b")) << said();
        ::kill(child, signal);
        EXPECT_EQ(wait(), 0) << said();
        EXPECT_TRUE(says("fake: stopped after 1 handover(s)")) << said();
        EXPECT_FALSE(fs::exists(directory / "run"));
    }
}

TEST_F(Daemon, ASecondOneIsRefused) {
    start({"--config", "good.toml"});
    ASSERT_TRUE(serves()) << said();
    const auto second = RunDirectory::take((directory / "run").string());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error(), "process " + std::to_string(child) + " already runs in " +
                                  (directory / "run").string());
}

TEST_F(Daemon, StartsAgainAfterKill9) {
    start({"--config", "good.toml"});
    ASSERT_TRUE(serves()) << said();
    ::kill(child, SIGKILL);
    EXPECT_EQ(wait(), -SIGKILL);
    EXPECT_TRUE(fs::exists(directory / "run/api.sock"));  // left behind
    fs::remove(directory / "out");
    start({"--config", "good.toml"});
    EXPECT_TRUE(serves()) << said();
}

TEST_F(Daemon, HangupIsNoReload) {
    start({"--config", "good.toml"});
    ASSERT_TRUE(serves()) << said();
    ::kill(child, SIGHUP);
    while (!says("SIGHUP")) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    ::kill(child, SIGTERM);
    EXPECT_EQ(wait(), 0);
}

TEST_F(Daemon, SaysWhyItCannotStart) {
    write("broken.toml", config("broken"));
    start({"--config", "broken.toml"});
    EXPECT_EQ(wait(), 1);
    EXPECT_TRUE(says("cannot start: the front device is broken")) << said();
    EXPECT_FALSE(fs::exists(directory / "run"));
}

TEST_F(Daemon, ChecksAConfiguration) {
    start({"--check", "--config", "good.toml"});
    EXPECT_EQ(wait(), 0);
    EXPECT_EQ(said(), "good.toml: the configuration is valid\n");
    EXPECT_FALSE(fs::exists(directory / "run"));
    write("bad.toml", config("front") + "[extra]\n");
    start({"--check", "--config", "bad.toml"});
    EXPECT_EQ(wait(), 4);
    EXPECT_TRUE(says("bad.toml:38:2: error: unknown table \"extra\"")) << said();
}

TEST_F(Daemon, Arguments) {
    const std::pair<std::vector<std::string>, int> cases[] = {
        {{"--version"}, 0},
        {{"--help"}, 0},
        {{"--help-config"}, 0},
        {{}, 2},
        {{"--nonsense"}, 2},
        {{"--config"}, 2},
        {{"x"}, 2},
        {{"--config", "none.toml"}, 4},
        {{"--config", "good.toml", "--log-level", "loud"}, 2}};
    for (const auto& [arguments, code] : cases) {
        start(arguments);
        EXPECT_EQ(wait(), code) << said();
        EXPECT_NE(said(), "");
    }
}

TEST(StateLog, TellsChangesOnce) {
    StateLog log;
    snapshot::Node node = example_node();
    const auto first = log.look(node);
    EXPECT_TRUE(std::ranges::any_of(
        first, [](const StateChange& c) { return c.grave && c.text == "peer a: silent"; }));
    EXPECT_TRUE(log.look(node).empty());
    for (auto& shard : node.shards) shard.groups[1] = {{2}, snapshot::Role::holder, NodeId{1}, {3}};
    node.shards[0].backends[0].up = false;
    node.shards[1].solo = true;
    std::vector<std::string> texts;
    for (const StateChange& change : log.look(node)) texts.push_back(change.text);
    EXPECT_EQ(texts, (std::vector<std::string>{"group 2: holder in epoch 3, held by b",
                                               "backend web/b1: down",
                                               "solo: goes on without any standby"}));
}

TEST(StateLog, ATakeoverIsToldWhenItIsComplete) {
    StateLog log;
    snapshot::Node node = example_node();
    node.shards.resize(1);
    node.shards[0].adoptions[0].sweep_done.reset();
    log.look(node);
    node.shards[0].adoptions[0].sweep_done = Duration::milliseconds(31);
    const auto changes = log.look(node);
    ASSERT_EQ(changes.size(), 1u);
    EXPECT_EQ(changes[0].text,
              "worker 0: took group 1 over from a in epoch 7: epoch won after 1.4 ms, first packet "
              "2.1 ms, sweep done 31.0 ms; 200 sessions carried on, 0 lost");
    EXPECT_TRUE(log.look(node).empty());
}

}  // namespace
}  // namespace holdfast
