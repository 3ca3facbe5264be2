// One end of the forwarding benchmark over a DPDK device (net_memif): tests/bench/forward_bench.py
// runs two of these, or one against testpmd.
//
//   forward_bench source DEVICE CPU SESSIONS SECONDS   sends 64-byte frames of random sessions,
//   counts what comes back forward_bench node DEVICE CPU SESSIONS             forwards them with a
//   worker that holds so many sessions
//
// The source keeps a fixed number of frames in flight: each that comes back is filled anew and sent
// again.
#include <fmt/format.h>
#include <signal.h>

#include <cstdlib>
#include <cstring>
#include <string_view>
#include <thread>

#include "dataplane/port/eal.h"
#include "dataplane/port/poll_loop.h"
#include "tests/bench/loaded_worker.h"

namespace holdfast::bench {
namespace {

constexpr unsigned kInFlight = 512;

class Source final : public PollTarget {
public:
    Source(uint32_t sessions, Outlet& out) : frames_(random_frames(sessions, 65'536)), out_(out) {}

    void on_burst(std::span<Frame> frames, std::span<Disposition> out, Instant) override {
        for (size_t i = 0; i < frames.size(); ++i) {
            const testing::Buffer& next = frames_[at_++ % frames_.size()];
            std::memcpy(frames[i].data, next.data(),
                        std::min<size_t>(next.size(), frames[i].length));
            out[i] = Disposition::transmit_front;
        }
        returned += frames.size();
    }
    void on_ring_datagram(Bytes, Instant) override {}
    void on_burst_end(Instant) override {}
    Instant next_deadline() const override { return next_; }
    // Nothing came for a while: at the start, or all were lost.
    void on_deadline(Instant now) override {
        next_ = now + Duration::milliseconds(5);
        if (returned == seen_)
            for (unsigned i = 0; i < kInFlight; ++i)
                out_.transmit(Side::front, frames_[at_++ % frames_.size()]);
        seen_ = returned;
    }
    void on_stall(Duration, Instant) override {}

    uint64_t returned = 0;

private:
    std::vector<testing::Buffer> frames_;
    Outlet& out_;
    size_t at_ = 0;
    uint64_t seen_ = 0;
    Instant next_{};
};

template <typename T>
auto take(std::expected<T, std::string> e) {
    if (!e) {
        fmt::print(stderr, "forward_bench: {}\n", e.error());
        std::exit(1);
    }
    return std::move(*e);
}

int run(std::string_view role, const char* device, unsigned cpu, uint32_t sessions, int seconds) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    EalOptions eal_options;
    eal_options.worker_cpus = {cpu};
    auto eal = take(Eal::start(eal_options));
    auto pool = take(FramePool::create(16'384));
    DeviceOptions options;
    options.name = "memif";
    options.device = device;
    auto port = take(Port::open(options, *pool));
    SystemClock clock;
    Transmitter out(0, *pool, clock, Duration::seconds(1));
    out.attach(Side::front, *port);
    out.attach(Side::back, *port);

    std::unique_ptr<Source> source;
    std::unique_ptr<LoadedWorker> loaded;
    if (role == "source") {
        source = std::make_unique<Source>(sessions, out);
    } else {
        loaded = std::make_unique<LoadedWorker>(sessions, out, clock.now());
    }
    PollTarget& target = source ? static_cast<PollTarget&>(*source) : *loaded->worker;
    PollLoop loop({.stall_bound = Duration::seconds(1), .idle = Idle::spin}, clock, out, target);
    loop.add_port(Side::front, *port);
    eal->launch(0, [&] { loop.run(); });
    fmt::print("ready\n");
    std::fflush(stdout);
    if (source) {
        uint64_t before = 0, after = 0;
        std::this_thread::sleep_for(std::chrono::seconds(1));  // warm
        loop.mailbox().run([&] { before = source->returned; });
        const Instant began = clock.now();
        std::this_thread::sleep_for(std::chrono::seconds(seconds));
        loop.mailbox().run([&] { after = source->returned; });
        fmt::print("{:.0f}\n",
                   static_cast<double>(after - before) / (clock.now() - began).as_seconds());
    } else {
        int received;
        sigwait(&signals, &received);
    }
    loop.stop();
    eal->join(0);
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
