// What holdfastd is told by its configuration file, as plain values.
//
// Made and checked by load_config() (controlplane/config/load.h) and read-only afterwards: whoever
// has a Config may rely on every name in it being known, every range kept and every address
// belonging to one owner. The file's schema is one table, controlplane/config/schema.h. Not here:
// anything that can change while the process runs (weights, epochs, views).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/cluster.h"
#include "base/time.h"
#include "dataplane/service/service.h"
#include "dataplane/tls/context.h"
#include "dataplane/wire/address.h"
#include "replication/ring/ring_options.h"

namespace holdfast {

struct NodeEntry {
    NodeId id;
    std::string name;
    IpAddress ring;           // its address on the ring network
    bool repository = false;  // keeps every fragment, beside the owners
};

struct ClusterConfig {
    std::string name;
    std::string secret_file;
    std::array<std::byte, 32> secret{};
    uint8_t copies = 2;  // R: nodes that keep a fragment beside the holder
    Duration heartbeat = Duration::milliseconds(20);
    uint32_t misses = 5;        // heartbeats missed before a holder is taken for dead
    bool solo_allowed = false;  // may a holder without any standby go on?
    Duration stall = Duration::milliseconds(20);  // poll gap after which epochs are confirmed again
    std::vector<NodeEntry> nodes;                 // by id, ascending
};

enum class RingTransportKind : uint8_t { multicast, unicast, dpdk };

struct RingConfig {
    RingTransportKind transport = RingTransportKind::multicast;
    std::string interface;  // kernel interface of the ring network (multicast, unicast)
    std::string device;     // DPDK device arguments (dpdk)
    IpAddress group;        // multicast group
    uint16_t port = 7946;   // worker w uses port + w
    AckMode ack = AckMode::nak;
    Cipher cipher = Cipher::aes_128_gcm;
    uint32_t slots = 8192;
    uint32_t mtu = 1500;
    double loss_percent = 0.0;  // drills only: share of datagrams the transport loses on purpose
    uint64_t loss_seed = 1;
};

struct DpdkConfig {
    bool huge_pages = false;
    uint64_t memory = 128u << 20;        // bytes
    std::vector<std::string> eal_extra;  // further EAL arguments, verbatim
};

struct PortConfig {
    std::string device;  // DPDK device arguments: "net_af_packet0,iface=front", "0000:3b:00.0"
    uint16_t vlan = 0;   // 0: untagged
    std::vector<IpAddress> addresses;  // this node's own (health checks, ARP); not moved
    std::vector<IpAddress> gateways;   // at most one of each family
};

enum class IdlePolicy : uint8_t { sleep, spin };

struct WorkerConfig {
    uint32_t count = 1;
    std::vector<uint32_t> cores{0};  // one for each worker; may repeat
    uint32_t sessions = 65'536;      // of each worker
    uint32_t embryonic = 16'384;     // of each worker, at most sessions
    IdlePolicy idle = IdlePolicy::sleep;
    uint32_t handshake_threads = 1;        // of the node
    uint32_t tls_sessions = 32'768;        // of each worker
    uint32_t resumable_sessions = 16'384;  // likewise
};

struct Config {
    std::string name;  // this node's
    NodeId self;
    std::string run_dir = "/run/holdfast";
    ClusterConfig cluster;
    RingConfig ring;
    DpdkConfig dpdk;
    PortConfig front;
    PortConfig back;  // the same device as front: one-armed
    WorkerConfig worker;
    std::optional<Endpoint> metrics;  // where /metrics is served; none: nowhere
    std::vector<Group> groups;
    std::vector<Service> services;
    std::vector<TlsOptions> tls;  // of each service; no certificate: it does not terminate TLS
};

NodeSet all_nodes(const Config& config);
NodeSet repositories(const Config& config);
// The ring of one worker of this node.
RingOptions ring_options(const Config& config, uint8_t worker, Incarnation incarnation,
                         uint64_t seed);

}  // namespace holdfast
