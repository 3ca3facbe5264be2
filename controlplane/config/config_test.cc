// The reader against whole files: one that is right, and what it says about each kind of wrong.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "controlplane/config/load.h"
#include "controlplane/config/schema.h"

namespace holdfast {
namespace {

constexpr const char* kGood = R"([node]
name = "a"
[cluster]
name = "lab"
secret_file = "secret"
copies = 1
[[cluster.node]]
id = 0
name = "a"
ring = "192.0.2.1"
[[cluster.node]]
id = 1
name = "b"
ring = "192.0.2.2"
repository = true
[ring]
interface = "ring"
[port.front]
device = "net_af_packet0,iface=front"
[port.back]
device = "net_af_packet1,iface=back"
address = ["203.0.113.51", "2001:db8:2::51"]
[[group]]
id = 1
order = ["a", "b"]
[[service]]
name = "web"
group = 1
vip = ["198.51.100.10", "2001:db8:1::10"]
port = 80
pool = ["203.0.113.200", "2001:db8:2::200"]
health = { interval = "1s", timeout = "500ms" }
[[service.backend]]
name = "b1"
address = "203.0.113.11"
port = 8080
[[service.backend]]
name = "b2"
address = "2001:db8:2::11"
port = 8080
weight = 3
)";

std::expected<Secret, std::string> some_secret(const std::string&) {
    Secret secret{};
    secret.fill(std::byte{7});
    return secret;
}

Loaded load(const std::string& text) { return parse_config(text, "t.toml", some_secret); }

// The good file with one line replaced, or taken out.
std::string with(const std::string& from, const std::string& to, size_t which = 0) {
    std::string text = kGood;
    size_t at = text.find(from);
    while (which-- > 0 && at != std::string::npos) at = text.find(from, at + 1);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
}

TEST(Config, AGoodFileIsUnderstood) {
    const Loaded loaded = load(kGood);
    ASSERT_TRUE(loaded.config) << loaded.report;
    EXPECT_EQ(loaded.report, "");
    const Config& c = *loaded.config;
    EXPECT_EQ(c.self, NodeId{0});
    EXPECT_EQ(c.cluster.heartbeat, Duration::milliseconds(20));
    EXPECT_EQ(c.ring.group, IpAddress::v4(0xefc00001));
    EXPECT_EQ(c.worker.cores, std::vector<uint32_t>{0});
    EXPECT_EQ(c.metrics, parse_endpoint("127.0.0.1:9477"));
    ASSERT_EQ(c.groups.size(), 1u);
    EXPECT_EQ(c.groups[0].order, (std::vector<NodeId>{{0}, {1}}));
    EXPECT_EQ(to_string(c.groups[0].virtual_mac), "00:00:5e:00:01:01");
    ASSERT_EQ(c.services.size(), 1u);
    const Service& s = c.services[0];
    EXPECT_EQ(s.vips.size(), 2u);
    EXPECT_EQ(s.pools[1].last_port, 65'535);
    EXPECT_EQ(s.commit, Commit::all);
    EXPECT_EQ(s.health.timeout, Duration::milliseconds(500));
    EXPECT_EQ(s.idle.established, Duration::seconds(7'440));
    EXPECT_EQ(s.backends[1].weight, 3u);
    EXPECT_EQ(repositories(c), NodeSet::of({1}));
    const RingOptions ring = ring_options(c, 2, {99}, 5);
    EXPECT_EQ(ring.peers, NodeSet::of({1}));
    EXPECT_EQ(ring.worker, 2);
    EXPECT_EQ(ring.secret[31], std::byte{7});
    EXPECT_EQ(ring.ladder, Duration::microseconds(200));
}

// The reports as they were last approved, one section for each; HOLDFAST_REWRITE=1 approves what
// is said now.
class Golden {
public:
    Golden() {
        std::ifstream file(kPath);
        std::string line, name;
        while (std::getline(file, line)) {
            if (line.starts_with("== "))
                name = line.substr(3);
            else
                sections_[name] += line + "\n";
        }
    }
    std::string section(const std::string& name, const std::string& now) {
        if (!std::getenv("HOLDFAST_REWRITE")) return sections_[name];
        sections_[name] = now;
        std::ofstream file(kPath);
        for (const auto& [title, text] : sections_) file << "== " << title << "\n" << text;
        return now;
    }

private:
    static constexpr const char* kPath = CONFIG_SOURCE_DIR "/refusals.txt";
    std::map<std::string, std::string> sections_;
};

std::string golden(const std::string& name, const std::string& now) {
    static Golden file;
    return file.section(name, now);
}

struct Wrong {
    const char* what;
    std::string text;
};

void PrintTo(const Wrong& wrong, std::ostream* os) { *os << wrong.what; }

class Refused : public testing::TestWithParam<Wrong> {};

TEST_P(Refused, SaysWhereAndWhy) {
    const Loaded loaded = load(GetParam().text);
    EXPECT_FALSE(loaded.config);
    EXPECT_EQ(loaded.report, golden(GetParam().what, loaded.report));
}

INSTANTIATE_TEST_SUITE_P(
    Config, Refused,
    testing::Values(
        Wrong{"syntax", "[node\n"}, Wrong{"unknown_key", with("copies = 1", "copy = 1")},
        Wrong{"unknown_table", with("[ring]", "[rign]")},
        Wrong{"type", with("copies = 1", "copies = \"1\"")},
        Wrong{"range", with("copies = 1", "copies = 9")},
        Wrong{"bare_duration", with("copies = 1", "heartbeat = 20")},
        Wrong{"short_duration", with("copies = 1", "heartbeat = \"1ms\"")},
        Wrong{"stall", with("copies = 1", "stall = \"100ms\"")},
        Wrong{"choice", with("copies = 1", "solo = \"yes\"")},
        Wrong{"address", with("\"203.0.113.11\"", "\"203.0.113.511\"")},
        Wrong{"missing", with("port = 8080\n", "")},
        Wrong{"self", with("name = \"a\"", "name = \"c\"")},
        Wrong{"node_twice", with("id = 1", "id = 0")},
        Wrong{"ring_address_twice", with("192.0.2.2", "192.0.2.1")},
        Wrong{"slots", with("[ring]", "[ring]\nslots = 1000")},
        Wrong{"dpdk_device", with("interface = \"ring\"", "transport = \"dpdk\"")},
        Wrong{"multicast_group", with("[ring]", "[ring]\ngroup = \"192.0.2.9\"")},
        Wrong{"resumable", with("[ring]", "[worker]\nresumable_sessions = -1\n[ring]")},
        Wrong{"resume_wait",
              with("port = 8080\n", "port = 8080\n[service.tls]\nresume_wait = \"2s\"\n")},
        Wrong{"cores", with("[ring]", "[worker]\ncount = 2\ncores = [0]\n[ring]")},
        Wrong{"order", with("[\"a\", \"b\"]", "[\"a\", \"bb\"]")},
        Wrong{"order_twice", with("[\"a\", \"b\"]", "[\"a\", \"a\"]")},
        Wrong{"group", with("group = 1", "group = 2")},
        Wrong{"proxy_protocol", with("port = 80\n", "port = 80\nproxy_protocol = \"v2\"\n")},
        Wrong{"durability", with("port = 80\n", "port = 80\ndurability = \"payload\"\n")},
        Wrong{"max_lifetime", with("port = 80\n", "port = 80\nmax_lifetime = \"8h\"\n")},
        Wrong{"vip_is_pool", with("203.0.113.200", "198.51.100.10")},
        Wrong{"vip_is_own", with("\"198.51.100.10\"", "\"203.0.113.51\"")},
        Wrong{"backend_is_vip", with("\"203.0.113.11\"", "\"198.51.100.10\"")},
        Wrong{"no_backend_of_family", with("\"2001:db8:2::11\"", "\"203.0.113.12\"")},
        Wrong{"no_pool_of_family", with(", \"2001:db8:2::200\"", "")},
        Wrong{"pool_small", with("pool = [", "pool_ports = \"2000-2010\"\npool = [")},
        Wrong{"health_source", with(", \"2001:db8:2::51\"", "")},
        Wrong{"backend_twice", with("\"b2\"", "\"b1\"")},
        Wrong{"multicast_vip", with("198.51.100.10", "239.1.1.1")},
        Wrong{"pool_other_group",
              with("[[group]]", "[[group]]\nid = 2\norder = [\"b\"]\n[[group]]") +
                  R"([[service]]
name = "other"
group = 2
vip = ["198.51.100.11"]
port = 80
pool = ["203.0.113.200"]
[[service.backend]]
name = "b1"
address = "203.0.113.11"
port = 80
)"},
        Wrong{"duplicate_key", with("copies = 1", "copies = 1\ncopies = 2")},
        Wrong{"two_at_once",
              with("copies = 1", "copies = 0\nheartbeet = \"20ms\"\nmisses = true")}),
    [](const auto& wrong) { return std::string(wrong.param.what); });

TEST(Config, ServicesMustNotOverlap) {
    const std::string second = R"([[service]]
name = "other"
group = 1
vip = ["198.51.100.10"]
port = 443
pool = ["203.0.113.200"]
pool_ports = "60000-61000"
[[service.backend]]
name = "b1"
address = "203.0.113.11"
port = 443
)";
    std::string report = load(kGood + second).report;
    EXPECT_EQ(report, golden("overlapping_pools", report));
    std::string fixed = second;
    fixed.replace(fixed.find("203.0.113.200"), 13, "203.0.113.201");
    EXPECT_EQ(load(kGood + fixed).report, "");
    fixed.replace(fixed.find("port = 443"), 10, "port = 80");
    report = load(kGood + fixed).report;
    EXPECT_EQ(report, golden("overlapping_vips", report));
}

TEST(Config, WarningsDoNotRefuse) {
    const Loaded loaded = load(with("copies = 1", "copies = 2") + "[ring.loss]\npercent = 1.5\n");
    EXPECT_TRUE(loaded.config);
    EXPECT_EQ(loaded.report, golden("warnings", loaded.report));
}

TEST(Config, TheExampleInTheManualIsValid) {
    std::ifstream file(CONFIG_SOURCE_DIR "/../../docs/operating/holdfast.toml");
    std::stringstream text;
    text << file.rdbuf();
    const Loaded loaded = load(text.str());
    EXPECT_TRUE(loaded.config);
    EXPECT_EQ(loaded.report, "");
}

TEST(Config, HealthMayBeOff) {
    const Loaded loaded = load(with("{ interval = \"1s\", timeout = \"500ms\" }", "false"));
    ASSERT_TRUE(loaded.config) << loaded.report;
    EXPECT_FALSE(loaded.config->services[0].health.enabled);
}

TEST(Config, AnEmptyFileNamesWhatIsMissing) {
    const std::string report = load("").report;
    EXPECT_EQ(report, golden("empty", report));
}

TEST(Config, EveryTruncationIsAnsweredInWords) {
    const std::string good = kGood;
    for (size_t n = 0; n + 1 < good.size(); n += 3) {
        const Loaded loaded = load(good.substr(0, n));
        EXPECT_TRUE(loaded.config || !loaded.report.empty()) << n;
    }
}

// A default that its own key would refuse is a trap for whoever writes it out.
TEST(Schema, EveryKeyHasATableAndADoc) {
    for (const Key& key : schema_keys()) {
        EXPECT_TRUE(find_table(key.table)) << key.table;
        EXPECT_EQ(&key, find_key(key.table, key.name)) << key.name << " is there twice";
        if (key.kind == KeyKind::table)
            EXPECT_TRUE(find_table(std::string(key.table) + "." + std::string(key.name)));
        else
            EXPECT_NE(key.doc, "") << key.name;
    }
    EXPECT_NE(reference_text().find("[[service.backend]]"), std::string::npos);
    EXPECT_NE(reference_man().find(".SS [[service.backend]]"), std::string::npos);
}

class SecretFile : public testing::Test {
protected:
    std::expected<Secret, std::string> read(const std::string& content, mode_t mode) {
        std::ofstream(path_, std::ios::binary) << content;
        ::chmod(path_.c_str(), mode);
        return read_secret_file(path_);
    }
    void TearDown() override { ::unlink(path_.c_str()); }
    std::string path_ = testing::TempDir() + "holdfast_secret_" + std::to_string(::getpid());
};

TEST_F(SecretFile, HexOrRaw) {
    std::string hex;
    for (int i = 0; i < 32; ++i) hex += "aB";
    const auto from_hex = read(hex + "\n", 0600);
    ASSERT_TRUE(from_hex) << from_hex.error();
    EXPECT_EQ((*from_hex)[0], std::byte{0xab});
    const auto raw = read(std::string(32, '\x01'), 0640);
    ASSERT_TRUE(raw);
    EXPECT_EQ((*raw)[31], std::byte{1});
}

TEST_F(SecretFile, OpenToOthersIsRefused) {
    const auto secret = read(std::string(32, 'x'), 0644);
    ASSERT_FALSE(secret);
    EXPECT_NE(secret.error().find("is open to other users (mode 0644)"), std::string::npos);
}

TEST_F(SecretFile, AnyOtherLengthIsRefused) {
    for (size_t n : {0u, 31u, 33u, 63u, 65u, 128u, 200u})
        EXPECT_FALSE(read(std::string(n, 'a'), 0600)) << n;
    EXPECT_FALSE(read(std::string(64, 'g'), 0600));
    EXPECT_FALSE(read_secret_file("/nonexistent/secret"));
}

TEST(Config, AFileThatIsNotThereIsAProblem) {
    EXPECT_EQ(load_config("/nonexistent/holdfast.toml").report,
              "error: cannot open /nonexistent/holdfast.toml: No such file or directory\n");
}

}  // namespace
}  // namespace holdfast
