#include "controlplane/node.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "controlplane/node/snapshot.h"
#include "controlplane/node/worker_unit.h"
#include "dataplane/port/eal.h"
#include "dataplane/steer/steer.h"

namespace holdfast {
namespace {

template <typename T>
std::unexpected<std::string> failed(const char* what, const std::expected<T, std::string>& e) {
    return std::unexpected(fmt::format("{}: {}", what, e.error()));
}

Refusal unavailable() { return {Refusal::Kind::unavailable, "the worker has stopped"}; }

class RunningNode final : public Node, public NodeView {
public:
    RunningNode(const Config& config, Incarnation incarnation)
        : config_(config), incarnation_(incarnation), started_(clock_.now()) {}
    ~RunningNode() override { stop(); }

    std::expected<void, std::string> start();

    NodeView& view() override { return *this; }
    bool secrets_are_locked() const override;
    bool alive() override;
    void stop() override;

    Answer<snapshot::Node> status() override;
    Answer<SessionPage> sessions(const SessionQuery& query) override;
    Answer<Attributes> attributes(const SessionName& session) override;
    Answer<void> set_attribute(const SessionName& session, const std::string& name,
                               const std::string& value) override;
    Answer<uint32_t> handover(std::optional<GroupId> group, Duration wait) override;
    Answer<void> set_backend_weight(const std::string& service, const std::string& backend,
                                    std::optional<uint32_t> weight) override;

private:
    std::expected<void, std::string> start_eal();
    std::expected<std::unique_ptr<Port>, std::string> open_port(const char* name,
                                                                const PortConfig& port,
                                                                bool takes_vips);
    std::expected<void, std::string> open_ring_port();
    std::expected<void, std::string> steer(const PortConfig& port, bool takes_vips,
                                           bool takes_pools);
    void add_ports(snapshot::Shard& shard) const;
    template <typename Function>
    bool find_session(const SessionName& name, Function&& found);
    bool still_held(std::optional<GroupId> group);

    Config config_;
    Incarnation incarnation_;
    SystemClock clock_;
    Instant started_;
    std::unique_ptr<Eal> eal_;
    std::unique_ptr<FramePool> pool_;
    std::unique_ptr<Port> front_, back_, own_ring_;
    Port* ring_port_ = nullptr;  // one of the three, when the ring uses DPDK
    std::vector<std::unique_ptr<Steer>> steers_;
    std::unique_ptr<Handover> handover_;
    HeldGroups held_{0};
    std::unique_ptr<TlsServices> tls_;
    std::vector<std::unique_ptr<WorkerUnit>> workers_;
    std::vector<uint64_t> polls_seen_;
    bool running_ = false;
};

std::expected<void, std::string> RunningNode::start_eal() {
    EalOptions options;
    options.workers = config_.worker.count;
    options.worker_cpus = config_.worker.cores;
    options.huge_pages = config_.dpdk.huge_pages;
    options.memory_mb = static_cast<uint32_t>(config_.dpdk.memory >> 20);
    options.more_arguments = config_.dpdk.eal_extra;
    for (const PortConfig* port : {&config_.front, &config_.back})
        if (port->device.find(':') != std::string::npos && !port->device.starts_with("net_"))
            options.pci_devices.push_back(port->device.substr(0, port->device.find(',')));
    auto eal = Eal::start(options);
    if (!eal) return failed("DPDK", eal);
    eal_ = std::move(*eal);
    // Descriptors of two ports in both directions, what the workers batch, and a few hundred spare.
    auto pool = FramePool::create(config_.worker.count * 12'288);
    if (!pool) return failed("DPDK", pool);
    pool_ = std::move(*pool);
    return {};
}

std::expected<void, std::string> RunningNode::steer(const PortConfig& port, bool takes_vips,
                                                    bool takes_pools) {
    const auto interface = af_xdp_interface(port.device);
    if (!interface) return {};
    auto found = Steer::find(*interface);
    if (!found) return std::unexpected(found.error());
    std::vector<IpAddress> addresses = port.addresses;
    for (const Service& s : config_.services) {
        if (takes_vips) addresses.insert(addresses.end(), s.vips.begin(), s.vips.end());
        if (takes_pools)
            for (const Pool& p : s.pools) addresses.push_back(p.address);
    }
    for (const IpAddress& a : addresses)
        if (auto taken = (*found)->take(a); !taken) return std::unexpected(taken.error());
    steers_.push_back(std::move(*found));
    return {};
}

std::expected<std::unique_ptr<Port>, std::string> RunningNode::open_port(const char* name,
                                                                         const PortConfig& config,
                                                                         bool takes_vips) {
    DeviceOptions options;
    options.name = name;
    options.device = config.device;
    options.workers = config_.worker.count;
    options.rss_key = kDefaultRssKey;
    std::optional<SteerProgram> program;
    if (const auto interface = af_xdp_interface(config.device)) {
        if (auto cleaned = detach_leftover(*interface); !cleaned) return failed(name, cleaned);
        auto created = SteerProgram::create();
        if (!created) return failed(name, created);
        program.emplace(std::move(*created));
        options.xdp_object = program->path();
    }
    auto port = Port::open(options, *pool_);
    if (!port) return failed(name, port);
    const bool one_armed = config_.front.device == config_.back.device;
    if (auto steered = steer(config, takes_vips || one_armed, !takes_vips || one_armed); !steered)
        return std::unexpected(fmt::format("{}: {}", name, steered.error()));
    return port;
}

std::expected<void, std::string> RunningNode::open_ring_port() {
    if (config_.ring.transport != RingTransportKind::dpdk) return {};
    if (config_.ring.device == config_.front.device) {
        ring_port_ = front_.get();
    } else if (config_.ring.device == config_.back.device) {
        ring_port_ = back_.get();
    } else {
        PortConfig port;
        port.device = config_.ring.device;
        auto opened = open_port("ring", port, false);
        if (!opened) return std::unexpected(opened.error());
        own_ring_ = std::move(*opened);
        ring_port_ = own_ring_.get();
    }
    const auto interface = af_xdp_interface(config_.ring.device);
    if (!interface) return {};
    auto found = Steer::find(*interface);
    if (!found) return std::unexpected("ring: " + found.error());
    const auto last = static_cast<uint16_t>(config_.ring.port + config_.worker.count - 1);
    if (auto taken = (*found)->take_ring(config_.ring.group, config_.ring.port, last); !taken)
        return std::unexpected("ring: " + taken.error());
    for (const NodeEntry& n : config_.cluster.nodes)
        if (n.id == config_.self)
            if (auto taken = (*found)->take(n.ring); !taken)
                return std::unexpected("ring: " + taken.error());
    steers_.push_back(std::move(*found));
    return {};
}

std::expected<void, std::string> RunningNode::start() {
    if (auto started = start_eal(); !started) return started;
    auto front = open_port("port.front", config_.front, true);
    if (!front) return std::unexpected(front.error());
    front_ = std::move(*front);
    if (config_.back.device != config_.front.device) {
        auto back = open_port("port.back", config_.back, false);
        if (!back) return std::unexpected(back.error());
        back_ = std::move(*back);
    }
    if (auto ring = open_ring_port(); !ring) return ring;
    if (config_.worker.count > 1)
        handover_ = std::make_unique<Handover>(config_.worker.count, 4096);
    auto tls = TlsServices::load(config_);
    if (!tls) return std::unexpected(tls.error());
    tls_ = std::move(*tls);
    const SharedPorts shared{.front = front_.get(),
                             .back = back_ ? back_.get() : front_.get(),
                             .ring = ring_port_,
                             .pool = pool_.get(),
                             .handover = handover_.get(),
                             .clock = &clock_,
                             .held = &held_,
                             .tls = tls_.get()};
    for (uint8_t w = 0; w < config_.worker.count; ++w) {
        auto unit = WorkerUnit::create(config_, w, incarnation_, shared);
        if (!unit) return std::unexpected(unit.error());
        workers_.push_back(std::move(*unit));
    }
    polls_seen_.resize(workers_.size());
    running_ = true;
    for (auto& unit : workers_) eal_->launch(unit->index(), [&loop = unit->loop()] { loop.run(); });
    return {};
}

void RunningNode::stop() {
    if (running_) {
        for (auto& unit : workers_) unit->loop().stop();
        for (auto& unit : workers_) eal_->join(unit->index());
        running_ = false;
    }
    if (tls_) tls_->stop();
    workers_.clear();
    tls_.reset();
    steers_.clear();
    own_ring_.reset();
    back_.reset();
    front_.reset();
    handover_.reset();
    pool_.reset();
    eal_.reset();
}

bool RunningNode::secrets_are_locked() const {
    return std::ranges::all_of(
        workers_, [](const auto& unit) { return unit->worker().secrets_are_locked(); });
}

bool RunningNode::alive() {
    if (tls_) tls_->rotate_ticket_keys();
    bool all = true;
    for (size_t i = 0; i < workers_.size(); ++i) {
        uint64_t polls = polls_seen_[i];
        workers_[i]->run([&] { polls = workers_[i]->loop().counters().polls; });
        all &= polls != polls_seen_[i];
        polls_seen_[i] = polls;
    }
    return all;
}

// ---- What may be seen
// ------------------------------------------------------------------------------------

void RunningNode::add_ports(snapshot::Shard& shard) const {
    for (const Port* port : {front_.get(), back_.get()}) {
        if (!port) continue;
        const PortStats s = port->stats();
        snapshot::Port out;
        out.name = port == front_.get() ? "front" : "back";
        out.rx_packets = s.rx_packets;
        out.rx_bytes = s.rx_bytes;
        out.tx_packets = s.tx_packets;
        out.tx_bytes = s.tx_bytes;
        out.rx_missed = s.rx_missed;
        out.rx_errors = s.rx_errors;
        out.rx_nombuf = s.rx_no_buffer;
        out.tx_errors = s.tx_errors;
        shard.ports.push_back(out);
    }
}

// All of a worker's sessions, in turns with its packets: some(cursor) says where to go on.
template <typename Some>
bool in_turns(WorkerUnit& unit, Some&& some) {
    for (std::optional<uint32_t> cursor = 0; cursor;)
        if (!unit.run([&] { cursor = some(*cursor); })) return false;
    return true;
}

Answer<snapshot::Node> RunningNode::status() {
    snapshot::Node node;
    node.name = config_.name;
    node.cluster = config_.cluster.name;
    node.id = config_.self;
    node.incarnation = incarnation_;
    node.uptime = clock_.now() - started_;
    for (const NodeEntry& n : config_.cluster.nodes) node.node_names[n.id.value] = n.name;
    for (auto& unit : workers_) {
        snapshot::Shard shard;
        SessionCounts counts(config_);
        const bool done = in_turns(*unit, [&](uint32_t from) {
            const auto next = count_sessions(*unit, from, counts);
            if (!next) fill_shard(*unit, config_, counts, clock_.now(), shard);
            return next;
        });
        if (!done) return std::unexpected(unavailable());
        if (unit->index() == 0) add_ports(shard);
        node.shards.push_back(std::move(shard));
    }
    return node;
}

Answer<SessionPage> RunningNode::sessions(const SessionQuery& query) {
    SessionPage page;
    for (auto& unit : workers_) {
        const auto some = [&](uint32_t from) {
            return fill_sessions(*unit, config_, query, from, clock_.now(), page);
        };
        if (!in_turns(*unit, some)) return std::unexpected(unavailable());
    }
    return page;
}

// ---- What may be asked
// -----------------------------------------------------------------------------------

template <typename Function>
bool RunningNode::find_session(const SessionName& name, Function&& found) {
    bool any = false;
    for (auto& unit : workers_)
        unit->run([&] {
            const SessionIndex i =
                unit->worker().forwarder().sessions().find_client(name.client, name.vip);
            if (!i) return;
            any = true;
            found(unit->worker(), i);
        });
    return any;
}

Answer<Attributes> RunningNode::attributes(const SessionName& session) {
    Attributes attributes;
    const bool found = find_session(session, [&](Worker& worker, SessionIndex i) {
        if (const SessionAttributes* a = worker.takeover().attributes(i)) attributes = *a;
    });
    if (!found)
        return std::unexpected(
            Refusal{Refusal::Kind::not_found, "this node holds no session " + to_string(session)});
    return attributes;
}

Answer<void> RunningNode::set_attribute(const SessionName& session, const std::string& name,
                                        const std::string& value) {
    bool fits = false;
    const bool found = find_session(session, [&](Worker& worker, SessionIndex i) {
        fits = worker.set_attribute(i, name, value, clock_.now());
    });
    if (!found)
        return std::unexpected(
            Refusal{Refusal::Kind::not_found, "this node holds no session " + to_string(session)});
    if (!fits)
        return std::unexpected(
            Refusal{Refusal::Kind::refused,
                    fmt::format("the session's attributes would exceed {} bytes together",
                                kMaxAttributesValue)});
    return {};
}

bool RunningNode::still_held(std::optional<GroupId> group) {
    bool held = false;
    for (auto& unit : workers_)
        unit->run([&] {
            const Membership& m = unit->worker().replicator().membership();
            for (const Group& g : config_.groups)
                if ((!group || *group == g.id) && m.claim(g.id).holder == config_.self &&
                    m.claim(g.id).epoch.value != 0)
                    held = true;
        });
    return held;
}

Answer<uint32_t> RunningNode::handover(std::optional<GroupId> group, Duration wait) {
    uint32_t moved = 0;
    bool standby = true;
    for (auto& unit : workers_)
        unit->run([&] {
            const Membership& m = unit->worker().replicator().membership();
            if (m.view().members.empty()) standby = false;
        });
    if (!standby && still_held(group))
        return std::unexpected(
            Refusal{Refusal::Kind::refused, "no standby is in sync; nothing was handed over"});
    for (auto& unit : workers_)
        unit->run([&] {
            for (const Group& g : config_.groups) {
                if (group && *group != g.id) continue;
                const bool held =
                    unit->worker().replicator().membership().role(g.id) == Role::holder;
                if (held && unit->index() == 0) ++moved;
                if (held) unit->worker().release_group(g.id, clock_.now());
            }
        });
    const Instant until = clock_.now() + wait;
    while (still_held(group)) {
        if (clock_.now() >= until)
            return std::unexpected(Refusal{Refusal::Kind::refused, "no standby took over in time"});
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return moved;
}

Answer<void> RunningNode::set_backend_weight(const std::string& service, const std::string& backend,
                                             std::optional<uint32_t> weight) {
    for (uint16_t s = 0; s < config_.services.size(); ++s) {
        if (config_.services[s].name != service) continue;
        auto& backends = config_.services[s].backends;
        for (uint16_t b = 0; b < backends.size(); ++b) {
            if (backends[b].name != backend) continue;
            for (auto& unit : workers_)
                unit->run(
                    [&] { unit->worker().set_weight(s, b, weight.value_or(backends[b].weight)); });
            return {};
        }
    }
    return std::unexpected(Refusal{Refusal::Kind::not_found,
                                   fmt::format("no backend {} in service {}", backend, service)});
}

}  // namespace

std::expected<std::unique_ptr<Node>, std::string> start_node(const Config& config,
                                                             Incarnation incarnation) {
    auto node = std::make_unique<RunningNode>(config, incarnation);
    if (auto started = node->start(); !started) return std::unexpected(started.error());
    return node;
}

}  // namespace holdfast
