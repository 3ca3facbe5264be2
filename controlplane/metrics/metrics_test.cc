#include "controlplane/metrics/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>

#include "controlplane/api/fake_node_view.h"
#include "controlplane/metrics/metrics_text.h"

namespace holdfast {
namespace {

TEST(MetricsText, EscapesWhatTheFormatNeeds) {
    MetricsText out;
    out.gauge("x", "a\\b\nc");
    out.sample({{"l", "q\"\\\n"}}, 1.5);
    out.sample(uint64_t{18'446'744'073'709'551'615u});
    EXPECT_EQ(out.text(),
              "# HELP holdfast_x a\\\\b\\nc\n"
              "# TYPE holdfast_x gauge\n"
              "holdfast_x{l=\"q\\\"\\\\\\n\"} 1.5\n"
              "holdfast_x 18446744073709551615\n");
}

TEST(MetricsText, ADuplicateFamilyIsLeftOut) {
    MetricsText out;
    out.counter("a_total", "A.");
    out.sample(uint64_t{1});
    out.counter("a_total", "Again.");
    out.sample(uint64_t{2});
    EXPECT_EQ(out.text(),
              "# HELP holdfast_a_total A.\n# TYPE holdfast_a_total counter\nholdfast_a_total 1\n");
}

// An alert about a metric that does not exist never fires.
TEST(Metrics, AlertsAskOnlyForWhatThereIs) {
    std::ifstream file(RULES);
    const std::string rules(std::istreambuf_iterator<char>(file), {});
    const std::string text = metrics_text(example_node(), "0.1.0");
    size_t found = 0;
    for (size_t at = 0; (at = rules.find("holdfast_", at)) != std::string::npos; ++found) {
        const size_t end = rules.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789", at);
        const std::string name = rules.substr(at, end - at);
        EXPECT_NE(text.find("# TYPE " + name + " "), std::string::npos) << name;
        at = end;
    }
    EXPECT_GT(found, 5u);
}

bool has_line(const std::string& text, const std::string& line) {
    return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST(Metrics, SayWhatTheSnapshotSays) {
    const std::string text = metrics_text(example_node(), "0.1.0");
    for (const char* line :
         {"holdfast_build_info{version=\"0.1.0\"} 1", "holdfast_coverage_ratio 0.95",
          "holdfast_group_role{group=\"1\",role=\"holder\"} 1",
          "holdfast_group_role{group=\"1\",role=\"standby\"} 0",
          "holdfast_group_epoch{group=\"1\"} 7", "holdfast_peers{state=\"silent\"} 1",
          "holdfast_peers{state=\"following\"} 2", "holdfast_peer_lag_datagrams{peer=\"c\"} 5",
          "holdfast_sessions{state=\"established\"} 190", "holdfast_sessions_unprotected 10",
          "holdfast_gate_longest_wait_seconds 9e-05",
          "holdfast_backend_up{service=\"web\",backend=\"b2\"} 0",
          "holdfast_port_packets_total{port=\"front\",direction=\"rx\"} 20",
          "holdfast_drops_total{reason=\"bad_checksum\"} 8",
          "holdfast_drops_total{reason=\"no_backend\"} 0",
          "holdfast_last_takeover_first_packet_seconds{group=\"1\"} 0.0021",
          "holdfast_last_takeover_timestamp_seconds{group=\"1\"} 1763856000.123",
          "holdfast_loop_stalls_total{worker=\"1\"} 1", "holdfast_ring_data_sent_total 2000"})
        EXPECT_TRUE(has_line(text, line)) << line;
    EXPECT_LT(std::ranges::count(text, '\n'), 500);
}

TEST(Metrics, PromtoolAgrees) {
#ifdef PROMTOOL
    const std::string path = testing::TempDir() + "holdfast_metrics.txt";
    std::ofstream(path) << metrics_text(example_node(), "0.1.0");
    const std::string command = std::string(PROMTOOL) + " check metrics < " + path + " 2>&1";
    FILE* pipe = ::popen(command.c_str(), "r");
    ASSERT_TRUE(pipe);
    std::string said;
    for (int c; (c = std::fgetc(pipe)) != EOF;) said += static_cast<char>(c);
    EXPECT_EQ(::pclose(pipe), 0) << said;
    EXPECT_EQ(said, "");
#else
    GTEST_SKIP() << "promtool is not installed";
#endif
}

class MetricsPaths : public testing::Test {
protected:
    HttpReply get(const std::string& path, std::multimap<std::string, std::string> query = {}) {
        return endpoint.handle({"GET", path, std::move(query), ""});
    }
    FakeNodeView view;
    Instant now{0};
    MetricsEndpoint endpoint{view, "0.1.0", [this] { return now; }};
};

TEST_F(MetricsPaths, OneSnapshotServesManyScrapes) {
    for (int i = 0; i < 10; ++i) EXPECT_EQ(get("/metrics").status, 200);
    EXPECT_EQ(view.status_calls, 1u);
    now = now + MetricsEndpoint::kSnapshotAge;
    EXPECT_EQ(get("/metrics").status, 200);
    EXPECT_EQ(view.status_calls, 2u);
}

TEST_F(MetricsPaths, ANodeThatDoesNotAnswerIsNotHealthy) {
    EXPECT_EQ(get("/healthz").status, 200);
    view.refuse = Refusal{Refusal::Kind::unavailable, "worker 0 does not answer"};
    now = now + Duration::seconds(1);
    for (const char* path : {"/metrics", "/healthz", "/readyz"}) EXPECT_EQ(get(path).status, 503);
    EXPECT_EQ(get("/healthz").body, "worker 0 does not answer\n");
}

TEST_F(MetricsPaths, ReadinessKnowsTheRole) {
    EXPECT_EQ(get("/readyz").status, 200);
    EXPECT_EQ(get("/readyz", {{"role", "holder"}}).status, 200);
    EXPECT_EQ(get("/readyz", {{"role", "holder"}, {"group", "1"}}).status, 200);
    EXPECT_EQ(get("/readyz", {{"role", "holder"}, {"group", "2"}}).status, 503);
    EXPECT_EQ(get("/readyz", {{"role", "holder"}, {"group", "x"}}).status, 400);
    EXPECT_EQ(get("/readyz", {{"role", "boss"}}).status, 400);
}

TEST_F(MetricsPaths, NothingElseIsServed) {
    EXPECT_EQ(get("/").status, 404);
    EXPECT_EQ(get("/v1/status").status, 404);
    EXPECT_EQ(endpoint.handle({"POST", "/metrics", {}, ""}).status, 405);
}

}  // namespace
}  // namespace holdfast
