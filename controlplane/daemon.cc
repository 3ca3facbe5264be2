#include "controlplane/daemon.h"

#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <memory>

#include "controlplane/api/api.h"
#include "controlplane/api/server.h"
#include "controlplane/metrics/metrics.h"
#include "controlplane/node.h"
#include "controlplane/run_directory.h"
#include "controlplane/service_notify.h"
#include "controlplane/state_log.h"

namespace holdfast {

namespace {

int64_t clock_ns(clockid_t id) {
    timespec t{};
    ::clock_gettime(id, &t);
    return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

sigset_t stop_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (int s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, s);
    return set;
}

// One of them, or 0 when none came in time.
int wait_for_signal(Duration patience) {
    const sigset_t set = stop_signals();
    const timespec t{patience.ns / 1'000'000'000, patience.ns % 1'000'000'000};
    const int signal = ::sigtimedwait(&set, nullptr, &t);
    return signal > 0 ? signal : 0;
}

// The API and the metrics of one node; gone before it.
struct Listeners {
    Listeners(NodeView& view, const std::string& version)
        : api(view, version),
          metrics(view, version, [] { return Instant{clock_ns(CLOCK_MONOTONIC)}; }) {}

    bool start(const Config& config);

    Api api;
    MetricsEndpoint metrics;
    std::unique_ptr<HttpServer> api_server;
    std::unique_ptr<HttpServer> metrics_server;
};

bool Listeners::start(const Config& config) {
    auto unix_socket =
        HttpServer::on_unix_socket(config.run_dir + "/api.sock", [this](const ApiRequest& request) {
            ApiReply reply = api.handle(request);
            return HttpReply{reply.status, std::move(reply.body), "application/json"};
        });
    if (!unix_socket) {
        spdlog::critical("{}", unix_socket.error());
        return false;
    }
    api_server = std::move(*unix_socket);
    if (!config.metrics) return true;
    auto tcp = HttpServer::on_tcp(
        *config.metrics, [this](const ApiRequest& request) { return metrics.handle(request); });
    if (!tcp) {
        spdlog::critical("{}", tcp.error());
        return false;
    }
    metrics_server = std::move(*tcp);
    return true;
}

void log_changes(NodeView& view, StateLog& log) {
    const auto node = view.status();
    if (!node) {
        spdlog::warn("status: {}", node.error().message);
        return;
    }
    for (const StateChange& change : log.look(*node))
        spdlog::log(change.grave ? spdlog::level::warn : spdlog::level::info, "{}", change.text);
}

// Until a signal asks to stop. The watchdog is fed only while every worker's loop moves: a hung
// worker gets the process killed, and a standby takes over.
void serve(Node& node) {
    const Duration look = Duration::seconds(1);
    const auto watchdog = watchdog_interval();
    const Duration period = watchdog ? std::min(look, *watchdog / 3) : look;
    StateLog log;
    Instant next_look{clock_ns(CLOCK_MONOTONIC)};
    for (;;) {
        if (node.alive()) notify_service("WATCHDOG=1");
        if (Instant now{clock_ns(CLOCK_MONOTONIC)}; now >= next_look) {
            log_changes(node.view(), log);
            next_look = now + look;
        }
        const int signal = wait_for_signal(period);
        if (signal == SIGHUP) spdlog::warn("SIGHUP: nothing can be reloaded, restart instead");
        if (signal == SIGTERM || signal == SIGINT) {
            spdlog::info("{}: handing over and stopping", signal == SIGTERM ? "SIGTERM" : "SIGINT");
            return;
        }
    }
}

void hand_over(NodeView& view) {
    const auto moved = view.handover(std::nullopt, Duration::seconds(2));
    if (moved)
        spdlog::info("handed over {} group(s)", *moved);
    else
        spdlog::warn("not handed over: {}", moved.error().message);
}

}  // namespace

void block_stop_signals() {
    const sigset_t set = stop_signals();
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
}

void forbid_memory_dumps() {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    // The leak checker attaches to its own process, as a debugger would.
#ifndef __SANITIZE_ADDRESS__
    ::prctl(PR_SET_DUMPABLE, 0);
#endif
}

int run_daemon(const Config& config, const std::string& version) {
    const auto run_directory = RunDirectory::take(config.run_dir);
    if (!run_directory) {
        spdlog::critical("{}", run_directory.error());
        return kExitFailed;
    }
    const Incarnation incarnation{static_cast<uint64_t>(clock_ns(CLOCK_REALTIME))};
    spdlog::info("holdfastd {}: node {} of cluster {}, {} worker(s), {} service(s)", version,
                 config.name, config.cluster.name, config.worker.count, config.services.size());
    auto node = start_node(config, incarnation);
    if (!node) {
        spdlog::critical("cannot start: {}", node.error());
        return kExitFailed;
    }
    if (!(*node)->secrets_are_locked())
        spdlog::warn(
            "keys of sessions may be written to swap: their memory could not be locked; raise "
            "LimitMEMLOCK (RLIMIT_MEMLOCK)");
    int code = kExitFailed;
    {
        Listeners listeners((*node)->view(), version);
        if (listeners.start(config)) {
            notify_service("READY=1");
            serve(**node);
            notify_service("STOPPING=1");
            hand_over((*node)->view());
            code = kExitStopped;
        }
    }
    (*node)->stop();
    spdlog::info("stopped");
    return code;
}

}  // namespace holdfast
