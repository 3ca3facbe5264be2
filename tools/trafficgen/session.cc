#include "tools/trafficgen/session.h"

#include <signal.h>
#include <time.h>

#include <fstream>

#include "tools/trafficgen/prompt.h"

namespace holdfast::gen {
namespace {

sigset_t ending_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int s : {SIGINT, SIGTERM}) sigaddset(&signals, s);
    return signals;
}

Duration seconds(double s) { return Duration::nanoseconds(static_cast<int64_t>(s * 1e9)); }

std::string config_text(const Profile& p, uint64_t seed) {
    std::string out =
        fmt::format("profile {}: {} sessions, rate {}, open-rate {}, half-open {}, seed {}\n",
                    p.name, p.sessions, p.rate, p.open_rate, p.half_open, seed);
    for (const FlowClass& c : p.classes)
        out += fmt::format("  weight {}: requests {}, request {}, response {}, {}{}\n", c.weight,
                           c.requests, c.request, c.response, c.close == Close::rst ? "rst" : "fin",
                           c.silent ? ", silent" : "");
    const Attack& a = p.attack;
    if (a.any())
        out += fmt::format("  attack syn={},flags={},rst={},ack={},fragments={}\n", a.syn, a.flags,
                           a.rst, a.ack, a.fragments);
    return out;
}

}  // namespace

void block_signals() {
    const sigset_t signals = ending_signals();
    sigprocmask(SIG_BLOCK, &signals, nullptr);
}

Session::Session(Generator& generator, const RunOptions& options)
    : generator_(generator), options_(options), next_(generator.profile()) {}

int Session::run() {
    if (!options_.commands.empty() && !run_file(options_.commands)) {
        finish();
        return 1;
    }
    if (options_.run_s) return run_batch();
    if (options_.commands.empty()) run_prompt();
    return finish();
}

int Session::run_batch() {
    generator_.start();
    const bool runs =
        wait(options_.open_limit_s, [&] { return generator_.phase() == Phase::running; });
    if (!runs && !ended_) {
        fmt::print(stderr, "holdfast-gen: not running after {} s: {}\n", options_.open_limit_s,
                   why_not_running());
        finish();
        return 1;
    }
    wait(*options_.run_s, [] { return false; });
    return finish();
}

// ---- Commands

bool Session::run_file(const std::string& path) {
    std::ifstream file(path);
    if (!file) return fmt::print(stderr, "holdfast-gen: {}: cannot be read\n", path), false;
    std::string line;
    for (unsigned number = 1; std::getline(file, line); ++number) {
        failed_ = false;
        const bool more = execute(line);
        if (failed_) fmt::print(stderr, "holdfast-gen: {}:{}: failed\n", path, number);
        if (failed_) return false;
        if (!more || ended_) break;
    }
    return true;
}

void Session::run_prompt() {
    Prompt prompt("holdfast-gen> ", ending_signals());
    while (!ended_) {
        const auto line = prompt.read([this] { print_when_due(); });
        if (!line || !execute(*line)) return;
    }
}

bool Session::execute(const std::string& line) {
    const auto command = parse_command(line);
    bool more = true;
    if (command) {
        more = obey(*command);
    } else {
        failed_ = true;
        fmt::print("{}\n", command.error());
    }
    std::fflush(stdout);
    return more;
}

bool Session::obey(const Command& c) {
    switch (c.verb) {
        case Verb::nothing:
            break;
        case Verb::start:
            if (changed_) generator_.rebuild(next_);
            changed_ = false;
            generator_.start();
            break;
        case Verb::stop:
            generator_.stop();
            break;
        case Verb::clear:
            generator_.clear();
            shown_.reset();
            break;
        case Verb::set_rate:
        case Verb::set_attack:
        case Verb::set_profile:
        case Verb::set_mix:
        case Verb::set_number:
        case Verb::set_close:
            change(c);
            break;
        case Verb::show_stats:
        case Verb::show_failover:
        case Verb::show_config:
        case Verb::show_json:
        case Verb::show_port_stats:
        case Verb::show_port_xstats:
            show(c.verb);
            break;
        case Verb::wait:
            wait_as_told(c);
            break;
        case Verb::sleep:
            wait(c.number, [] { return false; });
            break;
        case Verb::hang_up:
            generator_.hang_up();
            break;
        case Verb::help:
            fmt::print("{}", help_text());
            break;
        case Verb::quit:
            return false;
    }
    return true;
}

void Session::change(const Command& c) {
    if (c.verb == Verb::set_rate) return next_.rate = c.number, generator_.set_rate(c.number);
    if (c.verb == Verb::set_attack) return next_.attack = c.attack, generator_.set_attack(c.attack);
    Profile p = next_;
    std::expected<void, std::string> done;
    if (c.verb == Verb::set_profile) {
        auto named = profile_by_name(c.word);
        if (named) p = *named;
        if (!named) done = std::unexpected(named.error());
    } else if (c.verb == Verb::set_mix) {
        auto classes = read_mix(c.word);
        if (classes) p.classes = *classes;
        if (!classes) done = std::unexpected(classes.error());
    } else if (c.verb == Verb::set_number) {
        done = set_number(p, c.word, c.number);
    } else if (c.word == "fin" || c.word == "rst") {
        for (FlowClass& k : p.classes) k.close = c.word == "rst" ? Close::rst : Close::fin;
    } else {
        done = std::unexpected("set close fin, or set close rst");
    }
    if (done && generator_.phase() != Phase::stopped) done = std::unexpected("stop first");
    if (!done) {
        failed_ = true;
        return fmt::print("{}\n", done.error());
    }
    next_ = p;
    changed_ = true;
}

void Session::show(Verb verb) {
    if (verb == Verb::show_config) return fmt::print("{}", config_text(next_, generator_.seed()));
    if (verb == Verb::show_port_xstats) return fmt::print("{}", generator_.extended_port_stats());
    Snapshot s = generator_.snapshot();
    if (verb == Verb::show_json) fmt::print("{}\n", to_json(s).dump());
    if (verb == Verb::show_port_stats) fmt::print("{}", port_text(s));
    if (verb == Verb::show_failover) fmt::print("{}", failover_text(s));
    if (verb != Verb::show_stats) return;
    fmt::print("{}", to_text(s, shown_ ? &*shown_ : nullptr));
    shown_ = std::move(s);
}

void Session::wait_as_told(const Command& c) {
    bool came = false;
    if (c.word == "running")
        came = wait(c.number, [&] { return generator_.phase() == Phase::running; });
    else if (c.word == "drained")
        came = wait(c.number, [&] { return drained(); });
    else
        return failed_ = true, fmt::print("wait running, or wait drained\n");
    if (came) return;
    failed_ = true;
    fmt::print("not {} after {} s: {}\n", c.word, c.number, why_not_running());
}

// ---- Waiting

bool Session::wait(double how_long, const std::function<bool()>& condition) {
    const Instant end = clock_.now() + seconds(how_long);
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

bool Session::drained() {
    const Snapshot s = generator_.snapshot();
    return s.outstanding == 0 && s.owed == 0;
}

void Session::print_when_due() {
    if (options_.stats_period_s <= 0) return;
    const Instant now = clock_.now();
    if (next_print_.ns == 0) next_print_ = now;
    if (now < next_print_) return;
    next_print_ = now + seconds(options_.stats_period_s);
    show(Verb::show_stats);
    std::fflush(stdout);
}

std::string Session::why_not_running() {
    const Snapshot s = generator_.snapshot();
    if (s.phase == Phase::resolving) return "a target does not answer ARP";
    return fmt::format(
        "{}, {} of {} sessions established, {} answers outstanding, {} requests owed",
        to_string(s.phase), s.established, s.sessions, s.outstanding, s.owed);
}

int Session::finish() {
    generator_.stop();
    ended_ = false;
    wait(options_.drain_s, [&] { return drained(); });
    const Snapshot s = generator_.snapshot();
    if (options_.hang_up) generator_.hang_up();
    if (options_.json == "-") {
        fmt::print("{}\n", to_json(s).dump());
    } else {
        if (options_.run_s) fmt::print("{}", to_text(s, nullptr));
        std::ofstream file;
        if (!options_.json.empty()) file.open(options_.json), file << to_json(s).dump(1) << "\n";
        if (!file.flush()) {
            fmt::print(stderr, "holdfast-gen: {}: cannot be written\n", options_.json);
            return 1;
        }
    }
    std::fflush(stdout);
    return is_clean(s) ? 0 : 3;
}

}  // namespace holdfast::gen
