// One end of the forwarding benchmark over a DPDK device (net_memif): tests/bench/forward_bench.py
// runs a source against a node, or against testpmd.
//
//   forward_bench source DEVICE CPU SESSIONS SECONDS   sends 64-byte frames of the sessions in
//       random order and prints how many a second came back
//   forward_bench node DEVICE CPU SESSIONS             forwards them with a worker in a poll loop;
//       prints "ready" and the octets that its sessions take
//
// The source keeps a fixed number of frames in flight: each buffer that comes back is filled anew
// and sent again. It does so with nothing between it and the driver, so that it is not what limits.
#include <fmt/format.h>
#include <rte_mbuf.h>
#include <signal.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <thread>

#include "dataplane/port/eal.h"
#include "dataplane/port/poll_loop.h"
#include "tests/bench/loaded_worker.h"

namespace holdfast::bench {
namespace {

constexpr unsigned kInFlight = 768;  // of the device's 1024 descriptors

class Source {
public:
    Source(uint32_t sessions, Port& port, FramePool& pool)
        : frames_(random_frames(sessions)), port_(port), pool_(pool) {}

    // Until stop(): returns at once what comes, and when nothing has for a while sends kInFlight.
    void run() {
        std::array<rte_mbuf*, 32> burst;
        unsigned idle = 0;
        while (!stop_.load(std::memory_order_relaxed)) {
            const unsigned n = port_.receive(0, burst);
            for (unsigned i = 0; i < n; ++i) fill(burst[i]);
            send({burst.data(), n});
            returned.store(returned.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
            idle = n > 0 ? 0 : idle + 1;
            if (idle == kIdlePolls) idle = 0, start();
        }
    }
    void stop() { stop_.store(true); }

    std::atomic<uint64_t> returned = 0;

private:
    static constexpr unsigned kIdlePolls = 1'000'000;  // some milliseconds

    void fill(rte_mbuf* m) {
        std::memcpy(rte_pktmbuf_mtod(m, std::byte*), frames_[at_].bytes.data(), 64);
        m->data_len = SmallFrame::kSize;
        m->pkt_len = SmallFrame::kSize;
        if (++at_ == frames_.size()) at_ = 0;
    }
    void send(std::span<rte_mbuf*> burst) {
        const unsigned sent = port_.transmit(0, burst, [] { return true; });
        for (rte_mbuf* m : burst.subspan(sent)) rte_pktmbuf_free(m);
    }
    void start() {
        for (unsigned i = 0; i < kInFlight; ++i) {
            rte_mbuf* m = rte_pktmbuf_alloc(pool_.handle());
            if (m == nullptr) return;
            fill(m);
            send({&m, 1});
        }
    }

    std::vector<SmallFrame> frames_;
    Port& port_;
    FramePool& pool_;
    std::atomic<bool> stop_ = false;
    size_t at_ = 0;
};

template <typename T>
auto take(std::expected<T, std::string> e) {
    if (!e) {
        fmt::print(stderr, "forward_bench: {}\n", e.error());
        std::exit(1);
    }
    return std::move(*e);
}

void run_source(Eal& eal, Port& port, FramePool& pool, uint32_t sessions, int seconds) {
    Source source(sessions, port, pool);
    SystemClock clock;
    eal.launch(0, [&] { source.run(); });
    const uint64_t all = std::max(sessions, 1u << 20);  // warm: each session was seen
    while (source.returned.load() < 2 * all)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const uint64_t before = source.returned.load();
    const Instant began = clock.now();
    std::this_thread::sleep_for(std::chrono::seconds(seconds));
    const uint64_t after = source.returned.load();
    fmt::print("{:.0f}\n",
               static_cast<double>(after - before) / (clock.now() - began).as_seconds());
    source.stop();
    eal.join(0);
}

void run_node(Eal& eal, Port& port, FramePool& pool, uint32_t sessions) {
    SystemClock clock;
    Transmitter out(0, pool, clock, Duration::seconds(1));
    out.attach(Side::front, port);
    out.attach(Side::back, port);
    LoadedWorker loaded(sessions, out, clock.now());
    PollLoop loop({.stall_bound = Duration::seconds(1), .idle = Idle::spin}, clock, out,
                  *loaded.worker);
    loop.add_port(Side::front, port);
    eal.launch(0, [&] { loop.run(); });
    fmt::print("ready {}\n", loaded.worker->forwarder().bytes());
    std::fflush(stdout);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    int received;
    sigwait(&signals, &received);
    loop.stop();
    eal.join(0);
}

int run(std::string_view role, const char* device, unsigned cpu, uint32_t sessions, int seconds) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    EalOptions eal_options;
    eal_options.worker_cpus = {cpu};
    auto eal = take(Eal::start(eal_options));
    auto pool = take(FramePool::create(16'384));
    DeviceOptions options;
    options.name = "memif";
    options.device = device;
    auto port = take(Port::open(options, *pool));
    if (role == "source")
        run_source(*eal, *port, *pool, sessions, seconds);
    else
        run_node(*eal, *port, *pool, sessions);
    return 0;
}

}  // namespace
}  // namespace holdfast::bench

int main(int argc, char** argv) {
    if (argc < 5) {
        fmt::print(
            stderr,
            "usage: forward_bench source DEVICE CPU SESSIONS SECONDS | node DEVICE CPU SESSIONS\n");
        return 2;
    }
    return holdfast::bench::run(argv[1], argv[2], static_cast<unsigned>(atoi(argv[3])),
                                static_cast<uint32_t>(atoi(argv[4])), argc > 5 ? atoi(argv[5]) : 0);
}
