// What grows with a cluster, in one process and on one core, the network being memory:
// tests/bench/growth_bench.py runs it.
//
//   growth_bench ring STANDBYS MESSAGES
//       one ring's sender and so many receivers (AES-128-GCM, 256-byte messages, a million a second
//       of virtual time): what a message costs either end
//   growth_bench takeover SESSIONS
//       four production workers, the holder with so many established sessions, R = 2; it dies, and
//       another adopts them: the work of all, which take turns, from the call that acquires the
//       group to the end of the one that has gathered all; what the adopter did of it, and its
//       longest call, are told too. Work is processor time: other processes do not count
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <deque>
#include <string_view>

#include "tests/bench/connect_node.h"
#include "tests/bench/memory_ring.h"

namespace holdfast::bench {

Instant clock_now() {
    return {std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1)};
}

namespace {

using testing::Buffer;

int run_ring(unsigned standbys, unsigned messages) {
    MemoryRing world(standbys);
    world.join();
    const unsigned bursts = std::max(1u, messages / MemoryRing::kBurst);
    for (unsigned i = 0; i < bursts / 4 + 1; ++i) world.burst();  // warm
    world.forget();
    for (unsigned i = 0; i < bursts; ++i) world.burst();
    const auto sent = static_cast<double>(bursts) * MemoryRing::kBurst;
    if (!world.all_have(uint64_t{bursts} * MemoryRing::kBurst)) {
        fmt::print(stderr, "growth_bench: a receiver does not have all messages\n");
        return 1;
    }
    fmt::print("{{\"sender_ns\": {:.1f}, \"receiver_ns\": {:.1f}, \"answers\": {:.4f}}}\n",
               double(world.sender_ns()) / sent,
               double(world.receivers_ns()) / double(world.receivers()) / sent,
               double(world.answers()) / sent);
    return 0;
}

// ---- Takeover

class Member final : public Outlet, public RingOutput {
public:
    Member(uint8_t id, uint32_t sessions, std::vector<std::unique_ptr<Member>>& all, Instant now)
        : id_(id), all_(all), worker(options(id, sessions), *this, *this, now) {}

    void transmit(Side, Bytes) override {}
    void multicast(Bytes d) override {
        for (auto& m : all_)
            if (m && m.get() != this) m->inbox_.emplace_back(d.begin(), d.end());
    }
    void unicast(NodeId to, Bytes d) override {
        if (to.value < all_.size() && all_[to.value])
            all_[to.value]->inbox_.emplace_back(d.begin(), d.end());
    }
    // What came since last time, and what is due; true when there was anything.
    bool turn(Instant now) {
        bool worked = !inbox_.empty();
        for (size_t n = inbox_.size(); n > 0; --n) {
            const Buffer d = std::move(inbox_.front());
            inbox_.pop_front();
            call([&] { worker.on_ring_datagram(d, now); });
        }
        call([&] { worker.on_burst_end(now); });
        if (worker.next_deadline() <= now) {
            call([&] { worker.on_deadline(now); });
            worked = true;
        }
        return worked;
    }
    int64_t busy_ns = 0, longest_ns = 0;

private:
    template <typename F>
    void call(F&& f) {
        int64_t took = 0;
        {
            Timed timed(took);
            f();
        }
        busy_ns += took;
        longest_ns = std::max(longest_ns, took);
    }
    // Timers are long: a call may take as long as it does, and nobody is to fail for it.
    static WorkerOptions options(uint8_t id, uint32_t sessions) {
        WorkerOptions o = connect_options(id, kNodes, Commit::all);
        o.forward.services[0].pools = options_for(sessions).forward.services[0].pools;
        o.forward.sessions.capacity = std::max(sessions, 1024u);
        o.forward.sessions.embryonic_limit = 512;
        o.forward.back.own_v4 = IpAddress::v4(0xcb007133u + id);
        o.replicator.membership.misses = 250;
        o.replicator.ring.evict_after = Duration::seconds(5);
        const uint32_t fragments = std::max(sessions * 3, 1u << 16);
        o.replicator.store = {fragments, uint64_t{fragments} * 96, 1};
        return o;
    }

    const uint8_t id_;
    std::vector<std::unique_ptr<Member>>& all_;
    std::deque<Buffer> inbox_;

public:
    static constexpr unsigned kNodes = 4;
    Worker worker;
};

class Takeover {
public:
    explicit Takeover(uint32_t sessions) : sessions_(sessions) {
        members_.resize(Member::kNodes);
        for (uint8_t i = 0; i + 1u < Member::kNodes; ++i) join(i);
        drive("a node holds the group", [&] { return covered(Member::kNodes - 2); });
        load();
        join(Member::kNodes - 1);  // when one follows anew, all standbys are told everything
        drive("all sessions are kept", [&] { return covered(Member::kNodes - 1); });
        drive_for(Duration::milliseconds(200));
    }

    void run() {
        members_[0].reset();
        const Member* adopter = nullptr;
        Instant base = now_, acquired{};
        while (adopter == nullptr || !adopter->worker.adoptions().back().gathered) {
            // Nobody waits for the detection; from the acquisition on time is work.
            now_ = adopter == nullptr ? now_ + Duration::milliseconds(1)
                                      : base + (work_now() - acquired);
            for (auto& m : members_) {
                if (!m) continue;
                const Instant before = work_now();
                if (adopter == nullptr) m->busy_ns = m->longest_ns = 0;
                m->turn(now_);
                if (adopter != nullptr || m->worker.adoptions().empty()) continue;
                adopter = m.get();
                acquired = before;
                base = now_;
            }
            give_up_after(Duration::seconds(300), now_ - base, "all is gathered");
        }
        report(*adopter, work_now() - acquired);
    }

private:
    void join(uint8_t id) {
        members_[id] = std::make_unique<Member>(id, sessions_, members_, now_);
    }
    bool covered(size_t standbys) const {
        const Replicator& r = members_[0]->worker.replicator();
        return r.membership().role(kGroup) == Role::holder && r.coverage_complete() &&
               r.membership().view().members.size() == standbys;
    }
    void load() {
        auto& forwarder = const_cast<Forwarder&>(members_[0]->worker.forwarder());
        forwarder.learn_neighbor(Side::back, kBackend.address, mac(3), now_);
        for (uint32_t i = 0; i < sessions_; ++i) {
            Session s;
            s.client = client(i);
            s.vip = kVip;
            s.pool = pool(i);
            s.backend = kBackend;
            s.backend_index = 0;
            s.group = kGroup;
            s.client_mac = mac(4);
            s.state = SessionState::established;
            s.set(Session::kCommitted);
            s.epoch = members_[0]->worker.replicator().membership().epoch(kGroup);
            s.segment_version = 1;  // as one that has carried data
            CHECK(forwarder.restore(s, now_).has_value());
        }
    }
    void step() {
        now_ = now_ + Duration::microseconds(250);
        for (int i = 0; i < 8; ++i) {
            bool more = false;
            for (auto& m : members_) more |= m && m->turn(now_);
            if (!more) break;
        }
    }
    template <typename Done>
    void drive(const char* what, Done&& done) {
        const Instant began = now_;
        while (!done()) {
            step();
            give_up_after(Duration::seconds(600), now_ - began, what);
        }
    }
    void drive_for(Duration d) {
        for (const Instant end = now_ + d; now_ < end;) step();
    }
    static void give_up_after(Duration limit, Duration passed, const char* what) {
        if (passed < limit) return;
        fmt::print(stderr, "growth_bench: it did not come to this: {}\n", what);
        std::exit(1);
    }
    void report(const Member& adopter, Duration took) const {
        const AdoptionReport& a = adopter.worker.adoptions().back();
        uint64_t fragments = 0;
        for (const uint32_t n : a.fragments) fragments += n;
        const uint64_t live = adopter.worker.forwarder().sessions().size();
        fmt::print(
            "{{\"sessions\": {}, \"adopted\": {}, \"lost\": {}, \"fragments\": {}, "
            "\"ms\": {:.3f}, \"adopter_ms\": {:.3f}, \"longest_call_ms\": {:.3f}}}\n",
            sessions_, live, a.lost, fragments, took.as_seconds() * 1e3,
            double(adopter.busy_ns) / 1e6, double(adopter.longest_ns) / 1e6);
        if (live != sessions_) {
            fmt::print(stderr, "growth_bench: {} of {} sessions were adopted\n", live, sessions_);
            std::exit(1);
        }
    }

    uint32_t sessions_;
    Instant now_{Duration::seconds(1000).ns};
    std::vector<std::unique_ptr<Member>> members_;
};

int usage() {
    fmt::print(stderr,
               "usage: growth_bench ring STANDBYS MESSAGES | growth_bench takeover SESSIONS\n");
    return 2;
}

int run(int argc, char** argv) {
    const std::string_view what = argc > 1 ? argv[1] : "";
    const auto at = [&](int i) { return static_cast<unsigned>(std::atoi(argv[i])); };
    if (what == "ring" && argc == 4 && at(2) >= 1 && at(2) <= 31) return run_ring(at(2), at(3));
    if (what != "takeover" || argc != 3 || at(2) == 0) return usage();
    Takeover(at(2)).run();
    return 0;
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) { return holdfast::bench::run(argc, argv); }
