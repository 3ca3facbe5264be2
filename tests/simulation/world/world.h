// A cluster, its clients and backends, the network between them and everything that goes wrong with
// any of them, from one 64-bit seed. The nodes are production workers; nothing else is the
// product's but the headers the judges read. Same seed, same run: digest() is the same.
//
// Each node has a clock of its own, which begins anywhere and drifts; a restarted node has another.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <queue>
#include <set>

#include "base/random.h"
#include "tests/simulation/world/conversation.h"
#include "tests/simulation/world/judge.h"
#include "tests/simulation/world/membership_trace.h"
#include "tests/simulation/world/recorder.h"
#include "tests/simulation/world/schedule.h"

namespace holdfast::simulation {

struct WorldOptions {
    uint64_t seed = 1;
    unsigned nodes = 4, sessions = 50, failovers = 2;
    // What the seed would draw, if given.
    std::optional<Mode> mode = {};
    std::optional<Temper> temper = {};
    std::optional<unsigned> copies = {};
    std::set<size_t> without = {};  // faults taken away, by their number
    Recorder* recorder = nullptr;
    MembershipTrace* trace = nullptr;
};

class World {
public:
    static constexpr GroupId kGroup{1};

    explicit World(const WorldOptions& options);
    ~World();

    enum class Verdict : uint8_t { fine, unsafe, stuck };
    Verdict run();

    std::string describe() const;  // what the seed drew, in a line
    const std::vector<Fault>& faults() const { return faults_; }
    std::vector<std::string> complaints() const;
    uint64_t digest() const { return digest_; }
    uint64_t steps() const { return steps_; }
    Duration lived() const { return now_ - kBegin; }

private:
    static constexpr Instant kBegin{1'000'000'000};
    static constexpr MacAddress kVirtualMac{{0, 0, 0x5e, 0, 1, 1}};
    static constexpr uint16_t kFirstPort = 20'000;  // of clients, by their number

    struct Event {
        Instant at;
        uint64_t order;
        enum Kind { ring, to_node, to_host } kind;
        uint8_t node;
        Side side;
        Octets octets;
        friend bool operator>(const Event& a, const Event& b) {
            return std::pair(a.at, a.order) > std::pair(b.at, b.order);
        }
    };
    struct Node final : Outlet, RingOutput, EpochMemory {
        World* world = nullptr;
        NodeSeen seen;
        std::unique_ptr<InlineHandshakes> handshakes;
        std::unique_ptr<Worker> worker;
        std::array<Promise, kMaxGroups> remembered{};
        int64_t clock_offset = 0, drift_ppm = 0;
        Instant polled{};     // its own clock
        Instant next_poll{};  // the world's
        bool deaf = false, mute = false;
        std::vector<Event> backlog;  // what its kernel keeps while it is paused
        Instant clock(Instant now) const {
            const int64_t lived = now.ns - kBegin.ns;
            return {now.ns + clock_offset + lived / 1'000'000 * drift_ppm};
        }
        void transmit(Side side, Bytes frame) override { world->leave(*this, side, frame); }
        void multicast(Bytes datagram) override;
        void unicast(NodeId to, Bytes datagram) override;
        void remember(GroupId group, const Promise& promise) override {
            remembered[group.value] = promise;
        }
    };

    void draw();
    WorkerOptions worker_options(const Node& n) const;
    void add_judges();
    // Nodes.
    void start(Node& n);
    void wake(Node& n);
    void poll(Node& n);
    void pause(Node& n, bool on);
    // Time.
    void step();
    Instant next_time();
    Instant hosts_deadline();
    template <typename Done>
    bool run_until(Done&& done, Duration limit) {
        for (const Instant end = now_ + limit; now_ < end && !unsafe() && !done();) step();
        return done();
    }
    // Network.
    double weather(Fault::Kind kind) const;
    void travel(Event event, Fault::Kind weather, uint64_t spread_us);
    void look_at_ring(const Node& from, Bytes datagram);
    void post_ring(const Node& from, uint8_t to, Bytes datagram);
    void leave(Node& from, Side side, Bytes frame);
    void to_nodes(Side side, const Octets& frame, int only);
    void deliver(const Event& event);
    // Hosts.
    void on_host_frame(Side side, Bytes frame);
    void answer_neighbors(Bytes frame);
    void on_client_segment(const Segment& s);
    void on_server_segment(const Segment& s);
    void open(const Talk& talk);
    void drive_hosts();
    SimpleTcp::Send sender(Side side);
    // Faults.
    void orderly();
    void rough();
    // The node it is about; none: it had no object.
    std::optional<uint8_t> begin(size_t number);
    void end(size_t number, uint8_t node);
    void unplug(const Fault& f, bool on);
    void mend_all();
    void set_attributes(size_t round);
    bool attributes_kept();
    void check_attributes();
    Node* holder();
    bool settled();
    bool covered();
    // Judging.
    bool unsafe() const;
    void complain(const std::string& what);     // a promise is broken
    void stand_still(const std::string& what);  // something does not go on
    // What somebody read that it should not have: each speaker that has ever been.
    std::vector<std::string> stream_complaints() const;
    void touched(const Speaker& s);  // after each call that may change it
    bool ended(size_t talk) const;
    std::string describe(size_t talk) const;
    bool all_ended() const;
    void see_nodes();
    void trace();
    void note(std::string_view kind, Bytes octets);

    WorldOptions options_;
    Random random_, network_random_, host_random_;
    Instant now_ = kBegin, next_look_ = kBegin;
    uint64_t order_ = 0, lives_ = 0, steps_ = 0, digest_ = 0;
    Mode mode_{};
    Temper temper_{};
    unsigned copies_ = 2;
    Commit commit_ = Commit::all;
    Durability durability_ = Durability::state;
    std::vector<Fault> faults_;
    std::array<std::array<bool, 2>, 3> unplugged_{};  // hosts, by side and family
    bool keeps_attributes_ = false;
    std::map<Endpoint, std::string> attributes_;  // of clients' sessions: what was set last
    std::vector<Talk> talks_;
    std::vector<std::unique_ptr<Node>> nodes_;
    std::vector<NodeSeen> seen_;
    std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
    std::array<int, 3> learned_{-1, -1, -1};  // where a switch saw the virtual MAC last, by side
    size_t opened_ = 0;
    bool hosts_touched_ = true, streams_broken_ = false;
    Instant hosts_deadline_ = Instant::max();  // while no host was touched
    std::vector<std::unique_ptr<Speaker>> clients_;
    std::vector<Speaker*> servers_of_;
    std::vector<std::unique_ptr<Speaker>> former_servers_;
    std::map<std::pair<Endpoint, Endpoint>, std::unique_ptr<Speaker>> servers_;
    std::vector<std::unique_ptr<Judge>> judges_;
    class SecretsJudge* secrets_ = nullptr;
    std::shared_ptr<TlsContext> tls_;
    std::vector<Service> services_;
    std::vector<std::string> complaints_, standstills_;
};

}  // namespace holdfast::simulation
