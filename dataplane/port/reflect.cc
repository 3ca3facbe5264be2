// port_reflect: poll loops on real devices with a Reflector behind them. Used by tests/system and
// for measuring what the loop itself costs.
//
//   port_reflect [--huge] [--workers N] [--spin] [--wire] [--tick MS] [--take ADDRESS]... [--frames
//   N] DEVICE [DEVICE]
//
// With --take, AF_XDP devices get our steering program and only frames for those addresses.
// The first device is front, the second back. Prints "ready", runs until SIGTERM or SIGINT, then
// prints counters, one "name value" a line.
#include <fmt/format.h>
#include <getopt.h>
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "dataplane/port/eal.h"
#include "dataplane/port/poll_loop.h"
#include "dataplane/port/reflector.h"
#include "dataplane/steer/steer.h"

namespace holdfast {
namespace {

struct Settings {
    EalOptions eal;
    DeviceOptions port;
    Idle idle = Idle::sleep;
    bool wire = false;
    int tick_ms = 0;
    uint32_t frames = 16384;
    std::vector<IpAddress> take;  // net_af_xdp: what is ours; nothing: everything
    std::vector<std::string> devices;
};

struct Worker {
    std::unique_ptr<Transmitter> out;
    std::unique_ptr<Reflector> target;
    std::unique_ptr<PollLoop> loop;
};

Settings parse(int argc, char** argv) {
    Settings s;
    static const option options[] = {
        {"huge", 0, nullptr, 'h'}, {"workers", 1, nullptr, 'w'}, {"spin", 0, nullptr, 's'},
        {"tick", 1, nullptr, 't'}, {"take", 1, nullptr, 'a'},    {"frames", 1, nullptr, 'f'},
        {"log", 1, nullptr, 'l'},  {"wire", 0, nullptr, 'W'},    {nullptr, 0, nullptr, 0}};
    int c;
    while ((c = getopt_long(argc, argv, "", options, nullptr)) != -1) switch (c) {
            case 'h':
                s.eal.huge_pages = true;
                break;
            case 'w':
                s.eal.workers = s.port.workers = static_cast<unsigned>(atoi(optarg));
                break;
            case 's':
                s.idle = Idle::spin;
                break;
            case 'W':
                s.wire = true;
                break;
            case 't':
                s.tick_ms = atoi(optarg);
                break;
            case 'a':
                s.take.push_back(parse_ip(optarg).value());
                break;
            case 'f':
                s.frames = static_cast<uint32_t>(atoi(optarg));
                break;
            case 'l':
                s.eal.log_level = optarg;
                break;
            default:
                exit(2);
        }
    s.devices.assign(argv + optind, argv + argc);
    s.eal.memory_mb = 64 + s.frames / 256;
    return s;
}

template <typename T>
[[noreturn]] void fail(const T& result) {
    fmt::print(stderr, "port_reflect: {}\n", result.error());
    exit(1);
}

void print_counters(const std::vector<Worker>& workers,
                    const std::vector<std::unique_ptr<Port>>& ports) {
    for (size_t w = 0; w < workers.size(); ++w) {
        for (const auto& c : kLoopCounters)
            fmt::print("worker{}.{} {}\n", w, c.name, workers[w].loop->counters().*c.member);
        for (const auto& c : kTransmitCounters)
            fmt::print("worker{}.{} {}\n", w, c.name, workers[w].out->counters().*c.member);
    }
    for (const auto& p : ports) {
        fmt::print("{}.driver {}\n{}.rx_packets {}\n", p->name(), p->driver(), p->name(),
                   p->stats().rx_packets);
        for (const auto& [name, value] : p->extended_stats())
            fmt::print("{}.{} {}\n", p->name(), name, value);
    }
}

std::unique_ptr<Port> open(const Settings& s, DeviceOptions options, FramePool& pool,
                           std::vector<std::unique_ptr<Steer>>& steers) {
    auto interface = af_xdp_interface(options.device);
    auto program = SteerProgram::create();
    if (!program) fail(program);
    if (interface && !s.take.empty()) {
        if (auto e = detach_leftover(*interface); !e) fail(e);
        options.xdp_object = program->path();
    }
    auto port = Port::open(options, pool);
    if (!port) fail(port);
    if (!options.xdp_object.empty()) {
        auto steer = Steer::find(*interface);
        if (!steer) fail(steer);
        for (const IpAddress& a : s.take)
            if (auto e = (*steer)->take(a); !e) fail(e);
        steers.push_back(std::move(*steer));
    }
    return std::move(*port);
}

int run(Settings s) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, nullptr);

    auto eal = Eal::start(s.eal);
    if (!eal) fail(eal);
    auto pool = FramePool::create(s.frames);
    if (!pool) fail(pool);
    std::vector<std::unique_ptr<Port>> ports;
    std::vector<std::unique_ptr<Steer>> steers;
    for (const std::string& device : s.devices) {
        s.port.name = ports.empty() ? "front" : "back";
        s.port.device = device;
        ports.push_back(open(s, s.port, **pool, steers));
    }
    SystemClock clock;
    std::unique_ptr<Handover> handover;
    if (s.eal.workers > 1) handover = std::make_unique<Handover>(s.eal.workers, 1024);
    std::vector<Worker> workers(s.eal.workers);
    for (unsigned w = 0; w < workers.size(); ++w) {
        Worker& k = workers[w];
        PollLoopOptions options{.worker = w, .workers = s.eal.workers, .idle = s.idle};
        k.out = std::make_unique<Transmitter>(w, **pool, clock, options.stall_bound);
        k.target = std::make_unique<Reflector>(ports[0]->mac());
        if (s.wire) k.target->be_a_wire();
        if (s.tick_ms > 0) k.target->tick_every(Duration::milliseconds(s.tick_ms));
        k.loop = std::make_unique<PollLoop>(options, clock, *k.out, *k.target);
        for (size_t i = 0; i < ports.size(); ++i) {
            Side side = i == 0 ? Side::front : Side::back;
            k.loop->add_port(side, *ports[i]);
            k.out->attach(side, *ports[i]);
        }
        if (handover) k.loop->set_handover(*handover);
    }
    for (unsigned w = 0; w < workers.size(); ++w) {
        Worker& k = workers[w];
        (*eal)->launch(w, [&k] { k.loop->run(); });
    }
    fmt::print("ready {}\n", (*eal)->command_line());
    std::fflush(stdout);
    int signal;
    sigwait(&signals, &signal);
    for (Worker& k : workers) k.loop->stop();
    for (unsigned w = 0; w < workers.size(); ++w) (*eal)->join(w);
    print_counters(workers, ports);
    for (const auto& steer : steers)
        for (const auto& c : kSteerCounters)
            fmt::print("steer.{} {}\n", c.name, steer->counters().*c.member);
    return 0;
}

}  // namespace
}  // namespace holdfast

int main(int argc, char** argv) { return holdfast::run(holdfast::parse(argc, argv)); }
