#include "controlplane/api/json.h"

#include <nlohmann/json.hpp>

#include "controlplane/api/summary.h"
#include "controlplane/api/text.h"

namespace holdfast {

namespace {

using nlohmann::json;

double ms(Duration d) { return static_cast<double>(d.ns) / 1e6; }
json ms(const std::optional<Duration>& d) { return d ? json(ms(*d)) : json(nullptr); }

json name_or_null(const snapshot::Node& node, const std::optional<NodeId>& id) {
    return id ? json(node_name(node, *id)) : json(nullptr);
}

json members_json(const snapshot::Node& node, NodeSet members) {
    json names = json::array();
    for (NodeId id : members) names.push_back(node_name(node, id));
    return names;
}

json view_json(const snapshot::Node& node, const snapshot::View& view) {
    return {{"number", view.number}, {"members", members_json(node, view.members)}};
}

json groups_json(const snapshot::Node& node, const Summary& sum) {
    json groups = json::array();
    for (const GroupSummary& g : sum.groups)
        groups.push_back({{"id", g.id.value},
                          {"role", to_text(g.role)},
                          {"mixed", g.mixed},
                          {"holder", name_or_null(node, g.holder)},
                          {"epoch", g.epoch.value},
                          {"sessions", g.sessions}});
    return groups;
}

json peers_json(const snapshot::Node& node, const std::vector<snapshot::Peer>& peers) {
    json list = json::array();
    for (const snapshot::Peer& p : peers)
        list.push_back({{"name", node_name(node, p.id)},
                        {"id", p.id.value},
                        {"state", to_text(p.state)},
                        {"since_heard_ms", ms(p.since_heard)},
                        {"lag", p.lag},
                        {"in_view", p.in_view}});
    return list;
}

json adoptions_json(const snapshot::Node& node, const Summary& sum) {
    json list = json::array();
    for (const auto& [worker, a] : sum.adoptions) {
        json pulled = json::object();
        for (const auto& [peer, fragments] : a.pulled) pulled[node_name(node, peer)] = fragments;
        list.push_back({{"worker", worker},
                        {"group", a.group.value},
                        {"from", name_or_null(node, a.from)},
                        {"handover", a.handover},
                        {"epoch", a.epoch.value},
                        {"detected_unix_ms", a.detected_unix_ns / 1'000'000},
                        {"silence_ms", ms(a.silence)},
                        {"epoch_won_ms", ms(a.epoch_won)},
                        {"first_packet_ms", ms(a.first_packet)},
                        {"sweep_done_ms", ms(a.sweep_done)},
                        {"sessions", a.sessions},
                        {"lost", a.lost},
                        {"pulled", std::move(pulled)},
                        {"own", a.own}});
    }
    return list;
}

json backends_json(const Summary& sum) {
    json list = json::array();
    for (const snapshot::Backend& b : sum.backends)
        list.push_back({{"service", b.service},
                        {"name", b.name},
                        {"endpoint", to_string(b.endpoint)},
                        {"weight", b.weight},
                        {"configured_weight", b.configured_weight},
                        {"up", b.up},
                        {"sessions", b.sessions},
                        {"failed_checks", b.failed_checks}});
    return list;
}

json ports_json(const Summary& sum) {
    json list = json::array();
    for (const snapshot::Port& p : sum.ports)
        list.push_back({{"name", p.name},
                        {"rx_packets", p.rx_packets},
                        {"rx_bytes", p.rx_bytes},
                        {"rx_missed", p.rx_missed},
                        {"rx_errors", p.rx_errors},
                        {"rx_nombuf", p.rx_nombuf},
                        {"tx_packets", p.tx_packets},
                        {"tx_bytes", p.tx_bytes},
                        {"tx_errors", p.tx_errors},
                        {"tx_full", p.tx_full}});
    return list;
}

json workers_json(const snapshot::Node& node) {
    json list = json::array();
    for (const snapshot::Shard& s : node.shards)
        list.push_back({{"worker", s.worker},
                        {"solo", s.solo},
                        {"coverage", s.coverage},
                        {"view", view_json(node, s.view)},
                        {"sessions", s.sessions.live()},
                        {"polls", s.poll.polls},
                        {"busy_polls", s.poll.busy_polls},
                        {"longest_cycle_us", s.poll.longest_cycle.as_microseconds()},
                        {"stalls", s.poll.stalls}});
    return list;
}

json counters_json(const snapshot::Shard& shard) {
    json modules = json::object();
    for (const snapshot::Counter& c : shard.counters) modules[c.module][c.name] = c.value;
    return modules;
}

}  // namespace

json status_json(const snapshot::Node& node, const std::string& version) {
    const Summary sum = summarise(node);
    json drops = json::object();
    for (const auto& [reason, count] : sum.drops)
        if (count != 0) drops[reason] = count;
    return {{"schema", "holdfast.status/1"},
            {"node",
             {{"name", node.name},
              {"id", node.id.value},
              {"cluster", node.cluster},
              {"incarnation", std::to_string(node.incarnation.value)},
              {"uptime_seconds", node.uptime.as_seconds()},
              {"version", version}}},
            {"solo", sum.solo},
            {"coverage", sum.coverage},
            {"sessions",
             {{"live", sum.sessions.live()},
              {"embryonic", sum.sessions.embryonic},
              {"established", sum.sessions.established},
              {"closing", sum.sessions.closing},
              {"unprotected", sum.sessions.unprotected},
              {"capacity", sum.sessions.capacity}}},
            {"gate",
             {{"held", sum.gate.held},
              {"released", sum.gate.released},
              {"longest_wait_us", sum.gate.longest_wait.as_microseconds()},
              {"parked", sum.gate.parked}}},
            {"store",
             {{"fragments", sum.store.fragments},
              {"bytes", sum.store.bytes},
              {"capacity_bytes", sum.store.capacity_bytes}}},
            {"groups", groups_json(node, sum)},
            {"peers", peers_json(node, sum.peers)},
            {"backends", backends_json(sum)},
            {"adoptions", adoptions_json(node, sum)},
            {"drops", std::move(drops)},
            {"ports", ports_json(sum)},
            {"workers", workers_json(node)}};
}

json ring_json(const snapshot::Node& node) {
    json workers = json::array();
    for (const snapshot::Shard& s : node.shards) {
        json peers = json::array();
        for (const snapshot::Peer& p : s.peers)
            peers.push_back({{"name", node_name(node, p.id)},
                             {"state", to_text(p.state)},
                             {"incarnation", std::to_string(p.incarnation.value)},
                             {"since_heard_ms", ms(p.since_heard)},
                             {"acknowledged", p.acknowledged.value},
                             {"lag", p.lag},
                             {"received", p.received.value},
                             {"in_view", p.in_view}});
        workers.push_back({{"worker", s.worker},
                           {"view", view_json(node, s.view)},
                           {"last_published", s.last_published.value},
                           {"peers", std::move(peers)},
                           {"counters", counters_json(s)}});
    }
    return {{"schema", "holdfast.ring/1"}, {"node", node.name}, {"workers", std::move(workers)}};
}

json sessions_json(const SessionPage& page) {
    json rows = json::array();
    for (const SessionRow& r : page.rows)
        rows.push_back({{"session", to_string(r.name)},
                        {"client", to_string(r.name.client)},
                        {"vip", to_string(r.name.vip)},
                        {"service", r.service},
                        {"backend", r.backend},
                        {"pool", to_string(r.pool)},
                        {"backend_endpoint", to_string(r.backend_endpoint)},
                        {"state", to_text(r.state)},
                        {"age_seconds", r.age.as_seconds()},
                        {"idle_seconds", r.idle.as_seconds()},
                        {"worker", r.worker},
                        {"group", r.group.value},
                        {"protected", r.is_protected}});
    return {{"schema", "holdfast.sessions/1"},
            {"matching", page.matching},
            {"sessions", std::move(rows)}};
}

json attributes_json(const SessionName& session, const Attributes& attributes) {
    json values = json::object();
    for (const auto& [name, value] : attributes) values[name] = value;
    return {{"schema", "holdfast.attributes/1"},
            {"session", to_string(session)},
            {"attributes", std::move(values)}};
}

}  // namespace holdfast
