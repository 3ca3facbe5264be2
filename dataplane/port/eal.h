// DPDK's environment: started once from options, stopped once, leaving nothing behind.
//
// Builds the argument vector, starts the EAL with one lcore a worker (lcore w + 1; lcore 0 is the
// thread that calls start) and runs a function on each. By default no huge pages, no PCI, no
// telemetry socket, no multi-process files: what a laptop or a container allows. With huge pages
// `--in-memory` is used, so that a killed process leaves no readable page file (the EAL refuses it
// together with --no-huge; there `--no-shconf` does the same). Control thread only; start() may be
// called once in a process, because that is all the EAL allows.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace holdfast {

struct EalOptions {
    std::string program = "holdfastd";
    unsigned workers = 1;                 // 1 to 64
    std::vector<unsigned> worker_cpus{};  // CPU of each worker; missing ones may run anywhere
    bool huge_pages = false;
    uint32_t memory_mb = 256;                // 32 to 1'048'576
    std::vector<std::string> pci_devices{};  // allowed PCI addresses; none: the bus is not scanned
    std::string file_prefix{};          // empty: "holdfast-<pid>", so that nodes can share a host
    std::string log_level = "warning";  // as DPDK's --log-level understands it
    bool telemetry = false;             // DPDK's own telemetry socket
    std::vector<std::string> more_arguments{};  // handed on as they are
};

// The argument vector for these options on a machine where the process may use `allowed_cpus`.
std::vector<std::string> eal_arguments(const EalOptions& options,
                                       const std::vector<unsigned>& allowed_cpus);

class Eal {
public:
    static std::expected<std::unique_ptr<Eal>, std::string> start(const EalOptions& options);
    ~Eal();
    Eal(const Eal&) = delete;
    Eal& operator=(const Eal&) = delete;

    // The effective arguments in one line, for the log.
    const std::string& command_line() const { return command_line_; }
    // Runs `body` on the worker's lcore; join() waits until it has returned.
    void launch(unsigned worker, std::function<void()> body);
    void join(unsigned worker);

private:
    explicit Eal(const EalOptions& options);

    std::string command_line_;
    std::string runtime_dir_;
    std::vector<std::string> arguments_;
    std::vector<char*> argv_;  // the EAL keeps pointers into it
    std::vector<std::function<void()>> bodies_;
};

}  // namespace holdfast
