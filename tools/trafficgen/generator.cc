#include "tools/trafficgen/generator.h"

#include <fmt/format.h>

#include <thread>

namespace holdfast::gen {

std::expected<std::unique_ptr<Generator>, std::string> Generator::create(
    const GeneratorOptions& options) {
    std::unique_ptr<Generator> made(new Generator(options));
    if (auto opened = made->open(); !opened) return std::unexpected(opened.error());
    made->make_engine();
    made->running_ = true;
    made->eal_->launch(0, [loop = made->loop_.get()] { loop->run(); });
    return made;
}

std::expected<void, std::string> Generator::open() {
    auto eal = Eal::start(options_.eal);
    if (!eal) return std::unexpected(eal.error());
    eal_ = std::move(*eal);
    auto pool = FramePool::create(options_.frames);
    if (!pool) return std::unexpected(pool.error());
    pool_ = std::move(*pool);
    loop_ = std::make_unique<Loop>(*pool_, clock_, options_.idle);
    auto front = open_ports("front", options_.front);
    if (!front) return std::unexpected(front.error());
    auto back = options_.back.empty() ? front : open_ports("back", options_.back);
    if (!back) return std::unexpected(back.error());
    options_.engine.front = {.ports = *front, .mac = ports_[front->front()]->mac()};
    options_.engine.back = {.ports = *back, .mac = ports_[back->front()]->mac()};
    return {};
}

std::expected<std::vector<unsigned>, std::string> Generator::open_ports(
    const char* side, const std::vector<std::string>& devices) {
    std::vector<unsigned> numbers;
    for (const std::string& device : devices) {
        DeviceOptions o;
        o.name = devices.size() == 1 ? side : fmt::format("{}{}", side, numbers.size());
        o.device = device;
        o.descriptors = options_.descriptors;
        auto port = Port::open(o, *pool_);
        if (!port) return std::unexpected(port.error());
        numbers.push_back(static_cast<unsigned>(ports_.size()));
        loop_->add_port(**port);
        ports_.push_back(std::move(*port));
    }
    return numbers;
}

void Generator::make_engine() {
    const Instant now = clock_.now();
    engine_ = std::make_unique<Engine>(options_.engine, *loop_, now);
    began_ = now;
    if (running_)
        in_loop([&] {
            loop_->clear_counters();
            loop_->set_engine(engine_.get());
        });
    else
        loop_->set_engine(engine_.get());
}

Generator::~Generator() {
    if (running_) {
        loop_->stop();
        eal_->join(0);
    }
    engine_.reset();
    loop_.reset();
    ports_.clear();
    pool_.reset();
    eal_.reset();
}

void Generator::start() {
    in_loop([&] { engine_->start(clock_.now()); });
}
void Generator::stop() {
    in_loop([&] { engine_->stop(clock_.now()); });
}
void Generator::set_rate(double rate) {
    options_.engine.profile.rate = rate;
    in_loop([&] { engine_->set_rate(rate, clock_.now()); });
}
void Generator::set_attack(const Attack& attack) {
    options_.engine.profile.attack = attack;
    in_loop([&] { engine_->set_attack(attack, clock_.now()); });
}
void Generator::clear() {
    in_loop([&] {
        engine_->clear();
        loop_->clear_counters();
    });
    began_ = clock_.now();
}

void Generator::rebuild(const Profile& profile) {
    hang_up();
    in_loop([&] { loop_->set_engine(nullptr); });
    options_.engine.profile = profile;
    engine_.reset();
    make_engine();
}

// A poll's worth at a time, so that the ports get rid of it.
void Generator::hang_up() {
    stop();
    for (bool more = true; more;) {
        in_loop([&] { more = engine_->hang_up(clock_.now()); });
        std::this_thread::sleep_for(std::chrono::microseconds(20));
    }
}

Phase Generator::phase() {
    Phase phase = Phase::stopped;
    in_loop([&] { phase = engine_->phase(); });
    return phase;
}
Snapshot Generator::snapshot() {
    Snapshot s;
    in_loop([&] {
        s = take_snapshot(*engine_, began_, clock_.now());
        s.devices = loop_->counters();
    });
    for (const auto& port : ports_) s.ports.emplace_back(port->name(), port->stats());
    return s;
}

std::string Generator::extended_port_stats() const {
    std::string out;
    for (const auto& port : ports_) {
        out += fmt::format("  port {}\n", port->name());
        for (const auto& [name, value] : port->extended_stats())
            if (value > 0) out += fmt::format("    {}: {}\n", name, value);
    }
    return out;
}

}  // namespace holdfast::gen
