#include "controlplane/api/fake_node_view.h"

namespace holdfast {

namespace {

using namespace snapshot;

Peer peer(uint8_t id, PeerState state, uint64_t lag) {
    Peer p;
    p.id = {id};
    p.state = state;
    p.incarnation = {1'700'000'000'000'000'000u + id};
    if (state != PeerState::never_heard) p.since_heard = Duration::milliseconds(7);
    p.acknowledged = {1'000 - lag};
    p.lag = lag;
    p.received = {50};
    p.in_view = state == PeerState::following;
    return p;
}

snapshot::Adoption adoption() {
    snapshot::Adoption a;
    a.group = {1};
    a.from = NodeId{0};
    a.epoch = {7};
    a.detected_unix_ns = 1'763'856'000'123'456'789;
    a.silence = Duration::microseconds(102'300);
    a.epoch_won = Duration::microseconds(1'400);
    a.first_packet = Duration::microseconds(2'100);
    a.sweep_done = Duration::milliseconds(31);
    a.sessions = 200;
    a.pulled = {{NodeId{2}, 133}, {NodeId{3}, 129}};
    a.own = 138;
    return a;
}

struct ExampleCounters {
    uint64_t sent = 0;
    uint64_t naks = 0;
};
constexpr CounterInfo<ExampleCounters> kExampleCounters[] = {
    {"data_sent", "DATA datagrams sent for the first time.", &ExampleCounters::sent},
    {"naks_sent", "NAKs sent.", &ExampleCounters::naks},
};

Shard shard(uint32_t worker) {
    Shard s;
    s.worker = worker;
    s.coverage = worker == 0 ? 1.0 : 0.9;
    s.view = {3, NodeSet(0b1110)};
    s.last_published = {1'000};
    s.groups = {{{1}, Role::holder, NodeId{1}, {7}, 100}, {{2}, Role::standby, NodeId{2}, {2}, 0}};
    s.peers = {peer(0, PeerState::silent, 400), peer(2, PeerState::following, worker * 5),
               peer(3, PeerState::following, 0)};
    s.sessions = {2, 95, 3, worker * 10, 65'536};
    s.gate = {worker, 500, Duration::microseconds(80 + 10 * worker), 0};
    s.store = {400, 64'000, 16 << 20};
    s.poll = {1'000'000, 250'000, Duration::microseconds(120), worker};
    s.adoptions = {adoption()};
    snapshot::Backend up;
    up.service = "web";
    up.name = "b1";
    up.endpoint = {IpAddress::v4(0xcb00710b), 80};
    up.weight = up.configured_weight = 1;
    up.sessions = 60;
    snapshot::Backend down = up;
    down.name = "b2";
    down.endpoint.address = IpAddress::v4(0xcb00710c);
    down.up = worker == 0;
    down.failed_checks = 3;
    s.backends = {up, down};
    snapshot::Port port;
    port.name = "front";
    port.rx_packets = 10;
    port.rx_bytes = 1'500;
    s.ports = {port};
    s.drops = {{"bad_checksum", 4}, {"no_backend", 0}};
    add_counters(s.counters, "ring", ExampleCounters{1'000, 7}, kExampleCounters);
    return s;
}

}  // namespace

snapshot::Node example_node() {
    snapshot::Node node;
    node.name = "b";
    node.cluster = "lab";
    node.id = {1};
    node.incarnation = {1'763'850'000'000'000'001};
    node.uptime = Duration::seconds(3'725);
    for (uint8_t i = 0; i < 4; ++i) node.node_names[i] = std::string(1, static_cast<char>('a' + i));
    node.shards = {shard(0), shard(1)};
    return node;
}

FakeNodeView::FakeNodeView() {
    SessionRow row;
    row.name = *parse_session_name("198.51.100.101:40000>198.51.100.10:80");
    row.service = "web";
    row.backend = "b1";
    row.pool = *parse_endpoint("203.0.113.200:1024");
    row.backend_endpoint = *parse_endpoint("203.0.113.11:80");
    row.state = SessionState::established;
    row.age = Duration::seconds(95);
    row.idle = Duration::milliseconds(20);
    row.group = {1};
    row.is_protected = true;
    page.rows = {row};
    page.matching = 200;
    attributes_of[row.name]["billing"] = "1 Example Street";
}

Answer<snapshot::Node> FakeNodeView::status() {
    ++status_calls;
    if (refuse) return std::unexpected(*refuse);
    return node;
}

Answer<SessionPage> FakeNodeView::sessions(const SessionQuery& query) {
    last_query = query;
    if (refuse) return std::unexpected(*refuse);
    return page;
}

Answer<Attributes> FakeNodeView::attributes(const SessionName& session) {
    if (refuse) return std::unexpected(*refuse);
    const auto it = attributes_of.find(session);
    if (it == attributes_of.end())
        return std::unexpected(Refusal{Refusal::Kind::not_found, "no such session here"});
    return Attributes(it->second.begin(), it->second.end());
}

Answer<void> FakeNodeView::set_attribute(const SessionName& session, const std::string& name,
                                         const std::string& value) {
    if (refuse) return std::unexpected(*refuse);
    const auto it = attributes_of.find(session);
    if (it == attributes_of.end())
        return std::unexpected(Refusal{Refusal::Kind::not_found, "no such session here"});
    it->second[name] = value;
    return {};
}

Answer<uint32_t> FakeNodeView::handover(std::optional<GroupId> group, Duration wait) {
    ++handovers;
    last_group = group;
    last_wait = wait;
    if (refuse) return std::unexpected(*refuse);
    return 1;
}

Answer<void> FakeNodeView::set_backend_weight(const std::string& service,
                                              const std::string& backend,
                                              std::optional<uint32_t> weight) {
    if (refuse) return std::unexpected(*refuse);
    last_weight = {service + "/" + backend, weight};
    if (service != "web")
        return std::unexpected(Refusal{Refusal::Kind::not_found, "no such backend"});
    return {};
}

}  // namespace holdfast
