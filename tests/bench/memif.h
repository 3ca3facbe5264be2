// The DPDK side of a benchmark's process: environment, buffers and memif ports.
#pragma once

#include <fmt/format.h>
#include <signal.h>

#include <cstdlib>
#include <expected>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/port/eal.h"
#include "dataplane/port/port.h"

namespace holdfast::bench {

template <typename T>
auto take(std::expected<T, std::string> e) {
    if (!e) {
        fmt::print(stderr, "{}\n", e.error());
        std::exit(1);
    }
    return std::move(*e);
}

// Before the first thread: sigwait() in the main thread is how these programs end.
inline sigset_t block_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (int s : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&signals, s);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    return signals;
}

// The environment ends last.
class Dpdk {
public:
    // One worker, on a CPU if that is said.
    Dpdk(std::vector<unsigned> cpu, uint32_t frames) {
        EalOptions options;
        options.worker_cpus = std::move(cpu);
        eal_ = take(Eal::start(options));
        pool_ = take(FramePool::create(frames));
    }
    std::unique_ptr<Port> open(const char* name, const char* device) {
        DeviceOptions options;
        options.name = name;
        options.device = device;
        return take(Port::open(options, *pool_));
    }
    Eal& eal() { return *eal_; }
    FramePool& pool() { return *pool_; }

private:
    std::unique_ptr<Eal> eal_;
    std::unique_ptr<FramePool> pool_;
};

}  // namespace holdfast::bench
