// What an operator configures about a service, as the data plane sees it.
//
// Plain values, made by the control plane and read-only afterwards. Nothing here is checked: the
// control plane refuses what does not make sense, with file and line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/cluster.h"
#include "base/time.h"
#include "dataplane/wire/address.h"
#include "replication/release_gate.h"

namespace holdfast {

struct Backend {
    std::string name;
    Endpoint endpoint;
    uint32_t weight = 1;  // relative share of new sessions, 1 to 256; 0 takes none (drained)
};

// Backend-side source addresses. They belong to the group, not to a node: the backend sees the same
// peer after a failover.
struct Pool {
    IpAddress address;
    uint16_t first_port = 1024;
    uint16_t last_port = 65535;
};

struct HealthCheck {
    bool enabled = true;
    Duration interval = Duration::seconds(2);
    Duration timeout = Duration::seconds(1);
    uint8_t rise = 2;  // successes in a row that make a backend up
    uint8_t fall = 3;  // failures in a row that make it down
};

// RFC 5382 section 5 is the floor for the defaults (REQ-5: 2 h 4 min established, 4 min
// transitory).
struct IdleTimeouts {
    Duration embryonic = Duration::seconds(30);
    Duration established = Duration::seconds(7'440);
    Duration closing = Duration::seconds(240);
    Duration closed = Duration::seconds(10);
};

// How a service's bytes pass.
enum class Mode : uint8_t {
    forward,  // headers are rewritten; TCP stays end to end (dataplane/forward)
    proxy,    // both TCP ends terminate here, bytes are passed on (dataplane/relay)
    tls,      // as proxy, and TLS terminates here too
};

// What a backend is told first about who the client is.
enum class ProxyProtocol : uint8_t { off, v2 };

// What standbys are told of: how far streams have come, or also the octets in flight.
enum class Durability : uint8_t { state, payload };

struct Service {
    std::string name;
    Mode mode = Mode::forward;
    GroupId group;
    std::vector<IpAddress> vips;  // IPv4 and IPv6; a session keeps to its family
    uint16_t port = 0;
    std::vector<Backend> backends;  // both families; a session takes a backend of its own family
    std::vector<Pool> pools;        // likewise
    Commit commit = Commit::all;
    ProxyProtocol proxy_protocol = ProxyProtocol::off;  // where terminates_tcp()
    Durability durability = Durability::state;          // likewise
    bool nudge = true;  // wake senders after a failover (docs/architecture.md)
    HealthCheck health;
    IdleTimeouts idle;
    Duration max_lifetime{};  // of a session, where terminates_tcp(); 0: none

    // Its sessions are relayed: TCP terminates here.
    bool terminates_tcp() const { return mode != Mode::forward; }
};

// The VIPs and pools that move between nodes together, and the order in which nodes take them.
struct Group {
    GroupId id;
    std::vector<NodeId> order;  // first alive takes it
    MacAddress virtual_mac;     // RFC 9568 section 7.3 form by default: 00:00:5e:00:01:<id>
};

}  // namespace holdfast
