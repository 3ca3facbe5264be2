// holdfast-sim: whole clusters from seeds (docs/testing.md). One seed, or many in several
// processes; a seed that fails is made smaller and told as a command.
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <map>

#include "tests/simulation/world/same_random.h"
#include "tests/simulation/world/world.h"

namespace holdfast::simulation {
namespace {

// Exit codes, and what becomes of a seed.
enum Outcome : int { kFine = 0, kUnsafe = 3, kStuck = 4, kCrashed = 5 };

const char* word_for(int outcome) {
    switch (outcome) {
        case kFine:
            return "fine";
        case kUnsafe:
            return "UNSAFE";
        case kStuck:
            return "STUCK";
        default:
            return "CRASHED";
    }
}

struct Report {
    uint64_t seed = 0;
    int outcome = kCrashed;
    double lived_s = 0;
    uint64_t steps = 0, digest = 0;
};

int outcome_of(World::Verdict verdict) {
    switch (verdict) {
        case World::Verdict::fine:
            return kFine;
        case World::Verdict::unsafe:
            return kUnsafe;
        case World::Verdict::stuck:
            return kStuck;
    }
    return kCrashed;
}

Report run_one(const WorldOptions& options, bool tell) {
    seed_openssl(options.seed);
    World world(options);
    const int outcome = outcome_of(world.run());
    if (tell) {
        std::printf("seed %lu: %s\n", options.seed, world.describe().c_str());
        for (size_t i = 0; i < world.faults().size(); ++i)
            std::printf("  fault %zu%s: %s\n", i,
                        options.without.contains(i) ? " (taken away)" : "",
                        to_string(world.faults()[i]).c_str());
        for (const std::string& what : world.complaints()) std::printf("  %s\n", what.c_str());
        std::printf("  %s after %.3f s and %lu steps, digest %016lx\n", word_for(outcome),
                    world.lived().as_seconds(), world.steps(), world.digest());
    }
    return {options.seed, outcome, world.lived().as_seconds(), world.steps(), world.digest()};
}

// In a process of its own, which may crash; silent.
int outcome_apart(const WorldOptions& options) {
    std::fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        if (!std::freopen("/dev/null", "w", stderr)) _exit(kCrashed);
        _exit(run_one(options, false).outcome);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) <= kStuck ? WEXITSTATUS(status) : int{kCrashed};
}

// Fewer faults and fewer connections that fail in the same way.
WorldOptions smaller(WorldOptions options, int outcome, size_t faults) {
    for (size_t i = 0; i < faults; ++i) {
        WorldOptions less = options;
        if (less.without.insert(i).second && outcome_apart(less) == outcome) options = less;
    }
    for (const unsigned sessions : {1u, 2u, 5u, 10u, 25u}) {
        WorldOptions less = options;
        less.sessions = sessions;
        if (sessions < options.sessions && outcome_apart(less) == outcome) return less;
    }
    return options;
}

std::string command_for(const WorldOptions& o) {
    std::string text = "make sim SEED=" + std::to_string(o.seed) + " ARGS=\"--sessions " +
                       std::to_string(o.sessions) + " --failovers " + std::to_string(o.failovers);
    for (const size_t i : o.without) text += " --without " + std::to_string(i);
    return text + " --record /tmp/seed-" + std::to_string(o.seed) + "\"";
}

void explain(const WorldOptions& options, int outcome) {
    std::printf("seed %lu: %s; looking for less that does the same\n", options.seed,
                word_for(outcome));
    const WorldOptions least = smaller(options, outcome, World(options).faults().size());
    if (outcome != kCrashed) run_one(least, true);
    std::printf("  to see it again: %s\n", command_for(least).c_str());
    std::fflush(stdout);
}

// ---- Many seeds

struct Campaign {
    uint64_t first = 1, count = 1;
    unsigned jobs = 1;
    bool until_failure = false;
};

struct Child {
    pid_t pid = -1;
    int from = -1;
    uint64_t next = 0;  // the seed it is at
};

// Seeds `first`, `first` + jobs, ... below `end`, a report each.
Child begin_child(const WorldOptions& options, uint64_t first, uint64_t end, unsigned stride) {
    int ends[2];
    if (pipe(ends) != 0) throw std::runtime_error("pipe");
    std::fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        for (uint64_t seed = first; seed < end; seed += stride) {
            WorldOptions one = options;
            one.seed = seed;
            const Report r = run_one(one, false);
            if (write(ends[1], &r, sizeof r) != sizeof r) _exit(1);
        }
        _exit(0);
    }
    close(ends[1]);
    return {pid, ends[0], first};
}

void end_children(std::vector<Child>& children) {
    for (const Child& child : children) {
        kill(child.pid, SIGKILL);
        close(child.from);
        waitpid(child.pid, nullptr, 0);
    }
    children.clear();
}

int tell_again(WorldOptions options, const Report& failed) {
    options.seed = failed.seed;
    if (failed.outcome != kCrashed) return run_one(options, true).outcome;
    std::printf("seed %lu: %s\n", failed.seed, word_for(failed.outcome));
    return failed.outcome;
}

int run_many(const WorldOptions& options, const Campaign& c) {
    const auto began = std::chrono::steady_clock::now();
    const uint64_t end = c.first + c.count;
    std::map<int, uint64_t> outcomes;
    std::vector<Report> failures;
    double lived = 0;
    uint64_t steps = 0, done = 0;
    std::vector<Child> children;
    for (unsigned j = 0; j < c.jobs; ++j)
        if (c.first + j < end) children.push_back(begin_child(options, c.first + j, end, c.jobs));
    for (size_t turn = 0; !children.empty(); ++turn) {
        Child& child = children[turn % children.size()];
        Report r;
        if (read(child.from, &r, sizeof r) == sizeof r) {
            child.next = r.seed + c.jobs;
        } else {
            close(child.from);
            waitpid(child.pid, nullptr, 0);
            if (child.next >= end) {
                children.erase(children.begin() + static_cast<ptrdiff_t>(turn % children.size()));
                continue;
            }
            r = {child.next};
            child = begin_child(options, child.next + c.jobs, end, c.jobs);
        }
        ++outcomes[r.outcome];
        lived += r.lived_s;
        steps += r.steps;
        if (r.outcome != kFine) failures.push_back(r);
        if (++done % 100 == 0)
            std::printf("%lu seeds, %zu of them failed\n", done, failures.size()),
                std::fflush(stdout);
        if (c.until_failure && !failures.empty()) break;
    }
    end_children(children);
    if (c.until_failure && !failures.empty()) {
        std::printf("failed after %lu seeds\n", done);
        return tell_again(options, failures[0]);
    }
    for (size_t i = 0; i < std::min<size_t>(failures.size(), 5); ++i) {
        WorldOptions one = options;
        one.seed = failures[i].seed;
        explain(one, failures[i].outcome);
    }
    if (failures.size() > 5) {
        std::printf("failed too:");
        for (size_t i = 5; i < failures.size(); ++i) std::printf(" %lu", failures[i].seed);
        std::printf("\n");
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    std::printf(
        "%lu seeds: %lu fine, %lu unsafe, %lu stuck, %lu crashed; %.0f s of virtual time in %.0f "
        "s, "
        "%.0f simulated seconds and %.0f steps a second\n",
        done, outcomes[kFine], outcomes[kUnsafe], outcomes[kStuck], outcomes[kCrashed], lived,
        took.count(), lived / took.count(), static_cast<double>(steps) / took.count());
    for (const int worst : {kCrashed, kUnsafe, kStuck})
        if (outcomes[worst] > 0) return worst;
    return kFine;
}

int run(int argc, char** argv) {
    CLI::App app(
        "Whole clusters in virtual time, from seeds. Exit code: 0 fine, 3 a promise was broken, 4 "
        "something\n"
        "did not go on, 5 a crash.",
        "holdfast-sim");
    WorldOptions options;
    Campaign campaign;
    std::string record, trace;
    std::vector<size_t> without;
    const std::map<std::string, Mode> modes{
        {"forward", Mode::forward}, {"proxy", Mode::proxy}, {"tls", Mode::tls}};
    const std::map<std::string, Temper> tempers{{"orderly", Temper::orderly},
                                                {"rough", Temper::rough}};
    campaign.jobs = static_cast<unsigned>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
    auto* seed = app.add_option("--seed", options.seed, "run this seed and tell all about it");
    app.add_option("--seeds", campaign.count, "run so many")->excludes(seed);
    app.add_option("--first", campaign.first, "beginning with this one")->capture_default_str();
    app.add_option("--jobs", campaign.jobs, "in so many processes")
        ->capture_default_str()
        ->check(CLI::Range(1, 256));
    app.add_flag("--until-failure", campaign.until_failure,
                 "end at the first seed that fails, and tell about it")
        ->excludes(seed);
    app.add_option("--nodes", options.nodes)->capture_default_str()->check(CLI::Range(3, 8));
    app.add_option("--sessions", options.sessions)
        ->capture_default_str()
        ->check(CLI::Range(1, 500));
    app.add_option("--failovers", options.failovers, "faults of nodes")->capture_default_str();
    app.add_option("--mode", options.mode, "instead of what the seed draws")
        ->transform(CLI::CheckedTransformer(modes));
    app.add_option("--temper", options.temper, "likewise")
        ->transform(CLI::CheckedTransformer(tempers));
    app.add_option("--copies", options.copies, "likewise")->check(CLI::Range(1, 8));
    app.add_option("--without", without, "take away the fault of this number");
    app.add_option("--record", record, "write FILE.txt and FILE.pcap")
        ->needs(seed)
        ->type_name("FILE");
    app.add_option("--trace", trace,
                   "write how epochs, claims and views change (tests/model/trace.py)")
        ->needs(seed)
        ->type_name("FILE");
    CLI11_PARSE(app, argc, argv);
    options.without = {without.begin(), without.end()};
    if (seed->count() == 0) return run_many(options, campaign);
    std::unique_ptr<Recorder> recorder;
    if (!record.empty()) {
        recorder = std::make_unique<Recorder>(record);
        if (!recorder->ok()) {
            std::fprintf(stderr, "holdfast-sim: cannot write %s.txt and %s.pcap\n", record.c_str(),
                         record.c_str());
            return 2;
        }
        options.recorder = recorder.get();
    }
    std::optional<MembershipTrace> membership;
    if (!trace.empty()) {
        membership.emplace(trace, World::kGroup);
        if (!membership->ok()) {
            std::fprintf(stderr, "holdfast-sim: cannot write %s\n", trace.c_str());
            return 2;
        }
        options.trace = &*membership;
    }
    return run_one(options, true).outcome;
}

}  // namespace
}  // namespace holdfast::simulation

int main(int argc, char** argv) { return holdfast::simulation::run(argc, argv); }
