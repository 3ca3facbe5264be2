// One generator: DPDK, its ports, the loop on a core of its own, and the engine of the current run.
//
// Everything here is for one control thread; the engine is only touched in its loop. Sessions last
// until rebuild() or hang_up(). Failures to start come back in words.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/port/eal.h"
#include "tools/trafficgen/loop.h"
#include "tools/trafficgen/report.h"

namespace holdfast::gen {

struct GeneratorOptions {
    std::vector<std::string> front, back;  // DPDK devices; no back: the front's, for both sides
    EalOptions eal{.program = "holdfast-gen", .memory_mb = 256};
    uint32_t frames = 16'384;
    uint16_t descriptors = 1024;
    Idle idle = Idle::sleep;
    EngineOptions engine;  // its links are filled in from the ports
};

class Generator {
public:
    static std::expected<std::unique_ptr<Generator>, std::string> create(
        const GeneratorOptions& options);
    ~Generator();
    Generator(const Generator&) = delete;
    Generator& operator=(const Generator&) = delete;

    void start();
    void stop();
    void set_rate(double rate);
    void set_attack(const Attack& attack);
    void clear();
    // Forgets all sessions and begins with another profile, stopped.
    void rebuild(const Profile& profile);
    // Resets all sessions, as fast as they go.
    void hang_up();

    const Profile& profile() const { return options_.engine.profile; }
    uint64_t seed() const { return options_.engine.seed; }
    Phase phase();
    Snapshot snapshot();
    std::string extended_port_stats() const;

private:
    explicit Generator(const GeneratorOptions& options) : options_(options) {}
    std::expected<void, std::string> open();
    std::expected<std::vector<unsigned>, std::string> open_ports(
        const char* side, const std::vector<std::string>& devices);
    void make_engine();
    template <typename F>
    void in_loop(F&& f) {
        loop_->mailbox().run(std::forward<F>(f));
    }

    GeneratorOptions options_;
    SystemClock clock_;
    std::unique_ptr<Eal> eal_;
    std::unique_ptr<FramePool> pool_;
    std::vector<std::unique_ptr<Port>> ports_;
    std::unique_ptr<Loop> loop_;
    std::unique_ptr<Engine> engine_;
    Instant began_{};
    bool running_ = false;
};

}  // namespace holdfast::gen
