// The generator on real ports and the real clock: receive, let the engine decide, send, rest.
//
// One thread runs run(); all others reach the engine through the mailbox, between two polls.
#pragma once

#include <atomic>
#include <memory>

#include "dataplane/port/clock.h"
#include "dataplane/port/mailbox.h"
#include "dataplane/port/port_set.h"
#include "dataplane/port/sleeper.h"
#include "tools/trafficgen/engine.h"

namespace holdfast::gen {

class Loop final : public FrameSink, public FrameOut {
public:
    // Not having been polled for that long is told to the engine.
    static constexpr Duration kStall = Duration::milliseconds(5);

    Loop(FramePool& pool, Clock& clock, Idle idle);

    // Before run().
    void add_port(Port& port);

    void run();
    void stop();
    Mailbox& mailbox() { return mailbox_; }
    // Through the mailbox only.
    void set_engine(Engine* engine) { engine_ = engine; }
    const PortSetCounters& counters() const { return ports_.counters(); }
    void clear_counters() { ports_.clear_counters(); }

private:
    bool poll();
    void rest();
    void on_frame(unsigned port, Bytes frame) override {
        if (engine_ != nullptr) engine_->on_frame(port, frame, now_);
    }
    MutableBytes compose(unsigned port, size_t size) override { return ports_.compose(port, size); }

    PortSet ports_;
    Clock& clock_;
    Idle idle_;
    Engine* engine_ = nullptr;
    Sleeper sleeper_;
    Mailbox mailbox_;
    bool all_ring_ = true;  // every port has a descriptor to sleep on
    Instant now_{}, last_work_{};
    std::atomic<bool> stop_{false};
};

}  // namespace holdfast::gen
