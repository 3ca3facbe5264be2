// A ring with all its ends in one process and on one core, the network being memory: what a message
// costs an end, in processor time of the thread, so that other processes do not count.
//
// Virtual time: a burst of 256 messages of 256 bytes takes 256 us. One program has one clock_now().
#pragma once

#include <time.h>

#include <memory>
#include <vector>

#include "tests/bench/ring_peer_ring.h"

namespace holdfast::bench {

// Processor time of this thread: what else the machine does meanwhile is not counted.
inline Instant work_now() {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return {t.tv_sec * 1'000'000'000 + t.tv_nsec};
}

// Adds the work until it ends.
class Timed {
public:
    explicit Timed(int64_t& total) : total_(total) {}
    ~Timed() { total_ += (work_now() - began_).ns; }
    Timed(const Timed&) = delete;
    Timed& operator=(const Timed&) = delete;

private:
    int64_t& total_;
    Instant began_ = work_now();
};

// One end; what it sends waits until the world hands it on.
class Wire final : public RingOutput {
public:
    void multicast(Bytes d) override { sent.push_back({all, {d.begin(), d.end()}}); }
    void unicast(NodeId to, Bytes d) override { sent.push_back({to.value, {d.begin(), d.end()}}); }
    static constexpr unsigned all = 255;
    struct Sent {
        unsigned to;
        std::vector<std::byte> bytes;
    };
    std::vector<Sent> sent;
};

struct RingNode {
    RingNode(const PeerOptions& o, unsigned node)
        : end(o, node, wire, [this](Bytes m) { octets += m.size(); }) {}
    uint64_t octets = 0;
    int64_t busy_ns = 0;
    Wire wire;
    RingEnd end;
};

class MemoryRing {
public:
    static constexpr unsigned kBurst = 256, kSize = 256;

    explicit MemoryRing(unsigned standbys) {
        PeerOptions o;
        o.nodes = standbys + 1;
        for (unsigned n = 0; n <= standbys; ++n) nodes_.push_back(std::make_unique<RingNode>(o, n));
    }
    // One burst of messages from node 0, and all that follows from it.
    void burst() {
        now_ = now_ + Duration::microseconds(kBurst);
        {
            Timed timed(nodes_[0]->busy_ns);
            for (unsigned i = 0; i < kBurst; ++i) ring(0).publish(message_, now_);
            ring(0).flush(false, now_);
        }
        settle();
    }
    // Nothing is published until every standby follows.
    void join() {
        while (ring(0).followers().size() + 1 < nodes_.size()) {
            now_ = now_ + Duration::milliseconds(1);
            settle();
        }
        forget();
    }
    void forget() {
        answers_ = 0;
        for (auto& n : nodes_) n->busy_ns = 0, n->octets = 0;
    }
    size_t receivers() const { return nodes_.size() - 1; }
    int64_t sender_ns() const { return nodes_[0]->busy_ns; }
    // Of all receivers together.
    int64_t receivers_ns() const {
        int64_t sum = 0;
        for (size_t n = 1; n < nodes_.size(); ++n) sum += nodes_[n]->busy_ns;
        return sum;
    }
    // Datagrams that receivers sent.
    uint64_t answers() const { return answers_; }
    bool all_have(uint64_t messages) const {
        for (size_t n = 1; n < nodes_.size(); ++n)
            if (nodes_[n]->octets != messages * kSize) return false;
        return true;
    }

private:
    Ring& ring(size_t n) { return nodes_[n]->end.ring; }
    // Until nobody has anything to say at this moment.
    void settle() {
        for (bool more = true; more;) {
            more = false;
            for (size_t n = 0; n < nodes_.size(); ++n) {
                Timed timed(nodes_[n]->busy_ns);
                if (ring(n).next_deadline() <= now_) ring(n).on_deadline(now_);
            }
            for (size_t n = 0; n < nodes_.size(); ++n) more |= hand_on(n);
        }
    }
    bool hand_on(size_t from) {
        auto sent = std::move(nodes_[from]->wire.sent);
        nodes_[from]->wire.sent.clear();
        if (from != 0) answers_ += sent.size();
        for (size_t to = 0; to < nodes_.size(); ++to) {
            if (to == from || sent.empty()) continue;
            Timed timed(nodes_[to]->busy_ns);
            for (const Wire::Sent& s : sent)
                if (s.to == Wire::all || s.to == to) ring(to).on_datagram(s.bytes, now_);
        }
        return !sent.empty();
    }

    std::vector<std::unique_ptr<RingNode>> nodes_;
    std::vector<std::byte> message_ = std::vector<std::byte>(kSize, std::byte{0x5a});
    Instant now_{Duration::seconds(1000).ns};
    uint64_t answers_ = 0;
};

}  // namespace holdfast::bench
