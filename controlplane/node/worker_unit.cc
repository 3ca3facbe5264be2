#include "controlplane/node/worker_unit.h"

#include <fmt/format.h>
#include <sys/random.h>
#include <time.h>

#include <algorithm>
#include <string_view>

#include "replication/ring/seal.h"

namespace holdfast {
namespace {

uint64_t random_seed() {
    uint64_t seed;
    CHECK(getrandom(&seed, sizeof seed, 0) == sizeof seed);
    return seed;
}

holdfast::PortOptions data_port(const PortConfig& config, const Port& port) {
    holdfast::PortOptions options;
    options.mac = port.mac();
    options.vlan = config.vlan;
    for (const IpAddress& a : config.addresses) (a.is_v4() ? options.own_v4 : options.own_v6) = a;
    for (const IpAddress& a : config.gateways)
        (a.is_v4() ? options.gateway_v4 : options.gateway_v6) = a;
    return options;
}

MembershipOptions membership_options(const Config& config, Incarnation incarnation) {
    MembershipOptions options;
    options.self = config.self;
    options.incarnation = incarnation;
    options.nodes = all_nodes(config);
    options.copies = config.cluster.copies;
    options.heartbeat = config.cluster.heartbeat;
    options.misses = config.cluster.misses;
    options.solo = config.cluster.solo_allowed;
    for (const Group& g : config.groups) options.groups.push_back({g.id, g.order});
    return options;
}

bool terminates_tls(const Config& config) {
    return std::ranges::any_of(config.services,
                               [](const Service& s) { return s.mode == Mode::tls; });
}

// A standby keeps up to four kinds of fragment of each session of its peers; about 96 bytes each
// with its key, 192 where TCP terminates here, or a TLS session to resume.
StoreOptions store_options(const Config& config, uint64_t seed) {
    StoreOptions options;
    options.entries = config.worker.sessions * 4;
    const bool relays = std::ranges::any_of(config.services, &Service::terminates_tcp);
    options.bytes = uint64_t{options.entries} * (relays ? 192 : 96);
    if (terminates_tls(config)) {
        options.entries += config.worker.resumable_sessions;
        options.bytes += uint64_t{config.worker.resumable_sessions} * 192;
    }
    options.seed = seed;
    return options;
}

// How far this node's clock is from the time of day, which the nodes share more or less.
Duration wall_offset(Instant now) {
    timespec t{};
    clock_gettime(CLOCK_REALTIME, &t);
    return Duration::seconds(t.tv_sec) + Duration::nanoseconds(t.tv_nsec) - (now - Instant{0});
}

RelayOptions relay_options(const Config& config, Instant now) {
    RelayOptions options;
    options.backend.connect_timeout = Duration::seconds(10);
    options.wall_offset = wall_offset(now);
    options.tls_connections = config.worker.tls_sessions;
    const std::string_view label = "holdfast tcp v1";
    const auto prk = hkdf_extract(std::as_bytes(std::span(label)), config.cluster.secret);
    const std::string_view use = "initial sequence numbers";
    hkdf_expand(prk, std::as_bytes(std::span(use)),
                std::as_writable_bytes(std::span(options.secret)));
    return options;
}

}  // namespace

std::expected<std::unique_ptr<WorkerUnit>, std::string> WorkerUnit::create(
    const Config& config, uint8_t index, Incarnation incarnation, const SharedPorts& shared) {
    std::unique_ptr<WorkerUnit> unit(new WorkerUnit(index, shared));
    auto epochs = EpochFile::open(fmt::format("{}/epochs-{}", config.run_dir, index));
    if (!epochs) return std::unexpected(epochs.error());
    unit->epochs_ = std::move(*epochs);
    unit->out_ =
        std::make_unique<Transmitter>(index, *shared.pool, *shared.clock, config.cluster.stall);
    if (auto opened = unit->open_transport(config); !opened) return std::unexpected(opened.error());
    unit->make_worker(config, incarnation);
    unit->make_loop(config);
    return unit;
}

std::expected<void, std::string> WorkerUnit::open_transport(const Config& config) {
    if (shared_.ring) {
        open_port_transport(config);
    } else if (auto opened = open_kernel_transport(config); !opened) {
        return opened;
    }
    if (config.ring.loss_percent > 0) {
        LossOptions loss;
        loss.loss = config.ring.loss_percent / 100;
        const uint64_t seed = config.ring.loss_seed * 1'000'003 + config.self.value * 257u + index_;
        loss_ = std::make_unique<LossTransport>(transport(), seed, loss, 1024, config.ring.mtu);
    }
    return {};
}

RingTransport& WorkerUnit::transport() {
    if (loss_) return *loss_;
    if (port_transport_) return *port_transport_;
    return *kernel_;
}

std::expected<void, std::string> WorkerUnit::open_kernel_transport(const Config& config) {
    KernelTransportOptions options;
    options.interface = config.ring.interface;
    options.port = static_cast<uint16_t>(config.ring.port + index_);
    options.mtu = config.ring.mtu;
    if (config.ring.transport == RingTransportKind::multicast)
        options.group = to_string(config.ring.group);
    for (const NodeEntry& n : config.cluster.nodes) {
        if (n.id == config.self) {
            options.local = to_string(n.ring);
        } else {
            options.peers.emplace_back(n.id, to_string(n.ring));
        }
    }
    auto transport = KernelTransport::open(options);
    if (!transport) return std::unexpected("ring: " + transport.error());
    kernel_ = std::move(*transport);
    return {};
}

void WorkerUnit::open_port_transport(const Config& config) {
    PortTransportOptions options;
    options.group = config.ring.group;
    options.port = static_cast<uint16_t>(config.ring.port + index_);
    options.worker = index_;
    options.workers = config.worker.count;
    for (const NodeEntry& n : config.cluster.nodes) {
        if (n.id == config.self) {
            options.local = n.ring;
        } else {
            options.peers.emplace_back(n.id, n.ring);
        }
    }
    out_->attach(Side::ring, *shared_.ring);
    port_transport_ = std::make_unique<PortTransport>(options, *shared_.ring, *out_);
}

void WorkerUnit::make_worker(const Config& config, Incarnation incarnation) {
    const uint64_t seed = random_seed();
    WorkerOptions options;
    ForwardOptions& f = options.forward;
    f.services = config.services;
    f.groups = config.groups;
    f.front = data_port(config.front, *shared_.front);
    f.back = data_port(config.back, *shared_.back);
    f.sessions.capacity = config.worker.sessions;
    f.sessions.embryonic_limit = config.worker.embryonic;
    f.sessions.seed = seed ^ 1;
    f.steering.worker = index_;
    f.steering.workers = static_cast<uint8_t>(config.worker.count);
    f.seed = seed ^ 2;
    options.relay = relay_options(config, shared_.clock->now());
    options.relay.tls = shared_.tls->contexts();
    options.relay.handshakes = shared_.tls->handshakes(index_);
    options.exchange = shared_.tls->exchange();
    options.resumable.sessions = config.worker.resumable_sessions;
    options.resumable.bytes = size_t{config.worker.resumable_sessions} * 512;
    options.resumable.lifetime = Duration::seconds(24 * 3'600);  // a service's is at most that
    ReplicatorOptions& r = options.replicator;
    r.ring = ring_options(config, index_, incarnation, seed ^ 3);
    r.membership = membership_options(config, incarnation);
    r.membership.remembered = epochs_->remembered();
    r.store = store_options(config, seed ^ 4);
    r.memory = epochs_.get();
    if (index_ == 0) {
        options.held = shared_.held;
    } else {
        options.follows = shared_.held;
        r.membership.follower = true;
    }
    r.repositories = repositories(config);

    worker_ = std::make_unique<Worker>(options, *out_, transport(), shared_.clock->now());
    link_ = std::make_unique<RingLink>(*worker_, transport());
}

void WorkerUnit::make_loop(const Config& config) {
    PollLoopOptions options;
    options.worker = index_;
    options.workers = config.worker.count;
    options.stall_bound = config.cluster.stall;
    options.idle = config.worker.idle == IdlePolicy::spin ? Idle::spin : Idle::sleep;
    options.first_ring_port = config.ring.port;
    loop_ = std::make_unique<PollLoop>(options, *shared_.clock, *out_, *link_);
    loop_->add_port(Side::front, *shared_.front);
    out_->attach(Side::front, *shared_.front);
    if (shared_.back != shared_.front) loop_->add_port(Side::back, *shared_.back);
    out_->attach(Side::back, *shared_.back);
    if (shared_.ring && shared_.ring != shared_.front && shared_.ring != shared_.back)
        loop_->add_port(Side::ring, *shared_.ring);
    if (port_transport_) loop_->set_filter(*port_transport_);
    loop_->set_ring(*link_);
    if (shared_.handover) loop_->set_handover(*shared_.handover);
}

}  // namespace holdfast
