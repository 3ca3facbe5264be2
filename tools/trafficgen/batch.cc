#include "tools/trafficgen/batch.h"

#include <fmt/format.h>
#include <signal.h>
#include <time.h>

#include <cerrno>
#include <fstream>
#include <functional>

namespace holdfast::gen {
namespace {

sigset_t ending_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int s : {SIGINT, SIGTERM}) sigaddset(&signals, s);
    return signals;
}

class Batch {
public:
    Batch(Generator& generator, const RunOptions& options)
        : generator_(generator), options_(options) {}

    int run() {
        generator_.start();
        const bool runs =
            wait(options_.open_limit_s, [&] { return generator_.phase() == Phase::running; });
        if (!runs && !ended_) {
            fmt::print(stderr, "holdfast-gen: not running after {} s: {}\n", options_.open_limit_s,
                       why());
            finish();
            return 1;
        }
        wait(options_.run_s.value_or(1e9), [] { return false; });
        return finish();
    }

private:
    // Until the condition holds, the time is over or somebody wants us to end.
    bool wait(double seconds, const std::function<bool()>& condition) {
        const Instant end =
            clock_.now() + Duration::nanoseconds(static_cast<int64_t>(seconds * 1e9));
        while (!ended_) {
            if (condition()) return true;
            if (clock_.now() >= end) return false;
            print_when_due();
            const sigset_t signals = ending_signals();
            const timespec nap{.tv_sec = 0, .tv_nsec = 5'000'000};
            ended_ = sigtimedwait(&signals, nullptr, &nap) > 0;
        }
        return false;
    }
    void print_when_due() {
        if (options_.stats_period_s <= 0) return;
        const Instant now = clock_.now();
        if (next_print_.ns == 0) next_print_ = now;
        if (now < next_print_) return;
        next_print_ =
            now + Duration::nanoseconds(static_cast<int64_t>(options_.stats_period_s * 1e9));
        Snapshot s = generator_.snapshot();
        fmt::print("{}", to_text(s, earlier_ ? &*earlier_ : nullptr));
        std::fflush(stdout);
        earlier_ = std::move(s);
    }
    std::string why() {
        const Snapshot s = generator_.snapshot();
        return s.phase == Phase::resolving
                   ? "a target does not answer ARP"
                   : fmt::format("{} of {} sessions established", s.established, s.sessions);
    }
    int finish() {
        generator_.stop();
        ended_ = false;
        wait(options_.drain_s, [&] { return generator_.outstanding() == 0; });
        const Snapshot s = generator_.snapshot();
        if (options_.hang_up) generator_.hang_up();
        if (options_.json == "-") {
            fmt::print("{}\n", to_json(s).dump());
        } else {
            fmt::print("{}", to_text(s, nullptr));
            if (!options_.json.empty()) {
                std::ofstream file(options_.json);
                file << to_json(s).dump(1) << "\n";
                if (!file.flush()) {
                    fmt::print(stderr, "holdfast-gen: {}: cannot be written\n", options_.json);
                    return 1;
                }
            }
        }
        std::fflush(stdout);
        return is_clean(s) ? 0 : 3;
    }

    Generator& generator_;
    const RunOptions& options_;
    SystemClock clock_;
    bool ended_ = false;
    Instant next_print_{};
    std::optional<Snapshot> earlier_;
};

}  // namespace

void block_signals() {
    const sigset_t signals = ending_signals();
    sigprocmask(SIG_BLOCK, &signals, nullptr);
}

int run(Generator& generator, const RunOptions& options) { return Batch(generator, options).run(); }

}  // namespace holdfast::gen
