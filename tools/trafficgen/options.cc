#include "tools/trafficgen/options.h"

#include <fmt/format.h>
#include <time.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <sstream>

#include "tools/trafficgen/command.h"

namespace holdfast::gen {
namespace {

constexpr const char* kFooter = R"(
Exit codes: 0 nothing lost and nothing wrong, 1 could not run, 2 not understood,
3 sessions or requests lost, or octets wrong.

  holdfast-gen --front net_memif0,role=server,id=0,socket=/run/f.sock,socket-abstract=no \
      --back net_memif1,role=server,id=1,socket=/run/b.sock,socket-abstract=no \
      --target 198.51.100.10:80 --server 203.0.113.11:80 \
      --profile verify --rate 10000 --run 10 --json -

holdfast-gen(1) has the profiles and the commands of the prompt.)";

// What is only put together when everything was read.
struct Words {
    std::vector<std::string> targets, servers;
    std::string client_v4 = "198.51.100.128", client_v6 = "2001:db8:1::1:0";
    std::string ports = "1024-65535", profile = "established", close, mix, attack, idle = "sleep";
    std::optional<double> rate, open_rate;
    std::optional<uint32_t> sessions, half_open, requests, request, response;
    std::optional<uint64_t> seed;
    std::optional<unsigned> cpu;
    double timeout_ms = 200, gap_ms = 20;
    unsigned mss = 1440;
};

std::unexpected<Usage> refuse(std::string why) {
    return std::unexpected(Usage{2, "holdfast-gen: " + std::move(why) + "\n"});
}

void declare_world(CLI::App& app, RunOptions& o, Words& w) {
    GeneratorOptions& g = o.generator;
    app.add_option("--front", g.front, "DPDK device towards the clients' side; may be repeated")
        ->required();
    app.add_option("--back", g.back, "Likewise the servers' side; default: the front's");
    app.add_option("--target", w.targets, "Address and port that clients connect to")->required();
    app.add_option("--server", w.servers, "Address and port of a server; default: the targets");
    app.add_option("--clients", w.client_v4, "First IPv4 client address")->capture_default_str();
    app.add_option("--clients-v6", w.client_v6, "First IPv6 client address")->capture_default_str();
    app.add_option("--client-ports", w.ports, "Ports of each client")->capture_default_str();
    app.add_option("--cpu", w.cpu, "Core for the generator; default: any");
    app.add_option("--memory", g.eal.memory_mb, "MiB for DPDK")->capture_default_str();
    app.add_option("--frames", g.frames, "Frame buffers")
        ->check(CLI::Range(1024u, 1u << 20))
        ->capture_default_str();
    app.add_option("--descriptors", g.descriptors, "Of each device's rings")
        ->check(CLI::Range(64, 16384))
        ->capture_default_str();
    app.add_option("--idle", w.idle, "What to do when nothing comes")
        ->check(CLI::IsMember({"sleep", "spin"}))
        ->capture_default_str();
}

void declare_traffic(CLI::App& app, Words& w) {
    app.add_option("--profile", w.profile,
                   "established, connect, http, concurrent, verify, mixed or attack")
        ->capture_default_str();
    app.add_option("--rate", w.rate, "Requests or connections a second")
        ->check(CLI::Range(0.0, 1e8));
    app.add_option("--sessions", w.sessions, "Sessions, or how many may exist at once")
        ->check(CLI::Range(1u, 8u << 20));
    app.add_option("--open-rate", w.open_rate, "Sessions opened a second")
        ->check(CLI::Range(1.0, 1e8));
    app.add_option("--half-open", w.half_open, "Sessions being opened at most")
        ->check(CLI::Range(1u, 1u << 20));
    app.add_option("--requests", w.requests, "Of each connection")
        ->check(CLI::Range(1u, 1'000'000u));
    app.add_option("--request", w.request, "Octets of a request")->check(CLI::Range(6u, 1u << 30));
    app.add_option("--response", w.response, "Octets of a response; 0: acknowledged only")
        ->check(CLI::Range(0u, 1u << 30));
    app.add_option("--close", w.close, "How connections end")->check(CLI::IsMember({"fin", "rst"}));
    app.add_option("--mix", w.mix, "Distribution file of the profile mixed");
    app.add_option("--attack", w.attack, "syn=N,flags=N,rst=N,ack=N,fragments=N: frames a second");
    app.add_option("--seed", w.seed, "Of contents, numbers and attacks; default: the time");
    app.add_option("--timeout", w.timeout_ms, "Retransmission timeout, ms")
        ->check(CLI::Range(1.0, 10'000.0))
        ->capture_default_str();
    app.add_option("--gap", w.gap_ms, "Silence that counts as a gap, ms")
        ->check(CLI::Range(0.1, 60'000.0))
        ->capture_default_str();
    app.add_option("--mss", w.mss, "Octets of a segment")
        ->check(CLI::Range(64, 1460))
        ->capture_default_str();
}

void declare_run(CLI::App& app, RunOptions& o) {
    app.add_option("--run", o.run_s, "Batch mode: seconds, from when the profile runs")
        ->check(CLI::Range(0.0, 1e7));
    app.add_option("--open-limit", o.open_limit_s, "Batch mode: seconds until it does, at most")
        ->check(CLI::Range(0.1, 1e6))
        ->capture_default_str();
    app.add_option("--drain", o.drain_s, "Seconds for what is outstanding at the end")
        ->check(CLI::Range(0.0, 600.0))
        ->capture_default_str();
    app.add_option("--cmdline-file", o.commands, "Commands to execute first");
    app.add_option("--stats-period", o.stats_period_s, "Print statistics every that many seconds")
        ->check(CLI::Range(0.0, 1e6));
    app.add_option("--json", o.json, "Write the last report there; -: standard output");
    app.add_flag("!--no-hang-up", o.hang_up,
                 "Leave sessions open at the end instead of resetting them");
}

std::expected<std::vector<Endpoint>, std::string> endpoints(const std::vector<std::string>& texts) {
    std::vector<Endpoint> all;
    for (const std::string& text : texts) {
        const auto e = parse_endpoint(text);
        if (!e) return std::unexpected(fmt::format("'{}' is not ADDRESS:PORT", text));
        all.push_back(*e);
    }
    if (all.size() > 255) return std::unexpected("more than 255 addresses");
    return all;
}

std::expected<void, std::string> set_addresses(const Words& w, Addresses& a) {
    const auto targets = endpoints(w.targets), servers = endpoints(w.servers);
    if (!targets) return std::unexpected(targets.error());
    if (!servers) return std::unexpected(servers.error());
    a.targets = *targets;
    a.servers = servers->empty() ? *targets : *servers;
    const auto v4 = parse_ip(w.client_v4), v6 = parse_ip(w.client_v6);
    if (!v4 || !v4->is_v4())
        return std::unexpected(fmt::format("'{}' is not an IPv4 address", w.client_v4));
    if (!v6 || v6->is_v4())
        return std::unexpected(fmt::format("'{}' is not an IPv6 address", w.client_v6));
    a.client_v4 = *v4;
    a.client_v6 = *v6;
    unsigned first = 0, last = 0;
    if (std::sscanf(w.ports.c_str(), "%u-%u", &first, &last) != 2 || first < 1 || last > 65535 ||
        first > last)
        return std::unexpected(fmt::format("'{}' is not a range of ports", w.ports));
    a.first_port = static_cast<uint16_t>(first);
    a.last_port = static_cast<uint16_t>(last);
    return {};
}

std::expected<Profile, std::string> make_profile(const Words& w) {
    auto p = profile_by_name(w.profile);
    if (!p) return p;
    if (!w.mix.empty()) {
        auto classes = read_mix(w.mix);
        if (!classes) return std::unexpected(classes.error());
        p->classes = *classes;
        p->kind = Kind::connections;
    } else if (w.profile == "mixed") {
        return std::unexpected("the profile mixed needs --mix FILE");
    }
    for (FlowClass& c : p->classes) {
        c.request = w.request.value_or(c.request);
        c.response = w.response.value_or(c.response);
        if (p->kind == Kind::connections) c.requests = w.requests.value_or(c.requests);
        if (w.requests || w.request || w.response) c.silent = false;
        if (!w.close.empty()) c.close = w.close == "rst" ? Close::rst : Close::fin;
    }
    p->rate = w.rate.value_or(p->rate);
    p->open_rate = w.open_rate.value_or(p->open_rate);
    p->sessions = w.sessions.value_or(p->sessions);
    p->half_open = w.half_open.value_or(p->half_open);
    if (w.attack.empty()) return p;
    const auto attack = parse_attack(w.attack);
    if (!attack) return std::unexpected(attack.error());
    p->attack = *attack;
    return p;
}

}  // namespace

std::expected<std::vector<FlowClass>, std::string> read_mix(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    if (!file) return std::unexpected(fmt::format("{}: cannot be read", path));
    return parse_mix(path, text.str());
}

std::expected<RunOptions, Usage> parse_arguments(std::vector<std::string> arguments) {
    RunOptions o;
    Words w;
    CLI::App app(
        "Traffic for a TCP appliance: clients on one port, servers on the other, every octet "
        "checked.",
        "holdfast-gen");
    app.footer(kFooter);
    declare_world(app, o, w);
    declare_traffic(app, w);
    declare_run(app, o);
    try {
        std::ranges::reverse(arguments);  // as CLI11 wants it
        app.parse(arguments);
    } catch (const CLI::ParseError& e) {
        std::ostringstream out, err;
        const int code = app.exit(e, out, err);
        return std::unexpected(Usage{code == 0 ? 0 : 2, out.str() + err.str()});
    }
    EngineOptions& e = o.generator.engine;
    if (auto set = set_addresses(w, e.addresses); !set) return refuse(set.error());
    auto profile = make_profile(w);
    if (!profile) return refuse(profile.error());
    e.profile = *profile;
    e.seed = w.seed.value_or(static_cast<uint64_t>(::time(nullptr)));
    e.timeout = Duration::nanoseconds(static_cast<int64_t>(w.timeout_ms * 1e6));
    e.gap = Duration::nanoseconds(static_cast<int64_t>(w.gap_ms * 1e6));
    e.limits.mss = w.mss;
    o.generator.idle = w.idle == "spin" ? Idle::spin : Idle::sleep;
    if (w.cpu) o.generator.eal.worker_cpus = {*w.cpu};
    if (e.addresses.client_addresses(e.profile.sessions) > 60'000)
        return refuse("too many sessions for so few ports");
    return o;
}

}  // namespace holdfast::gen
