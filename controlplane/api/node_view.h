// What the control plane may see of a running node, and ask of it.
//
// The snapshot structs are plain copies: each worker fills its own Shard (shard w = worker w of
// every node; shards share nothing, so each has its own roles, epochs, views and peers), nobody
// else writes it, and readers keep what they got. The API, the metrics and the command line are
// all made from these and nothing else.
//
// NodeView is called from any control thread, several at once. Every call answers within about
// half a second: a worker that does not answer is a Refusal, never a wait. Nothing here is on a
// packet's path.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/cluster.h"
#include "base/counters.h"
#include "base/time.h"
#include "dataplane/wire/address.h"

namespace holdfast {

namespace snapshot {

enum class Role : uint8_t { standby, adopting, holder };
// silent: missed its heartbeats. lagging: heard, but fell too far behind to count.
enum class PeerState : uint8_t { never_heard, joining, following, lagging, silent };
enum class SessionState : uint8_t { embryonic, established, closing, closed };

struct Group {
    GroupId id;
    Role role = Role::standby;
    std::optional<NodeId> holder;  // who holds it as far as we know
    Epoch epoch;
    uint64_t sessions = 0;
};

struct Peer {
    NodeId id;
    PeerState state = PeerState::never_heard;
    Incarnation incarnation;
    std::optional<Duration> since_heard;
    Position acknowledged;  // what it has of our ring without a gap; 0: does not follow
    uint64_t lag = 0;       // datagrams of our ring it has not acknowledged
    Position received;      // what we have of its ring without a gap
    bool in_view = false;
};

struct View {
    uint64_t number = 0;
    NodeSet members;  // with ourselves
};

struct Sessions {
    uint64_t embryonic = 0;
    uint64_t established = 0;
    uint64_t closing = 0;      // one side or both have sent FIN, or RST was seen
    uint64_t unprotected = 0;  // live, but not yet held by enough owners
    uint64_t capacity = 0;
    uint64_t live() const { return embryonic + established + closing; }
};

struct Gate {
    uint64_t held = 0;      // packets waiting now
    uint64_t released = 0;  // since start
    Duration longest_wait;  // since start
    uint64_t parked = 0;    // packets waiting for fragments that are being pulled, now
};

struct Store {
    uint64_t fragments = 0;  // held for other nodes
    uint64_t bytes = 0;      // memory they take
    uint64_t capacity_bytes = 0;
};

// One takeover by this node, the newest last in Shard::adoptions (bounded, 32 by the worker).
// Times are spans since the detection; absent: has not happened yet.
struct Adoption {
    GroupId group;
    std::optional<NodeId> from;
    bool handover = false;         // on purpose
    Epoch epoch;                   // the epoch won
    int64_t detected_unix_ns = 0;  // wall clock, for people only
    Duration silence;              // from the holder's last heartbeat to the detection
    std::optional<Duration> epoch_won;
    std::optional<Duration> first_packet;  // the first packet passed on
    std::optional<Duration> sweep_done;
    uint64_t sessions = 0;                            // carried on
    uint64_t lost = 0;                                // could not be carried on
    std::vector<std::pair<NodeId, uint64_t>> pulled;  // fragments, by the peer they came from
    uint64_t own = 0;                                 // fragments we had ourselves
};

struct Backend {
    std::string service;
    std::string name;
    Endpoint endpoint;
    uint32_t weight = 0;             // in force; 0: drained
    uint32_t configured_weight = 0;  // what the configuration says
    bool up = true;
    uint64_t sessions = 0;
    uint64_t failed_checks = 0;
};

// Cumulative since start; names are DPDK's own xstats words.
struct Port {
    std::string name;  // front, back, ring
    uint64_t rx_packets = 0, rx_bytes = 0, tx_packets = 0, tx_bytes = 0;
    uint64_t rx_missed = 0, rx_errors = 0, rx_nombuf = 0, tx_errors = 0;
    uint64_t tx_full = 0;  // not sent because the transmit queue was full
};

struct Drop {
    const char* reason;  // to_string of the DropReason
    uint64_t count = 0;
};

// One value of a module's counter table (base/counters.h).
struct Counter {
    const char* module;  // "ring", "worker", "store"
    const char* name;
    const char* help;
    uint64_t value = 0;
};

struct Poll {
    uint64_t polls = 0;
    uint64_t busy_polls = 0;  // that received or sent something
    Duration longest_cycle;
    uint64_t stalls = 0;  // gaps longer than cluster.stall
};

struct Shard {
    uint32_t worker = 0;
    bool solo = false;      // holds something without any standby
    double coverage = 1.0;  // share of live sessions that would survive their holder's death now
    View view;
    Position last_published;
    std::vector<Group> groups;
    std::vector<Peer> peers;  // all other configured nodes
    Sessions sessions;
    Gate gate;
    Store store;
    Poll poll;
    std::vector<Adoption> adoptions;
    std::vector<Backend> backends;
    std::vector<Port> ports;
    std::vector<Drop> drops;
    std::vector<Counter> counters;
};

struct Node {
    std::string name;
    std::string cluster;
    NodeId id;
    Incarnation incarnation;
    Duration uptime;
    std::vector<std::string> node_names =
        std::vector<std::string>(kMaxNodes);  // by id; empty: none
    std::vector<Shard> shards;
};

// Copies a module's counters into the snapshot by its table.
template <typename T, typename Table>
void add_counters(std::vector<Counter>& to, const char* module, const T& counters,
                  const Table& table) {
    for (const CounterInfo<T>& info : table)
        to.push_back({module, info.name, info.help, counters.*info.member});
}

}  // namespace snapshot

// A session as people name it: "198.51.100.101:40000>198.51.100.10:80".
struct SessionName {
    Endpoint client;
    Endpoint vip;
    friend constexpr auto operator<=>(const SessionName&, const SessionName&) = default;
};
std::string to_string(const SessionName& name);
std::optional<SessionName> parse_session_name(std::string_view text);

struct SessionQuery {
    uint32_t limit = 100;  // at most 10'000
    std::optional<IpAddress> vip;
    std::optional<snapshot::SessionState> state;
    std::optional<IpAddress> client;
};

struct SessionRow {
    SessionName name;
    std::string service;
    std::string backend;
    Endpoint pool;  // our address towards the backend
    Endpoint backend_endpoint;
    snapshot::SessionState state = snapshot::SessionState::embryonic;
    Duration age;
    Duration idle;
    uint32_t worker = 0;
    GroupId group;
    bool is_protected = false;  // enough owners hold it
};

struct SessionPage {
    std::vector<SessionRow> rows;
    uint64_t matching = 0;  // may exceed rows.size()
};

using Attributes = std::vector<std::pair<std::string, std::string>>;  // name, value; by name

struct Refusal {
    enum class Kind : uint8_t { not_found, refused, invalid, unavailable } kind = Kind::refused;
    std::string message;  // a sentence for people
};
template <typename T>
using Answer = std::expected<T, Refusal>;

class NodeView {
public:
    virtual ~NodeView() = default;
    virtual Answer<snapshot::Node> status() = 0;
    virtual Answer<SessionPage> sessions(const SessionQuery& query) = 0;
    // Of a session this node holds. Names and values are checked by the caller
    // (controlplane/api/limits.h).
    virtual Answer<Attributes> attributes(const SessionName& session) = 0;
    virtual Answer<void> set_attribute(const SessionName& session, const std::string& name,
                                       const std::string& value) = 0;
    // Gives away every group held (or one) to its next standby; returns when the standby has it,
    // refused when there is none or it did not take it within `wait`. How many groups moved.
    virtual Answer<uint32_t> handover(std::optional<GroupId> group, Duration wait) = 0;
    // No weight: as configured.
    virtual Answer<void> set_backend_weight(const std::string& service, const std::string& backend,
                                            std::optional<uint32_t> weight) = 0;
};

}  // namespace holdfast
