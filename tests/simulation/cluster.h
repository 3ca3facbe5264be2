// A whole cluster in one process: production workers, a front and a back switch, a ring network
// with its own faults, clients and backends. Everything follows from one seed and virtual time.
//
// Judges watch every frame that leaves a node:
//   holder   a frame under a group's virtual MAC leaves only the node that acquired the group last
//   (I4, I6) commit   a SYN-ACK leaves only when as many standbys hold header and alias as the
//   service asks, and a backend hears of its acceptance when they hold what was agreed with it (I2)
//   bytes    what each end reads is exactly what the other wrote (I1)
#pragma once

#include <map>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "dataplane/worker.h"
#include "tests/simulation/tcp_hosts.h"
#include "tests/simulation/toy_tcp.h"

namespace holdfast::simulation {

struct ClusterOptions {
    unsigned nodes = 4;
    unsigned copies = 2;
    Commit commit = Commit::all;
    bool solo = false;
    uint64_t seed = 1;
    double ring_loss = 0;
    Mode mode = Mode::forward;
    double wire_loss = 0;  // between hosts and nodes
    Durability durability = Durability::state;
    size_t resumable = 4'096;  // TLS sessions of a worker
    uint32_t embryonic = 1'024;
    uint32_t ring_slots = 1'024;
};

class Cluster {
public:
    static constexpr GroupId kGroup{1};
    static constexpr Duration kStep = Duration::microseconds(250);

    explicit Cluster(const ClusterOptions& options);
    ~Cluster();

    // Time.
    void run(Duration d);
    template <typename Done>
    bool run_until(Done&& done, Duration limit = Duration::seconds(5)) {
        for (const Instant end = now_ + limit; now_ < end && !done();) step();
        return done();
    }

    // Faults.
    void kill(uint8_t node);
    void start(uint8_t node);
    void pause(uint8_t node, bool on = true);
    // One of kill, pause and cut_ring, by its own seed; and whatever it was is over.
    void hurt(uint8_t node);
    void mend(uint8_t node);
    void cut_ring(uint8_t node, bool on = true) {
        on ? void(ring_cut_.insert(node)) : void(ring_cut_.erase(node));
    }
    // Frames of the ring from one node to another are lost.
    void cut_between(uint8_t from, uint8_t to, bool on = true) {
        on ? void(cut_pairs_.insert({from, to})) : void(cut_pairs_.erase({from, to}));
    }
    // Hosts of one side neither hear nor are heard.
    void cut_hosts(Side side, bool on = true) {
        on ? void(hosts_cut_.insert(side)) : void(hosts_cut_.erase(side));
    }
    void set_ring_loss(double loss) { ring_loss_ = loss; }

    // Clients: each writes `messages` lines, waiting for the echo of one before the next.
    size_t connect(unsigned messages);
    // One of them gives up, and begins anew from the same port.
    void reconnect(size_t client);
    // Or whole TCP endpoints, which say and close as planned.
    size_t transfer(const Plan& plan);
    TcpHosts& hosts() { return hosts_; }
    // The client says again what it said last: a packet at a moment of the test's choosing.
    void poke(size_t client) { send(Side::front, clients_[client].tcp.repeat()); }
    bool established(size_t client) const;
    bool finished(size_t client) const;
    bool was_reset(size_t client) const;
    size_t clients() const { return clients_.size(); }
    unsigned count_finished() const;
    unsigned count_reset() const;

    Worker& worker(uint8_t node) { return *nodes_[node]->worker; }
    bool up(uint8_t node) const { return nodes_[node]->worker != nullptr && !nodes_[node]->paused; }
    bool alive(uint8_t node) const { return nodes_[node]->worker != nullptr; }
    std::optional<uint8_t> holder() const;
    std::vector<const Worker*> workers() const;  // by node; none: dead
    SessionIndex session_of(size_t client, uint8_t node);
    SessionIndex session_of_transfer(size_t transfer, uint8_t node) {
        return worker(node).forwarder().sessions().find_client(hosts_.client(transfer).self,
                                                               hosts_.client(transfer).other);
    }
    Instant now() const { return now_; }
    Random& random() { return random_; }
    const std::vector<std::string>& complaints() const { return complaints_; }
    void mute_commit_judge() { judge_commit_ = false; }
    // Datagrams that a node sent on the ring, as an attacker on it would have recorded them.
    std::vector<std::vector<std::byte>> recorded_ring(uint8_t node) const {
        return nodes_[node]->recorded;
    }
    // SYNs from as many ports of one client, whatever the switch has learned.
    void flood(uint8_t node, uint16_t count);
    void inject_ring(uint8_t to, Bytes datagram) { worker(to).on_ring_datagram(datagram, now_); }

private:
    struct Node : Outlet, RingOutput, EpochMemory {
        Cluster* cluster = nullptr;
        uint8_t id = 0;
        bool paused = false;
        std::unique_ptr<Worker> worker;
        std::array<Promise, kMaxGroups> remembered{};
        std::vector<std::vector<std::byte>> recorded;
        void transmit(Side side, Bytes frame) override { cluster->leave(*this, side, frame); }
        void multicast(Bytes datagram) override;
        void unicast(NodeId to, Bytes datagram) override {
            cluster->post_ring(id, to.value, datagram);
        }
        void remember(GroupId group, const Promise& promise) override {
            remembered[group.value] = promise;
        }
    };
    struct Event {
        Instant at;
        uint64_t order;
        enum Kind { ring, frame, host } kind;
        uint8_t to;  // node
        Side side;
        std::vector<std::byte> bytes;
        friend bool operator>(const Event& a, const Event& b) {
            return std::pair(a.at, a.order) > std::pair(b.at, b.order);
        }
    };
    struct Client {
        ToyTcp tcp;
        unsigned messages, written = 0;
        std::string expected;
    };
    struct Backend {
        ToyTcp tcp;
        size_t echoed = 0;
    };

    WorkerOptions worker_options(uint8_t node) const;
    void step();
    void deliver(const Event& event);
    void post_ring(uint8_t from, uint8_t to, Bytes datagram);
    void leave(Node& from, Side side, Bytes frame);
    void judge_holder(const Node& from);
    void judge_commit(const Node& from, const Parsed& p);
    void judge_agreed(const Node& from, const Parsed& p);
    bool held(const Node& from, SessionIndex index, std::string_view what, bool agreed);
    void to_node(Side side, const std::vector<std::byte>& frame);
    void to_host(Side side, Bytes frame);
    void host_arp(Side side, Bytes frame);
    void host_tcp(Side side, const Parsed& p);
    void send(Side side, const Seg& segment);
    void send_bytes(Side side, const std::vector<std::byte>& frame);
    void drive_hosts();
    void complain(std::string what);

    ClusterOptions options_;
    Random random_;
    Instant now_{1'000'000'000};
    uint64_t order_ = 0, lives_ = 0;
    double ring_loss_;
    std::vector<std::unique_ptr<Node>> nodes_;
    std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
    std::set<uint8_t> ring_cut_;
    std::set<Side> hosts_cut_;
    std::set<std::pair<uint8_t, uint8_t>> cut_pairs_;
    std::map<Side, int> learned_;  // which node's port the virtual MAC was last seen on
    std::vector<Client> clients_;
    std::map<std::pair<Endpoint, Endpoint>, Backend> backends_;  // by (backend, peer)
    TcpHosts hosts_;
    std::vector<Service> services_;
    std::set<std::pair<Endpoint, Endpoint>> agreed_;  // (backend, pool) that was accepted once
    std::vector<std::string> complaints_;
    bool judge_commit_ = true;
};

}  // namespace holdfast::simulation
