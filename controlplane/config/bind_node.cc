// [node] [cluster] [ring] [dpdk] [port] [worker] [metrics]
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "controlplane/config/bind.h"
#include "controlplane/config/units.h"

namespace holdfast {

namespace {

void bind_nodes(const Section& cluster, Config& config, AddressBook& book) {
    std::vector<IpAddress> seen;
    for (const Section& s : cluster.children("node")) {
        NodeEntry node;
        node.id = {static_cast<uint8_t>(s.integer("id"))};
        node.name = s.text("name");
        node.repository = s.flag("repository");
        const auto ring = s.address("ring");
        for (const NodeEntry& other : config.cluster.nodes) {
            if (s.has("id") && other.id == node.id)
                s.problems().error(s.mark("id"), fmt::format("id {} is already node \"{}\"'s",
                                                             node.id.value, other.name));
            if (!node.name.empty() && other.name == node.name)
                s.problems().error(s.mark("name"),
                                   fmt::format("node \"{}\" is there twice", node.name));
            if (ring && other.ring != IpAddress{} && ring->is_v4() != other.ring.is_v4())
                s.problems().error(s.mark("ring"), "ring addresses must all be of one family");
        }
        if (ring) {
            node.ring = *ring;
            book.claim({AddressClaim::Use::ring, *ring, node.name, {}, 0, 0, s.mark("ring")},
                       s.problems());
        }
        config.cluster.nodes.push_back(std::move(node));
    }
}

void find_self(const Section& node, Config& config) {
    if (config.name.empty() || config.cluster.nodes.empty()) return;
    std::vector<std::string_view> names;
    for (const NodeEntry& entry : config.cluster.nodes) {
        names.push_back(entry.name);
        if (entry.name != config.name) continue;
        config.self = entry.id;
        return;
    }
    const auto meant = nearest(config.name, names);
    node.problems().error(
        node.mark("name"),
        fmt::format("no [[cluster.node]] has the name \"{}\"{}", config.name,
                    meant.empty() ? "" : fmt::format("; did you mean \"{}\"?", meant)));
}

void check_timing(const Section& s, const ClusterConfig& cluster) {
    const Duration detection = cluster.heartbeat * cluster.misses;
    if (cluster.stall >= detection)
        s.problems().error(
            s.mark("stall"),
            fmt::format("cluster.stall ({}) must be shorter than heartbeat x misses ({}): a holder "
                        "must notice its own pause before others take over",
                        duration_text(cluster.stall), duration_text(detection)));
}

}  // namespace

void bind_cluster(const Section& root, const ReadSecret& read_secret, Config& config,
                  AddressBook& book) {
    const Section node = root.child("node");
    config.name = node.text("name");
    config.run_dir = node.text("run_dir");
    constexpr size_t kLongest = 80;  // sun_path has 108 bytes
    if (!config.run_dir.starts_with('/') || config.run_dir.size() > kLongest)
        node.problems().error(node.mark("run_dir"),
                              fmt::format("node.run_dir must be an absolute path of at most {} "
                                          "characters",
                                          kLongest));

    const size_t before = root.problems().errors();
    const Section s = root.child("cluster");
    ClusterConfig& cluster = config.cluster;
    cluster.name = s.text("name");
    cluster.secret_file = s.text("secret_file");
    cluster.copies = static_cast<uint8_t>(s.integer("copies"));
    cluster.heartbeat = s.duration("heartbeat");
    cluster.misses = static_cast<uint32_t>(s.integer("misses"));
    cluster.solo_allowed = s.text("solo") == "allow";
    cluster.stall = s.duration("stall");
    check_timing(s, cluster);
    if (!cluster.secret_file.empty()) {
        if (auto secret = read_secret(cluster.secret_file))
            cluster.secret = *secret;
        else
            s.problems().error(s.mark("secret_file"), secret.error());
    }
    bind_nodes(s, config, book);
    find_self(node, config);
    if (const size_t others = cluster.nodes.size() - 1;
        !cluster.nodes.empty() && cluster.copies > others && root.problems().errors() == before)
        s.problems().warning(s.mark("copies"),
                             fmt::format("cluster.copies is {}, but only {} other node{} can keep "
                                         "a copy",
                                         cluster.copies, others, others == 1 ? "" : "s"));
    std::ranges::sort(cluster.nodes, {}, &NodeEntry::id);
}

namespace {

void bind_transport(const Section& s, RingConfig& ring) {
    const std::string transport = s.text("transport");
    ring.transport = transport == "dpdk"      ? RingTransportKind::dpdk
                     : transport == "unicast" ? RingTransportKind::unicast
                                              : RingTransportKind::multicast;
    ring.interface = s.text("interface");
    ring.device = s.text("device");
    if (ring.transport == RingTransportKind::dpdk && ring.device.empty() && !s.has("device"))
        s.problems().error(s.mark(), "ring.transport \"dpdk\" needs ring.device");
    if (ring.transport != RingTransportKind::dpdk && ring.interface.empty() && !s.has("interface"))
        s.problems().error(s.mark(),
                           fmt::format("ring.transport \"{}\" needs ring.interface", transport));
    if (ring.interface.size() > 15)
        s.problems().error(s.mark("interface"),
                           "the name of a network interface has at most 15 characters");
}

void bind_multicast_group(const Section& s, Config& config) {
    const auto group = s.address("group");
    if (!group) return;
    config.ring.group = *group;
    if (!is_multicast(*group)) {
        s.problems().error(s.mark("group"),
                           fmt::format("{} is not a multicast address", to_string(*group)));
        return;
    }
    const auto& nodes = config.cluster.nodes;
    if (config.ring.transport == RingTransportKind::unicast || nodes.empty()) return;
    if (nodes[0].ring != IpAddress{} && nodes[0].ring.is_v4() != group->is_v4())
        s.problems().error(s.mark("group"), "ring.group must be of the ring addresses' family");
}

}  // namespace

void bind_ring(const Section& root, Config& config) {
    const Section s = root.child("ring");
    RingConfig& ring = config.ring;
    if (s.present()) bind_transport(s, ring);
    bind_multicast_group(s, config);
    ring.port = static_cast<uint16_t>(s.integer("port"));
    ring.ack = s.text("ack") == "positive" ? AckMode::positive : AckMode::nak;
    ring.cipher =
        s.text("cipher") == "aes-128-gcm" ? Cipher::aes_128_gcm : Cipher::chacha20_poly1305;
    ring.slots = static_cast<uint32_t>(s.integer("slots"));
    if (!std::has_single_bit(ring.slots))
        s.problems().error(s.mark("slots"), fmt::format("ring.slots must be a power of two, such "
                                                        "as {}",
                                                        std::bit_ceil(ring.slots)));
    ring.mtu = static_cast<uint32_t>(s.integer("mtu"));
    const Section loss = s.child("loss");
    ring.loss_percent = loss.number("percent");
    ring.loss_seed = static_cast<uint64_t>(loss.integer("seed"));
    if (ring.loss_percent > 0)
        loss.problems().warning(
            loss.mark("percent"),
            fmt::format("{}% of the ring's datagrams will be lost on purpose", ring.loss_percent));
}

namespace {

PortConfig bind_port(const Section& s, std::string_view side, AddressBook& book) {
    PortConfig port;
    port.device = s.text("device");
    port.vlan = static_cast<uint16_t>(s.integer("vlan"));
    for (const auto& [address, mark] : s.addresses("address")) {
        port.addresses.push_back(address);
        book.claim({AddressClaim::Use::own, address, std::string(side), {}, 0, 0, mark},
                   s.problems());
    }
    for (const auto& [gateway, mark] : s.addresses("gateway")) {
        for (const IpAddress& other : port.gateways)
            if (other.is_v4() == gateway.is_v4())
                s.problems().error(mark, "only one gateway of each family");
        port.gateways.push_back(gateway);
    }
    return port;
}

}  // namespace

void bind_ports(const Section& root, Config& config, AddressBook& book) {
    const Section dpdk = root.child("dpdk");
    config.dpdk.huge_pages = dpdk.flag("huge_pages");
    config.dpdk.memory = dpdk.size("memory");
    for (auto& argument : dpdk.texts("eal_extra"))
        config.dpdk.eal_extra.push_back(std::move(argument.value));
    const Section ports = root.child("port");
    config.front = bind_port(ports.child("front"), "[port.front]", book);
    config.back = bind_port(ports.child("back"), "[port.back]", book);
}

void bind_workers(const Section& root, Config& config) {
    const Section s = root.child("worker");
    WorkerConfig& worker = config.worker;
    worker.count = static_cast<uint32_t>(s.integer("count"));
    worker.cores = s.integers("cores");
    if (!s.has("cores"))
        for (uint32_t core = 0; core < worker.count; ++core) worker.cores.push_back(core);
    if (worker.cores.size() != worker.count)
        s.problems().error(s.mark("cores"), fmt::format("worker.cores has {} for worker.count = {}",
                                                        worker.cores.size(), worker.count));
    worker.sessions = static_cast<uint32_t>(s.integer("sessions"));
    worker.handshake_threads = static_cast<uint32_t>(s.integer("handshake_threads"));
    worker.tls_sessions = static_cast<uint32_t>(s.integer("tls_sessions"));
    worker.resumable_sessions = static_cast<uint32_t>(s.integer("resumable_sessions"));
    worker.embryonic = static_cast<uint32_t>(s.integer("embryonic"));
    if (worker.embryonic > worker.sessions) {
        if (s.has("embryonic"))
            s.problems().error(s.mark("embryonic"), "worker.embryonic exceeds worker.sessions");
        worker.embryonic = worker.sessions / 4;
    }
    worker.idle = s.text("idle") == "spin" ? IdlePolicy::spin : IdlePolicy::sleep;
    if (config.ring.port + worker.count > 65'536)
        s.problems().error(s.mark("count"), "ring.port + worker.count exceeds 65535");
    config.metrics = root.child("metrics").endpoint("listen");
}

}  // namespace holdfast
