// For tests of the engine: a wire in virtual time between the engine's ports, with an appliance on
// it if wanted: a NAT that forgets, falls silent and moves to another port as it is told.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "dataplane/wire/testing.h"
#include "tools/trafficgen/engine.h"

namespace holdfast::gen {

using holdfast::testing::Buffer;
using holdfast::testing::endpoint;
using holdfast::testing::ip;
using holdfast::testing::mac;

inline EngineOptions test_options(std::string_view profile) {
    EngineOptions o;
    o.addresses.targets = {endpoint("198.51.100.10:80")};
    o.addresses.servers = o.addresses.targets;
    o.addresses.client_v4 = ip("198.51.100.128");
    o.addresses.client_v6 = ip("2001:db8:1::1:0");
    o.profile = *profile_by_name(profile);
    o.front = {.ports = {0}, .mac = mac(1)};
    o.back = {.ports = {0}, .mac = mac(2)};
    return o;
}

// What the engine sends comes back to it after a while, unless it is lost.
class World final : public FrameOut {
public:
    struct Flying {
        Instant arrives;
        unsigned port;
        Buffer frame;
    };
    // Says where a frame that left through a port arrives; may change it. nullopt: nowhere.
    using Wire = std::function<std::optional<unsigned>(unsigned port, Buffer& frame)>;

    explicit World(const EngineOptions& options) : engine(options, *this, now) {}

    MutableBytes compose(unsigned port, size_t size) override {
        composed_.push_back({port, Buffer(size)});
        return composed_.back().second;
    }
    // One event: the next frame that arrives, or the next deadline.
    void step() {
        send();
        const Instant frame = flying_.empty() ? Instant::max() : flying_.front().arrives;
        const Instant deadline = std::max(engine.next_deadline(), now);
        now = earlier(frame, deadline);
        if (frame <= deadline) {
            Flying f = std::move(flying_.front());
            flying_.pop_front();
            engine.on_frame(f.port, f.frame, now);
        } else {
            engine.on_deadline(now);
        }
        send();
    }
    void run_for(Duration d) {
        const Instant end = now + d;
        while (now < end) step();
    }
    bool run_until(const std::function<bool()>& condition, Duration most) {
        for (const Instant end = now + most; now < end; step())
            if (condition()) return true;
        return condition();
    }

    Instant now{5'000'000'000};
    Wire wire = [](unsigned port, Buffer&) { return port; };
    Duration delay = Duration::microseconds(50);
    std::vector<Buffer> sent;  // all frames, if wanted
    bool record = false;
    Engine engine;

private:
    void send() {
        for (auto& [port, frame] : composed_) {
            if (record) sent.push_back(frame);
            if (const auto to = wire(port, frame))
                flying_.push_back({now + delay, *to, std::move(frame)});
        }
        composed_.clear();
    }
    std::deque<std::pair<unsigned, Buffer>> composed_;
    std::deque<Flying> flying_;
};

}  // namespace holdfast::gen
