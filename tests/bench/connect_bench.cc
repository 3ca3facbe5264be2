// New connections through a node that replicates them, over DPDK devices (net_memif):
// tests/bench/connect_bench.py runs both ends in turns with each commit mode.
//
//   connect_bench holder CPU COMMIT NODES DEVICE RING-DEVICE
//       a worker in a poll loop; prints its counters at SIGUSR1, ends at SIGTERM
//   connect_bench world CPU NODES RATE SECONDS DEVICE RING-DEVICE
//       clients, backend and standbys in one loop; RATE 0: as many as go
//
// The holder has a core of its own, all others share one. So its time for a connection is what an
// appliance would take; the rate is bounded by the sum of all others' work.
#include <rte_mbuf.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <thread>

#include "dataplane/port/poll_loop.h"
#include "tests/bench/connect_node.h"
#include "tests/bench/memif.h"
#include "tests/bench/tcp_load.h"

namespace holdfast::bench {
namespace {

// ---- The holder

class RingOfPort final : public PollTarget, public RingSource, DatagramSink {
public:
    RingOfPort(Worker& worker, PortTransport& ring) : worker_(worker), ring_(ring) {}
    void on_burst(std::span<Frame> f, std::span<Disposition> out, Instant now) override {
        worker_.on_burst(f, out, now);
    }
    void on_ring_datagram(Bytes d, Instant now) override { worker_.on_ring_datagram(d, now); }
    void on_burst_end(Instant now) override { worker_.on_burst_end(now); }
    Instant next_deadline() const override { return worker_.next_deadline(); }
    void on_deadline(Instant now) override { worker_.on_deadline(now); }
    void on_stall(Duration gap, Instant now) override { worker_.on_stall(gap, now); }
    unsigned receive(PollTarget&, unsigned limit, Instant now) override {
        return ring_.receive(*this, limit, now);
    }
    int doorbell() const override { return ring_.fd(); }

private:
    void on_datagram(Bytes d, Instant now) override { worker_.on_ring_datagram(d, now); }
    Worker& worker_;
    PortTransport& ring_;
};

int64_t now_of(clockid_t clock) {
    timespec t;
    clock_gettime(clock, &t);
    return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

// By the worker itself.
void print_counters(const Worker& worker, const PollLoop& loop) {
    const LoopCounters& l = loop.counters();
    const RingCounters& r = worker.replicator().ring().counters();
    const GateCounters& g = worker.replicator().gate().counters();
    fmt::print(
        "{{\"now_ns\": {}, \"cpu_ns\": {}, \"busy_ns\": {}, \"idle_ns\": {}, \"busy_polls\": {}, "
        "\"sessions\": {}, "
        "\"datagrams\": {}, \"bytes\": {}, \"records\": {}, \"statuses\": {}, \"repairs\": {}, "
        "\"held\": {}, \"wait_ns\": {}, \"pushed_back\": {}, \"lagging\": {}, \"stalls\": {}}}\n",
        now_of(CLOCK_MONOTONIC), now_of(CLOCK_THREAD_CPUTIME_ID), l.busy_ns, l.idle_ns,
        l.busy_polls, worker.forwarder().sessions().counters().inserted, r.datagrams_published,
        r.bytes_published, r.records_published, r.statuses_received,
        r.repairs_unicast + r.repairs_multicast, g.held, g.wait_ns, worker.counters().pushed_back,
        r.followers_lagging, l.stalls);
    std::fflush(stdout);
}

void run_holder(Dpdk& dpdk, const sigset_t& signals, Commit commit, unsigned nodes, Port& front,
                Port& ring) {
    SystemClock clock;
    Transmitter out(0, dpdk.pool(), clock, Duration::seconds(1));
    out.attach(Side::front, front);
    out.attach(Side::back, front);
    out.attach(Side::ring, ring);
    PortTransport transport(ring_addresses(0), ring, out);
    Worker worker(connect_options(0, nodes, commit), out, transport, clock.now());
    const_cast<Forwarder&>(worker.forwarder())
        .learn_neighbor(Side::back, kBackend.address, mac(3), clock.now());
    RingOfPort target(worker, transport);
    PollLoop loop({.stall_bound = Duration::seconds(1), .idle = Idle::spin}, clock, out, target);
    loop.add_port(Side::front, front);
    if (nodes > 1) {  // replication off is a node without a ring port
        loop.add_port(Side::ring, ring);
        loop.set_filter(transport);
        loop.set_ring(target);
    }
    dpdk.eal().launch(0, [&] { loop.run(); });
    fmt::print("ready\n");
    std::fflush(stdout);
    for (int received = SIGUSR1; received == SIGUSR1;) {
        sigwait(&signals, &received);
        if (received == SIGUSR1) loop.mailbox().run([&] { print_counters(worker, loop); });
    }
    loop.stop();
    dpdk.eal().join(0);
}

// ---- All others

struct Counts {
    uint64_t opened = 0, established = 0, closed = 0, lost = 0, no_room = 0;
};

class World {
public:
    World(Dpdk& dpdk, Port& front, Port& ring, unsigned nodes, double rate)
        : pool_(dpdk.pool()), front_(front), ring_(ring), rate_(rate) {
        if (nodes == 1) return;
        standbys_[0].emplace(uint8_t{1}, ring, pool_, clock_);
        standbys_[1].emplace(uint8_t{2}, ring, pool_, clock_);
        standbys_[0]->set_sibling(*standbys_[1]);
        standbys_[1]->set_sibling(*standbys_[0]);
    }

    void run() {
        while (!stop_.load(std::memory_order_relaxed)) turn();
    }
    void stop() { stop_.store(true); }
    // From the main thread: begins to count, and what was counted.
    void begin() { fresh_.store(true); }
    Counts counts() const { return counts_; }
    TcpLoad& load() { return load_; }
    bool replicated() const { return !standbys_[0] || standbys_[0]->in_view(); }
    std::atomic<uint64_t> closed = 0;

private:
    static constexpr unsigned kInFlight = 512;  // two frames each, of the device's 1024 descriptors
    static constexpr Duration kPatience = Duration::milliseconds(100);

    void turn() {
        const Instant now = clock_.now();
        if (fresh_.exchange(false, std::memory_order_relaxed)) counts_ = {}, load_.latency.clear();
        receive(now);
        open(now);
        send();
        if (!standbys_[0]) return;
        receive_ring();
        for (auto& s : standbys_) s->turn(now);
    }
    void receive(Instant now) {
        std::array<rte_mbuf*, 32> burst;
        const unsigned n = front_.receive(0, burst);
        for (unsigned i = 0; i < n; ++i) answer(burst[i], now);
        if (n > 0) last_ = now;
    }
    void answer(rte_mbuf* m, Instant now) {
        std::array<std::byte, 64> second;
        const TcpLoad::Reply r =
            load_.on_frame(rte_pktmbuf_mtod(m, std::byte*), second.data(), now);
        counts_.established += r.established;
        if (r.closed) {
            ++counts_.closed;
            in_flight_ -= in_flight_ > 0;
            closed.store(closed.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        }
        if (r.frames == 0) return rte_pktmbuf_free(m);
        m->data_len = SmallFrame::kSize;
        m->pkt_len = SmallFrame::kSize;
        out_[used_++] = m;
        if (r.frames == 2) add(second);
    }
    void add(const std::array<std::byte, 64>& frame) {
        rte_mbuf* m = rte_pktmbuf_alloc(pool_.handle());
        if (m == nullptr) return void(++counts_.no_room);
        std::memcpy(rte_pktmbuf_append(m, SmallFrame::kSize), frame.data(), SmallFrame::kSize);
        out_[used_++] = m;
    }
    void open(Instant now) {
        if (in_flight_ > 0 && now - last_ > kPatience) {  // an answer was lost
            counts_.lost += in_flight_;
            in_flight_ = 0;
            last_ = now;
        }
        for (unsigned i = 0; i < 32 && in_flight_ < kInFlight; ++i) {
            if (rate_ > 0 && now < due_) return;
            if (rate_ > 0) due_ = std::max(due_, now - kPatience) + Duration{int64_t(1e9 / rate_)};
            std::array<std::byte, 64> frame;
            load_.make_syn(frame.data(), now);
            add(frame);
            if (in_flight_ == 0) last_ = now;
            ++in_flight_;
            ++counts_.opened;
        }
    }
    void send() {
        if (used_ == 0) return;
        const std::span<rte_mbuf*> all(out_.data(), used_);
        const unsigned sent = front_.transmit(0, all, [] { return true; });
        for (rte_mbuf* m : all.subspan(sent)) rte_pktmbuf_free(m);
        counts_.no_room += used_ - sent;
        used_ = 0;
    }
    // Each standby sees each frame, as on a wire.
    void receive_ring() {
        std::array<rte_mbuf*, 16> burst;  // so that clients are not kept waiting
        const unsigned n = ring_.receive(0, burst);
        for (unsigned i = 0; i < n; ++i) {
            rte_mbuf* m = burst[i];
            const Frame frame{rte_pktmbuf_mtod(m, std::byte*), rte_pktmbuf_data_len(m), Side::ring};
            rte_mbuf_refcnt_update(m, 1);
            for (auto& s : standbys_)
                if (!s->take(frame, m)) rte_pktmbuf_free(m);
        }
    }

    SystemClock clock_;
    FramePool& pool_;
    Port& front_;
    Port& ring_;
    double rate_;
    TcpLoad load_{kClients};
    std::array<std::optional<Standby>, 2> standbys_;
    std::atomic<bool> stop_ = false, fresh_ = false;
    std::array<rte_mbuf*, 128> out_;  // twice a burst, and as many new ones
    unsigned used_ = 0, in_flight_ = 0;
    Instant last_{}, due_{};
    Counts counts_;
};

void run_world(Dpdk& dpdk, Port& front, Port& ring, unsigned nodes, double rate, int seconds) {
    World world(dpdk, front, ring, nodes, rate);
    dpdk.eal().launch(0, [&] { world.run(); });
    auto wait = [](double s) { std::this_thread::sleep_for(std::chrono::duration<double>(s)); };
    for (int i = 0; world.closed.load() < 1000 || !world.replicated(); ++i) {
        if (i == 200) fmt::print(stderr, "no connection comes through\n"), std::exit(1);
        wait(0.1);
    }
    wait(1.5);  // longer than closed sessions stay, so that all is as it will be
    fmt::print("measuring\n");
    std::fflush(stdout);
    SystemClock clock;
    world.begin();
    const Instant began = clock.now();
    wait(seconds);
    const Counts c = world.counts();
    const double took = (clock.now() - began).as_seconds();
    fmt::print("measured\n");
    std::fflush(stdout);
    wait(0.2);
    world.stop();
    dpdk.eal().join(0);
    const LatencyHistogram& h = world.load().latency;
    fmt::print(
        "{{\"rate\": {:.0f}, \"opened\": {}, \"established\": {}, \"closed\": {}, \"lost\": {}, "
        "\"no_room\": {}, \"p50_us\": {:.1f}, \"p99_us\": {:.1f}}}\n",
        static_cast<double>(c.closed) / took, c.opened, c.established, c.closed, c.lost, c.no_room,
        h.quantile_us(0.5), h.quantile_us(0.99));
    std::fflush(stdout);
    pause();  // the holder polls our memory until it ends
}

int run(int argc, char** argv) {
    const std::string_view role = argc > 1 ? argv[1] : "";
    if (!(role == "holder" && argc == 7) && !(role == "world" && argc == 8)) {
        fmt::print(stderr,
                   "usage: connect_bench holder CPU COMMIT NODES DEVICE RING-DEVICE |\n"
                   "       connect_bench world CPU NODES RATE SECONDS DEVICE RING-DEVICE\n");
        return 2;
    }
    const sigset_t signals = role == "holder" ? block_signals() : sigset_t{};
    Dpdk dpdk({static_cast<unsigned>(std::atoi(argv[2]))}, 16'384);
    const auto front = dpdk.open("front", argv[argc - 2]);
    const auto ring = dpdk.open("ring", argv[argc - 1]);
    if (role == "holder")
        run_holder(dpdk, signals, commit_from(argv[3]), static_cast<unsigned>(std::atoi(argv[4])),
                   *front, *ring);
    else
        run_world(dpdk, *front, *ring, static_cast<unsigned>(std::atoi(argv[3])),
                  std::atof(argv[4]), std::atoi(argv[5]));
    return 0;
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) { return holdfast::bench::run(argc, argv); }
