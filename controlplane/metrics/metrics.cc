#include "controlplane/metrics/metrics.h"

#include <algorithm>
#include <array>
#include <map>

#include "controlplane/api/summary.h"
#include "controlplane/api/text.h"
#include "controlplane/config/units.h"
#include "controlplane/metrics/metrics_text.h"

namespace holdfast {

namespace {

using namespace snapshot;

uint64_t one_if(bool b) { return b ? 1 : 0; }

void write_node(MetricsText& out, const snapshot::Node& node, const Summary& sum,
                const std::string& version) {
    out.gauge("build_info", "Always 1; the version is a label.");
    out.sample({{"version", version}}, uint64_t{1});
    out.gauge("node_info", "Always 1; who this is.");
    out.sample({{"node", node.name}, {"cluster", node.cluster}}, uint64_t{1});
    out.gauge("uptime_seconds", "Time since the process started.");
    out.sample(node.uptime.as_seconds());
    out.gauge("solo", "1 while a holder goes on without any standby.");
    out.sample(one_if(sum.solo));
    out.gauge("coverage_ratio", "Share of live sessions that would survive if this node died now.");
    out.sample(sum.coverage);
}

void write_groups(MetricsText& out, const Summary& sum) {
    constexpr std::array kRoles{Role::standby, Role::adopting, Role::holder};
    out.gauge("group_role", "1 for the role this node has in the group, 0 for the others.");
    for (const GroupSummary& g : sum.groups)
        for (const Role role : kRoles)
            out.sample({{"group", std::to_string(g.id.value)}, {"role", to_text(role)}},
                       one_if(g.role == role));
    out.gauge("group_epoch", "The highest epoch known of the group; grows with each takeover.");
    for (const GroupSummary& g : sum.groups)
        out.sample({{"group", std::to_string(g.id.value)}}, g.epoch.value);
    out.gauge("group_sessions", "Live sessions of the group that this node holds.");
    for (const GroupSummary& g : sum.groups)
        out.sample({{"group", std::to_string(g.id.value)}}, g.sessions);
}

void write_peers(MetricsText& out, const snapshot::Node& node, const Summary& sum) {
    constexpr std::array kStates{PeerState::never_heard, PeerState::joining, PeerState::following,
                                 PeerState::lagging, PeerState::silent};
    out.gauge("peers", "Other nodes, by the worst state a worker sees them in.");
    for (const PeerState state : kStates)
        out.sample({{"state", to_text(state)}},
                   static_cast<uint64_t>(std::ranges::count(sum.peers, state, &Peer::state)));
    out.gauge("peer_lag_datagrams", "Datagrams of our ring that the peer has not acknowledged.");
    for (const Peer& p : sum.peers) out.sample({{"peer", node_name(node, p.id)}}, p.lag);
    out.gauge("peer_silence_seconds", "Time since the peer was heard.");
    for (const Peer& p : sum.peers)
        if (p.since_heard)
            out.sample({{"peer", node_name(node, p.id)}}, p.since_heard->as_seconds());
}

void write_sessions(MetricsText& out, const Summary& sum) {
    out.gauge("sessions", "Live sessions this node holds, by state.");
    out.sample({{"state", "embryonic"}}, sum.sessions.embryonic);
    out.sample({{"state", "established"}}, sum.sessions.established);
    out.sample({{"state", "closing"}}, sum.sessions.closing);
    out.gauge("sessions_unprotected",
              "Live sessions that too few owners hold: what a failover would lose now.");
    out.sample(sum.sessions.unprotected);
    out.gauge("sessions_capacity", "Sessions there is room for.");
    out.sample(sum.sessions.capacity);
    out.gauge("gate_held", "Packets that wait in the release gate.");
    out.sample(sum.gate.held);
    out.counter("gate_released_total", "Packets that the release gate let go.");
    out.sample(sum.gate.released);
    out.gauge("gate_longest_wait_seconds", "The longest wait in the release gate since the start.");
    out.sample(sum.gate.longest_wait.as_seconds());
    out.gauge("parked_packets", "Packets that wait for fragments being pulled.");
    out.sample(sum.gate.parked);
    out.gauge("store_fragments", "Fragments kept for other nodes.");
    out.sample(sum.store.fragments);
    out.gauge("store_bytes", "Memory that the fragments kept for other nodes take.");
    out.sample(sum.store.bytes);
    out.gauge("store_capacity_bytes", "Memory set aside for the fragments of other nodes.");
    out.sample(sum.store.capacity_bytes);
}

void write_backends(MetricsText& out, const Summary& sum) {
    const auto each = [&](auto value) {
        for (const Backend& b : sum.backends)
            out.sample({{"service", b.service}, {"backend", b.name}}, uint64_t{value(b)});
    };
    out.gauge("backend_up", "1 while the backend passes its checks, in every worker's view.");
    each([](const Backend& b) { return one_if(b.up); });
    out.gauge("backend_weight", "Share of new sessions; 0: drained.");
    each([](const Backend& b) { return uint64_t{b.weight}; });
    out.gauge("backend_sessions", "Live sessions on the backend.");
    each([](const Backend& b) { return b.sessions; });
    out.counter("backend_failed_checks_total", "Health checks that failed.");
    each([](const Backend& b) { return b.failed_checks; });
}

void write_ports(MetricsText& out, const Summary& sum) {
    out.counter("port_packets_total", "Frames through the port.");
    for (const Port& p : sum.ports) {
        out.sample({{"port", p.name}, {"direction", "rx"}}, p.rx_packets);
        out.sample({{"port", p.name}, {"direction", "tx"}}, p.tx_packets);
    }
    out.counter("port_bytes_total", "Bytes through the port.");
    for (const Port& p : sum.ports) {
        out.sample({{"port", p.name}, {"direction", "rx"}}, p.rx_bytes);
        out.sample({{"port", p.name}, {"direction", "tx"}}, p.tx_bytes);
    }
    out.counter("port_errors_total", "Frames the port lost, by DPDK's own word for the reason.");
    for (const Port& p : sum.ports) {
        out.sample({{"port", p.name}, {"reason", "rx_missed"}}, p.rx_missed);
        out.sample({{"port", p.name}, {"reason", "rx_errors"}}, p.rx_errors);
        out.sample({{"port", p.name}, {"reason", "rx_nombuf"}}, p.rx_nombuf);
        out.sample({{"port", p.name}, {"reason", "tx_errors"}}, p.tx_errors);
        out.sample({{"port", p.name}, {"reason", "tx_full"}}, p.tx_full);
    }
    out.counter("drops_total", "Packets dropped by the worker, by reason.");
    for (const auto& [reason, count] : sum.drops) out.sample({{"reason", reason}}, count);
}

// The last takeover of each group by this node; the history is in `holdctl status`.
void write_takeovers(MetricsText& out, const Summary& sum) {
    std::map<uint8_t, const snapshot::Adoption*> last;
    for (const auto& [worker, adoption] : sum.adoptions) last[adoption.group.value] = &adoption;
    out.gauge("last_takeover_timestamp_seconds", "When this node last took the group over.");
    for (const auto& [group, a] : last)
        out.sample({{"group", std::to_string(group)}},
                   static_cast<double>(a->detected_unix_ns / 1'000'000) / 1e3);
    const auto each = [&](const char* name, const char* help, auto member) {
        out.gauge(name, help);
        for (const auto& [group, a] : last)
            if (const auto& span = a->*member)
                out.sample({{"group", std::to_string(group)}}, span->as_seconds());
    };
    each("last_takeover_epoch_won_seconds", "Detection to the won epoch, in the last takeover.",
         &snapshot::Adoption::epoch_won);
    each("last_takeover_first_packet_seconds",
         "Detection to the first packet passed on, in the last takeover.",
         &snapshot::Adoption::first_packet);
    each("last_takeover_sweep_done_seconds",
         "Detection to the last fragment pulled, in the last takeover.",
         &snapshot::Adoption::sweep_done);
}

void write_workers(MetricsText& out, const snapshot::Node& node) {
    const auto each = [&](auto value) {
        for (const Shard& s : node.shards)
            out.sample({{"worker", std::to_string(s.worker)}}, value(s));
    };
    out.gauge("view_number", "The worker's current view.");
    each([](const Shard& s) { return s.view.number; });
    out.gauge("view_members", "Nodes in the worker's current view, this one too.");
    each([](const Shard& s) { return uint64_t{s.view.members.size()}; });
    out.counter("loop_polls_total", "Cycles of the worker's poll loop.");
    each([](const Shard& s) { return s.poll.polls; });
    out.counter("loop_busy_polls_total", "Cycles that received or sent something.");
    each([](const Shard& s) { return s.poll.busy_polls; });
    out.counter("loop_stalls_total", "Gaps between polls longer than cluster.stall.");
    each([](const Shard& s) { return s.poll.stalls; });
    out.gauge("loop_longest_cycle_seconds", "The longest cycle since the start.");
    each([](const Shard& s) { return s.poll.longest_cycle.as_seconds(); });
}

void write_counters(MetricsText& out, const snapshot::Node& node) {
    struct Sum {
        const char* help = "";
        uint64_t value = 0;
    };
    std::map<std::string, Sum> sums;
    for (const Shard& s : node.shards)
        for (const Counter& c : s.counters) {
            Sum& sum = sums[std::string(c.module) + "_" + c.name + "_total"];
            sum.help = c.help;
            sum.value += c.value;
        }
    for (const auto& [name, sum] : sums) {
        out.counter(name, sum.help);
        out.sample(sum.value);
    }
}

}  // namespace

std::string metrics_text(const snapshot::Node& node, const std::string& version) {
    const Summary sum = summarise(node);
    MetricsText out;
    write_node(out, node, sum, version);
    write_groups(out, sum);
    write_peers(out, node, sum);
    write_sessions(out, sum);
    write_backends(out, sum);
    write_ports(out, sum);
    write_takeovers(out, sum);
    write_workers(out, node);
    write_counters(out, node);
    return out.text();
}

Answer<snapshot::Node> MetricsEndpoint::node() {
    const std::lock_guard lock(mutex_);
    const Instant now = clock_();
    if (cached_ && now - cached_at_ < kSnapshotAge) return *cached_;
    auto fresh = view_.status();
    if (!fresh) return fresh;
    cached_ = *fresh;
    cached_at_ = now;
    return fresh;
}

HttpReply MetricsEndpoint::ready(const ApiRequest& request, const snapshot::Node& node) const {
    const auto role = request.query.find("role");
    if (role == request.query.end()) return {200, "ready\n", "text/plain"};
    std::optional<uint64_t> group;
    if (const auto it = request.query.find("group"); it != request.query.end()) {
        group = parse_digits(it->second);
        if (!group) return {400, "group must be a number\n", "text/plain"};
    }
    if (role->second != "holder") return {400, "role must be holder\n", "text/plain"};
    for (const GroupSummary& g : summarise(node).groups)
        if (g.role == Role::holder && (!group || *group == g.id.value))
            return {200, "holder\n", "text/plain"};
    return {503, "standby\n", "text/plain"};
}

HttpReply MetricsEndpoint::handle(const ApiRequest& request) {
    const bool metrics = request.path == "/metrics";
    if (!metrics && request.path != "/healthz" && request.path != "/readyz")
        return {404, "there are /metrics, /healthz and /readyz\n", "text/plain"};
    if (request.method != "GET" && request.method != "HEAD")
        return {405, "only GET\n", "text/plain"};
    const auto snapshot = node();
    if (!snapshot) return {503, snapshot.error().message + "\n", "text/plain"};
    if (metrics)
        return {200, metrics_text(*snapshot, version_), "text/plain; version=0.0.4; charset=utf-8"};
    if (request.path == "/readyz") return ready(request, *snapshot);
    return {200, "ok\n", "text/plain"};
}

}  // namespace holdfast
