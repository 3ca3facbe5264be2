#include "dataplane/port/eal.h"

#include <fmt/format.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <sched.h>
#include <unistd.h>

#include "base/check.h"

namespace holdfast {
namespace {

std::vector<unsigned> allowed_cpus() {
    cpu_set_t set;
    CPU_ZERO(&set);
    CHECK(sched_getaffinity(0, sizeof set, &set) == 0);
    std::vector<unsigned> cpus;
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu)
        if (CPU_ISSET(cpu, &set)) cpus.push_back(cpu);
    return cpus;
}

int run_body(void* body) {
    (*static_cast<std::function<void()>*>(body))();
    return 0;
}

unsigned lcore_of(unsigned worker) { return worker + 1; }

}  // namespace

std::vector<std::string> eal_arguments(const EalOptions& options,
                                       const std::vector<unsigned>& allowed) {
    std::string anywhere = fmt::format("({})", fmt::join(allowed, ","));
    std::string lcores = "0@" + anywhere;
    for (unsigned w = 0; w < options.workers; ++w) {
        lcores += fmt::format(",{}@", lcore_of(w));
        lcores +=
            w < options.worker_cpus.size() ? fmt::format("{}", options.worker_cpus[w]) : anywhere;
    }
    std::vector<std::string> args = {options.program, "--lcores", lcores, "--main-lcore", "0"};
    args.push_back("-m");
    args.push_back(fmt::format("{}", options.memory_mb));
    if (options.huge_pages) {
        args.push_back("--in-memory");
    } else {
        args.push_back("--no-huge");
        args.push_back("--no-shconf");
    }
    args.push_back("--file-prefix");
    args.push_back(options.file_prefix.empty() ? fmt::format("holdfast-{}", getpid())
                                               : options.file_prefix);
    if (options.pci_devices.empty()) args.push_back("--no-pci");
    for (const std::string& device : options.pci_devices) {
        args.push_back("-a");
        args.push_back(device);
    }
    if (!options.telemetry) args.push_back("--no-telemetry");
    args.push_back("--log-level=" + options.log_level);
    args.insert(args.end(), options.more_arguments.begin(), options.more_arguments.end());
    return args;
}

Eal::Eal(const EalOptions& options)
    : arguments_(eal_arguments(options, allowed_cpus())), bodies_(options.workers) {
    command_line_ = fmt::format("{}", fmt::join(arguments_, " "));
    for (std::string& a : arguments_) argv_.push_back(a.data());
    argv_.push_back(nullptr);
}

std::expected<std::unique_ptr<Eal>, std::string> Eal::start(const EalOptions& options) {
    if (options.workers == 0 || options.workers > 64)
        return std::unexpected("workers must be 1 to 64");
    std::unique_ptr<Eal> eal(new Eal(options));
    if (rte_eal_init(static_cast<int>(eal->argv_.size()) - 1, eal->argv_.data()) < 0)
        return std::unexpected(fmt::format("DPDK does not start ({}): {}", rte_strerror(rte_errno),
                                           eal->command_line_));
    eal->runtime_dir_ = rte_eal_get_runtime_dir();
    // The EAL makes its runtime directory even when it puts nothing there, and never removes it.
    // Now, so that a killed process leaves none either.
    rmdir(eal->runtime_dir_.c_str());
    return eal;
}

Eal::~Eal() {
    if (runtime_dir_.empty()) return;  // never started
    rte_eal_mp_wait_lcore();
    rte_eal_cleanup();
    // With telemetry there was a socket in it.
    rmdir(runtime_dir_.c_str());
}

void Eal::launch(unsigned worker, std::function<void()> body) {
    CHECK(worker < bodies_.size());
    bodies_[worker] = std::move(body);
    CHECK(rte_eal_remote_launch(run_body, &bodies_[worker], lcore_of(worker)) == 0);
}

void Eal::join(unsigned worker) { rte_eal_wait_lcore(lcore_of(worker)); }

}  // namespace holdfast
