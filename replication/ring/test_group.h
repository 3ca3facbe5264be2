// A group of rings in one process for tests: virtual time, a seeded network that loses, repeats,
// delays, reorders and corrupts, nodes that can be frozen, restarted and cut off; and judges that
// look at every datagram.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "base/random.h"
#include "replication/ring/frame.h"
#include "replication/ring/ring.h"

namespace holdfast::testing {

inline Instant at_us(int64_t us) { return {us * 1000}; }
inline std::array<std::byte, 32> test_secret(uint8_t fill = 7) {
    std::array<std::byte, 32> s;
    s.fill(std::byte{fill});
    return s;
}
inline Bytes as_bytes(const std::string& s) { return std::as_bytes(std::span(s)); }
inline std::string as_string(Bytes b) {
    return {reinterpret_cast<const char*>(b.data()), b.size()};
}

struct Weather {
    double loss = 0;
    double duplicate = 0;
    double corrupt = 0;
    Duration delay = Duration::microseconds(20);
    Duration jitter{};  // up to this much more: reorders
};

class Group;

// One node: a ring and a record of all it was told.
class TestNode : public RingOutput, public RingEvents {
public:
    TestNode(Group& group, const RingOptions& options)
        : group_(group), options_(options), ring(std::make_unique<Ring>(options, *this, *this)) {}

    NodeId id() const { return options_.self; }
    const RingOptions& options() const { return options_; }

    void multicast(Bytes datagram) override;
    void unicast(NodeId to, Bytes datagram) override;

    void on_record(NodeId from, Bytes r, Instant) override { records[from].insert(as_string(r)); }
    void on_message(NodeId from, Bytes b, Instant) override {
        messages.emplace_back(from, as_string(b));
    }
    void on_heartbeat(NodeId from, Bytes body, Instant) override {
        EXPECT_EQ(as_string(body), "beat");
        EXPECT_GT(ring->incarnation(from).value, 0u);
    }
    void on_status(NodeId from, Position contiguous, Instant heard_at, Bytes body,
                   Instant now) override {
        EXPECT_EQ(as_string(body), "status");
        EXPECT_LE(heard_at, now);
        EXPECT_EQ(contiguous, ring->acknowledged(from));
        if (on_status_hook) on_status_hook(from, contiguous, now);
    }
    void on_peer_started(NodeId peer, Incarnation i, Instant) override {
        started.emplace_back(peer, i);
    }
    void on_follower(NodeId peer, Position start, Instant now) override {
        starts[peer] = start;
        ++joins[peer];
        if (on_follower_hook) on_follower_hook(peer, start, now);
    }
    void on_lagging(NodeId peer, Instant) override {
        EXPECT_EQ(ring->acknowledged(peer), Position{});
        ++lagging[peer];
    }
    size_t heartbeat_body(MutableBytes to) override { return put("beat", to); }
    size_t status_body(NodeId, MutableBytes to) override { return put("status", to); }

    // Publishes a record that names its node and number.
    Position publish(Instant now, size_t size = 64) {
        std::string r = "n" + std::to_string(id().value) + "i" +
                        std::to_string(options_.incarnation.value) + "#" +
                        std::to_string(published.size());
        r.resize(std::max(r.size(), size), '.');
        Position p = ring->publish(as_bytes(r), now);
        published.emplace_back(p, r);
        return p;
    }

    std::map<NodeId, std::set<std::string>> records;
    std::vector<std::pair<NodeId, std::string>> messages;
    std::vector<std::pair<NodeId, Incarnation>> started;
    std::map<NodeId, Position> starts;
    std::map<NodeId, int> joins, lagging;
    std::vector<std::pair<Position, std::string>> published;
    std::function<void(NodeId, Position, Instant)> on_status_hook, on_follower_hook;
    bool frozen = false;
    bool dead = false;
    std::vector<std::vector<std::byte>> backlog;  // what its socket holds while frozen

private:
    static size_t put(const char* text, MutableBytes to) {
        std::string s = text;
        std::memcpy(to.data(), s.data(), s.size());
        return s.size();
    }
    Group& group_;
    RingOptions options_;

public:
    std::unique_ptr<Ring> ring;
};

class Group {
public:
    Group(unsigned nodes, uint64_t seed, RingOptions base = {}) : random_(seed), base_(base) {
        for (unsigned i = 0; i < nodes; ++i) peers_.add({static_cast<uint8_t>(i)});
        for (unsigned i = 0; i < nodes; ++i) start(i, 100 + i, seed);
    }

    // Starts, or restarts, a node under an incarnation.
    TestNode& start(unsigned node, uint64_t incarnation, uint64_t seed = 1) {
        RingOptions o = base_;
        o.self = {static_cast<uint8_t>(node)};
        o.incarnation = {incarnation};
        o.peers = peers_.without(NodeSet::of(o.self));
        o.secret = secret;
        o.seed = seed;
        nodes_.resize(std::max<size_t>(nodes_.size(), node + 1));
        nodes_[node] = std::make_unique<TestNode>(*this, o);
        return *nodes_[node];
    }

    TestNode& operator[](unsigned i) { return *nodes_[i]; }
    size_t size() const { return nodes_.size(); }
    Instant now() const { return now_; }

    void run_for(Duration d) {
        Instant end = now_ + d;
        for (;;) {
            Instant next = flights_.empty() ? Instant::max() : flights_.top().at;
            for (auto& n : nodes_)
                if (awake(*n)) next = earlier(next, std::max(n->ring->next_deadline(), now_));
            if (next > end) break;
            step(next);
        }
        now_ = end;
    }

    void freeze(unsigned i) { nodes_[i]->frozen = true; }
    // The process runs again: first it empties its socket, as a poll loop would.
    void thaw(unsigned i) {
        TestNode& n = *nodes_[i];
        n.frozen = false;
        for (auto& d : std::exchange(n.backlog, {})) n.ring->on_datagram(d, now_);
    }
    void kill(unsigned i) { nodes_[i]->dead = true; }

    void send(NodeId from, NodeId to, Bytes datagram) {
        unsigned copies = random_.chance(weather.duplicate) ? 2 : 1;
        for (unsigned c = 0; c < copies; ++c) {
            if (random_.chance(weather.loss) || cut.has(from) || cut.has(to)) continue;
            if (drop && drop(from, to, datagram)) continue;
            Instant at = now_ + weather.delay;
            if (weather.jitter.ns > 0)
                at = at + Duration{static_cast<int64_t>(random_.below(weather.jitter.ns))};
            Flight f{at, ++sent_, to, {datagram.begin(), datagram.end()}};
            if (random_.chance(weather.corrupt)) {
                if (random_.chance(0.3)) f.bytes.resize(random_.below(f.bytes.size()));
                if (!f.bytes.empty())
                    f.bytes[random_.below(f.bytes.size())] ^= std::byte{1} << random_.below(8);
            }
            flights_.push(std::move(f));
        }
    }

    // Looks at everything that leaves: sizes, and that no nonce serves two datagrams.
    void judge(Bytes datagram) {
        ++datagrams;
        ASSERT_LE(datagram.size(), base_.mtu - base_.ip_overhead);
        auto head = parse_header(datagram);
        ASSERT_TRUE(head);
        int key_class = head->type == FrameType::data ? 0
                        : head->type == FrameType::hello || head->type == FrameType::hello_reply
                            ? 2
                            : 1;
        auto [it, fresh] = nonces_.try_emplace(
            {head->sender.value, head->incarnation.value, head->worker, key_class, head->number},
            as_string(datagram));
        ASSERT_TRUE(fresh || (key_class == 0 && it->second == as_string(datagram)))
            << "nonce used for two datagrams";
        if (recording) recorded.emplace_back(datagram.begin(), datagram.end());
    }

    // Everything that each counted follower must have from `node`.
    void expect_delivered(unsigned node) {
        TestNode& n = *nodes_[node];
        for (NodeId f : n.ring->followers()) {
            TestNode& to = *nodes_[f.value];
            EXPECT_EQ(n.ring->acknowledged(f), n.ring->last_published()) << "follower " << +f.value;
            size_t missing = 0;
            for (auto& [p, r] : n.published)
                missing += p >= n.starts[f] && !to.records[n.id()].contains(r);
            EXPECT_EQ(missing, 0u) << "from " << node << " to " << +f.value;
        }
    }

    Weather weather;
    NodeSet cut;
    std::array<std::byte, 32> secret = test_secret();
    std::function<bool(NodeId, NodeId, Bytes)> drop;
    bool recording = false;
    std::vector<std::vector<std::byte>> recorded;
    uint64_t datagrams = 0;
    size_t socket_buffer = 2000;  // datagrams

private:
    struct Flight {
        Instant at;
        uint64_t order;
        NodeId to;
        std::vector<std::byte> bytes;
        friend bool operator<(const Flight& a, const Flight& b) {
            return std::tie(a.at, a.order) > std::tie(b.at, b.order);
        }
    };

    static bool awake(const TestNode& n) { return !n.frozen && !n.dead; }

    void step(Instant next) {
        steps_at_ = next == now_ ? steps_at_ + 1 : 0;
        ASSERT_LT(steps_at_, 10'000) << "time stands still";
        now_ = next;
        while (!flights_.empty() && flights_.top().at <= now_) {
            Flight f = flights_.top();
            flights_.pop();
            TestNode& n = *nodes_[f.to.value];
            if (awake(n))
                n.ring->on_datagram(f.bytes, now_);
            else if (n.frozen && n.backlog.size() < socket_buffer)
                n.backlog.push_back(f.bytes);
        }
        for (auto& n : nodes_)
            if (awake(*n) && n->ring->next_deadline() <= now_) n->ring->on_deadline(now_);
    }

    Random random_;
    RingOptions base_;
    NodeSet peers_;
    Instant now_ = at_us(1'000'000);
    uint64_t sent_ = 0;
    int steps_at_ = 0;
    std::vector<std::unique_ptr<TestNode>> nodes_;
    std::priority_queue<Flight> flights_;
    std::map<std::tuple<uint8_t, uint64_t, uint8_t, int, uint64_t>, std::string> nonces_;
};

inline void TestNode::multicast(Bytes datagram) {
    group_.judge(datagram);
    for (NodeId n : options_.peers | NodeSet::of(id())) group_.send(id(), n, datagram);
}
inline void TestNode::unicast(NodeId to, Bytes datagram) {
    group_.judge(datagram);
    group_.send(id(), to, datagram);
}

}  // namespace holdfast::testing
