#include "controlplane/config/schema.h"

#include <array>

namespace holdfast {

namespace {

using K = KeyKind;
constexpr double kMs = 1e6, kSecond = 1e9, kMinute = 60e9, kHour = 3600e9;
constexpr double kMiB = 1 << 20, kGiB = 1 << 30;

constexpr std::array kTables{
    Table{"node", false, true, 1, "This node."},
    Table{"cluster", false, true, 1, "What all nodes must agree on."},
    Table{"cluster.node", true, true, 32, "One node of the cluster, this one too."},
    Table{"ring", false, true, 1, "The replication ring."},
    Table{"ring.loss", false, false, 1, "Loss made on purpose, for drills and tests only."},
    Table{"dpdk", false, false, 1, "The packet library."},
    Table{"port", false, true, 1, "The ports towards clients and towards backends."},
    Table{"port.front", false, true, 1, "Towards the clients."},
    Table{"port.back", false, true, 1,
          "Towards the backends. The same device as the front: one-armed."},
    Table{"worker", false, false, 1, "Poll-mode workers."},
    Table{"metrics", false, false, 1, "Prometheus and health endpoints."},
    Table{"group", true, true, 15, "VIPs and pools that move between nodes together."},
    Table{"service", true, true, 64, "A virtual address and port."},
    Table{"service.health", false, false, 1, "Active TCP checks of the backends; false: none."},
    Table{"service.idle", false, false, 1,
          "How long a silent session is kept (RFC 5382 section 5 is the floor for the defaults)."},
    Table{"service.tls", false, false, 1, "What a service of mode tls offers its clients."},
    Table{"service.certificate", true, false, 64,
          "A certificate of a service of mode tls; the first is shown when no name fits."},
    Table{"service.backend", true, true, 128, "A server of the service."},
};

constexpr std::array kKeys{
    Key{"node", "name", K::name, kRequired, 0, 0, "", "This node's name in [[cluster.node]]."},
    Key{"node", "run_dir", K::path, "/run/holdfast", 0, 0, "",
        "Directory of the API socket (api.sock) and the lock; one holdfastd for each."},

    Key{"cluster", "name", K::name, kRequired, 0, 0, "", "The cluster's name."},
    Key{"cluster", "secret_file", K::path, kRequired, 0, 0, "",
        "File with the secret all nodes share: 32 bytes, or 64 hexadecimal digits. Must not be "
        "accessible to other users. Relative to this file's directory."},
    Key{"cluster", "copies", K::integer, "2", 1, 8, "",
        "Nodes that keep each fragment of a session's state, beside the holder."},
    Key{"cluster", "heartbeat", K::duration, "20ms", 2 * kMs, 10 * kSecond, "",
        "Interval of heartbeats on an idle ring."},
    Key{"cluster", "misses", K::integer, "5", 2, 100, "",
        "Heartbeats missed before a node is taken for dead."},
    Key{"cluster", "solo", K::choice, "deny", 0, 0, "deny|allow",
        "May a holder that has lost every standby go on alone, unprotected?"},
    Key{"cluster", "stall", K::duration, "20ms", kMs, 10 * kSecond, "",
        "A worker that was not scheduled for this long confirms its epochs before it sends."},
    Key{"cluster", "node", K::table, "", 0, 0, "", ""},

    Key{"cluster.node", "id", K::integer, kRequired, 0, 31, "", "Its number; never reused."},
    Key{"cluster.node", "name", K::name, kRequired, 0, 0, "", "Its name."},
    Key{"cluster.node", "ring", K::address, kRequired, 0, 0, "", "Its address on the ring."},
    Key{"cluster.node", "repository", K::flag, "false", 0, 0, "",
        "Keeps every fragment, in addition to the copies."},

    Key{"ring", "transport", K::choice, "multicast", 0, 0, "multicast|unicast|dpdk",
        "Kernel UDP multicast, kernel UDP to each node, or a DPDK port of its own."},
    Key{"ring", "interface", K::text, "", 0, 0, "", "Network interface (multicast, unicast)."},
    Key{"ring", "device", K::text, "", 0, 0, "", "DPDK device (dpdk)."},
    Key{"ring", "group", K::address, "239.192.0.1", 0, 0, "", "Multicast group."},
    Key{"ring", "port", K::integer, "7946", 1, 65'535, "", "UDP port; worker w uses port + w."},
    Key{"ring", "ack", K::choice, "nak", 0, 0, "nak|positive",
        "Standbys report gaps, or acknowledge every datagram."},
    Key{"ring", "cipher", K::choice, "aes-128-gcm", 0, 0, "aes-128-gcm|chacha20-poly1305",
        "Seals every datagram."},
    Key{"ring", "slots", K::integer, "8192", 64, 1 << 20, "",
        "Datagrams kept for repair, for each worker; a power of two. Takes slots x mtu bytes."},
    Key{"ring", "mtu", K::integer, "1500", 576, 9000, "", "Bytes of an IP datagram on the ring."},
    Key{"ring", "loss", K::table, "", 0, 0, "", ""},

    Key{"ring.loss", "percent", K::number, "0", 0, 100, "", "Share of datagrams lost."},
    Key{"ring.loss", "seed", K::integer, "1", 0, 9e15, "", "The same seed loses the same ones."},

    Key{"dpdk", "huge_pages", K::flag, "false", 0, 0, "", "Use huge pages (in memory, unlinked)."},
    Key{"dpdk", "memory", K::size, "128MiB", 32 * kMiB, 1024 * kGiB, "", "Packet memory."},
    Key{"dpdk", "eal_extra", K::text_list, "", 0, 32, "", "Further EAL arguments, verbatim."},

    Key{"port", "front", K::table, "", 0, 0, "", ""},
    Key{"port", "back", K::table, "", 0, 0, "", ""},
    Key{"port.front", "device", K::text, kRequired, 0, 0, "",
        "DPDK device: net_af_packet0,iface=front, or a PCI address."},
    Key{"port.front", "vlan", K::integer, "0", 0, 4094, "", "VLAN tag; 0: untagged."},
    Key{"port.front", "address", K::address_list, "", 0, 8, "",
        "This node's own addresses on it; they never move."},
    Key{"port.front", "gateway", K::address_list, "", 0, 2, "",
        "Next hop, one for each family; none: neighbours are on the link."},
    Key{"port.back", "device", K::text, kRequired, 0, 0, "", "DPDK device; may be the front's."},
    Key{"port.back", "vlan", K::integer, "0", 0, 4094, "", "VLAN tag; 0: untagged."},
    Key{"port.back", "address", K::address_list, "", 0, 8, "",
        "This node's own addresses on it (health checks come from them); they never move."},
    Key{"port.back", "gateway", K::address_list, "", 0, 2, "",
        "Next hop, one for each family; none: neighbours are on the link."},

    Key{"worker", "count", K::integer, "1", 1, 16, "", "Workers; the same on every node."},
    Key{"worker", "cores", K::integer_list, "", 0, 1023, "",
        "A core for each worker; default: 0, 1, 2 and so on. May repeat (tests)."},
    Key{"worker", "sessions", K::integer, "65536", 64, 1 << 26, "", "Sessions of each worker."},
    Key{"worker", "embryonic", K::integer, "16384", 16, 1 << 26, "",
        "Half-open sessions of each worker; they cannot evict established ones."},
    Key{"worker", "handshake_threads", K::integer, "1", 1, 64, "",
        "Threads that run TLS handshakes, for all workers."},
    Key{"worker", "tls_sessions", K::integer, "32768", 16, 1 << 22, "",
        "TLS sessions of each worker; each takes 640 octets of locked memory."},
    Key{"worker", "resumable_sessions", K::integer, "16384", 0, 1 << 20, "",
        "TLS sessions a worker knows for clients of TLS 1.2 without tickets to resume, each 400 "
        "octets, and half of that at each of its owners."},
    Key{"worker", "idle", K::choice, "sleep", 0, 0, "sleep|spin",
        "An idle worker sleeps a little, or spins on its core."},

    Key{"metrics", "listen", K::endpoint, "127.0.0.1:9477", 0, 0, "",
        "Address of /metrics, /healthz and /readyz; \"off\": none."},

    Key{"group", "id", K::integer, kRequired, 1, 15, "", "Its number."},
    Key{"group", "order", K::name_list, kRequired, 1, 32, "",
        "Nodes that may hold it; the first alive takes it."},
    Key{"group", "virtual_mac", K::mac, "", 0, 0, "",
        "Ethernet address that moves with it; default 00:00:5e:00:01:<id> (RFC 9568)."},

    Key{"service", "name", K::name, kRequired, 0, 0, "", "Its name."},
    Key{"service", "group", K::integer, kRequired, 1, 15, "", "The [[group]] it moves with."},
    Key{"service", "vip", K::address_list, kRequired, 1, 32, "", "Its virtual addresses."},
    Key{"service", "port", K::integer, kRequired, 1, 65'535, "", "Its TCP port."},
    Key{"service", "mode", K::choice, "forward", 0, 0, "forward|proxy|tls",
        "How bytes pass: headers rewritten and TCP end to end; TCP terminated on both sides; and "
        "TLS terminated too."},
    Key{"service", "proxy_protocol", K::choice, "off", 0, 0, "off|v2",
        "What backends are told first about who the client is: nothing, or the header of the PROXY "
        "protocol. Needs mode proxy or tls. Health checks do not send it."},
    Key{"service", "durability", K::choice, "state", 0, 0, "state|payload",
        "What standbys keep of a session: how far its streams have come, or also the octets in "
        "flight, so that after a failover nobody waits for their sender to send them again; at "
        "the price of all traffic passing over the ring. Needs mode proxy or tls."},
    Key{"service", "max_lifetime", K::duration, "0s", 0, 8'760 * kHour, "",
        "How long a session may live; then both ends get a reset. 0s: for ever. Needs mode proxy "
        "or "
        "tls."},
    Key{"service", "commit", K::choice, "all", 0, 0, "none|any|all",
        "How many owners must hold what a packet reveals before it leaves."},
    Key{"service", "nudge", K::flag, "true", 0, 0, "",
        "Wake senders with data outstanding after a failover."},
    Key{"service", "pool", K::address_list, kRequired, 1, 32, "",
        "Source addresses towards the backends; they move with the VIPs."},
    Key{"service", "pool_ports", K::port_range, "1024-65535", 0, 0, "",
        "Source ports towards the backends."},
    Key{"service", "health", K::table, "", 0, 0, "", ""},
    Key{"service", "idle", K::table, "", 0, 0, "", ""},
    Key{"service", "backend", K::table, "", 0, 0, "", ""},
    Key{"service", "tls", K::table, "", 0, 0, "", ""},
    Key{"service", "certificate", K::table, "", 0, 0, "", ""},

    Key{"service.health", "interval", K::duration, "2s", 10 * kMs, kHour, "", "Between checks."},
    Key{"service.health", "timeout", K::duration, "1s", 10 * kMs, kMinute, "",
        "A check without an answer has failed."},
    Key{"service.health", "rise", K::integer, "2", 1, 100, "",
        "Successes in a row that make a backend up."},
    Key{"service.health", "fall", K::integer, "3", 1, 100, "",
        "Failures in a row that make it down."},

    Key{"service.idle", "embryonic", K::duration, "30s", kSecond, kHour, "",
        "Not yet established."},
    Key{"service.idle", "established", K::duration, "124m", kSecond, 720 * kHour, "",
        "Established."},
    Key{"service.idle", "closing", K::duration, "4m", kSecond, 24 * kHour, "",
        "One side or both have closed."},
    Key{"service.idle", "closed", K::duration, "10s", kMs * 100, kHour, "",
        "Both have closed, or a reset was seen."},

    Key{"service.tls", "minimum", K::choice, "1.2", 0, 0, "1.2|1.3", "The lowest version."},
    Key{"service.tls", "alpn", K::text_list, "", 0, 16, "",
        "Protocols for ALPN, best first; none: the extension is not answered."},
    Key{"service.tls", "suites", K::text_list, "", 0, 16, "",
        "Cipher suites by OpenSSL's names; none: all that can be carried on."},
    Key{"service.tls", "client_certificate", K::choice, "none", 0, 0, "none|optional|required",
        "Whether clients show one."},
    Key{"service.tls", "client_ca", K::path, "", 0, 0, "",
        "Whose certificates clients may show, in PEM."},
    Key{"service.tls", "session_lifetime", K::duration, "2h", kMinute, 24 * kHour, "",
        "How long clients may resume their sessions."},
    Key{"service.tls", "resume_wait", K::duration, "20ms", 0, kSecond, "",
        "How long a client waits after a failover for the session it names to be had from a "
        "standby, before all begins anew."},

    Key{"service.certificate", "chain", K::path, kRequired, 0, 0, "",
        "The certificate and its issuers, in PEM."},
    Key{"service.certificate", "key", K::path, kRequired, 0, 0, "", "Its private key, in PEM."},
    Key{"service.certificate", "names", K::text_list, "", 0, 64, "",
        "Server names it is shown for; none: its own."},

    Key{"service.backend", "name", K::name, kRequired, 0, 0, "", "Its name within the service."},
    Key{"service.backend", "address", K::address, kRequired, 0, 0, "", "Its address."},
    Key{"service.backend", "port", K::integer, kRequired, 1, 65'535, "", "Its TCP port."},
    Key{"service.backend", "weight", K::integer, "1", 0, 256, "",
        "Its share of new sessions; 0: drained."},
};

}  // namespace

std::span<const Key> schema_keys() { return kKeys; }
std::span<const Table> schema_tables() { return kTables; }

const Key* find_key(std::string_view table, std::string_view name) {
    for (const Key& key : kKeys)
        if (key.table == table && key.name == name) return &key;
    return nullptr;
}

const Table* find_table(std::string_view name) {
    for (const Table& table : kTables)
        if (table.name == name) return &table;
    return nullptr;
}

}  // namespace holdfast
