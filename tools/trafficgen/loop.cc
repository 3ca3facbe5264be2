#include "tools/trafficgen/loop.h"

#include <sys/prctl.h>

namespace holdfast::gen {
namespace {

// How long it polls on when nothing comes, and how long it sleeps at most where no descriptor would
// wake it. Guesses: what a wake-up costs, and what latencies may be wrong by when it sleeps.
constexpr Duration kSpinFor = Duration::microseconds(20);
constexpr Duration kNap = Duration::microseconds(20);
constexpr Duration kLongestSleep = Duration::milliseconds(1);

}  // namespace

Loop::Loop(FramePool& pool, Clock& clock, Idle idle)
    : ports_(pool), clock_(clock), idle_(idle), mailbox_([this] { sleeper_.wake(); }) {}

void Loop::add_port(Port& port) {
    ports_.add(port);
    for (const int fd : port.doorbells(0)) sleeper_.add(fd);
    all_ring_ &= !port.doorbells(0).empty();
}

void Loop::run() {
    prctl(PR_SET_TIMERSLACK, 1);  // the kernel's default adds 50 us to every sleep
    now_ = last_work_ = clock_.now();
    while (!stop_.load(std::memory_order_relaxed))
        if (!poll() && idle_ == Idle::sleep) rest();
    mailbox_.close();
}

void Loop::stop() {
    stop_.store(true);
    sleeper_.wake();
}

bool Loop::poll() {
    const Instant now = clock_.now();
    if (engine_ != nullptr && now - now_ >= kStall) engine_->on_stall(now - now_);
    now_ = now;
    bool work = mailbox_.poll();
    work |= ports_.receive(*this) > 0;
    if (engine_ != nullptr && engine_->next_deadline() <= now) {
        engine_->on_deadline(now);
        work |= engine_->next_deadline() <= now;
    }
    ports_.flush();
    if (work) last_work_ = now;
    return work;
}

void Loop::rest() {
    if (now_ - last_work_ < kSpinFor) return;
    sleeper_.prepare();
    Duration bound = all_ring_ ? kLongestSleep : kNap;
    if (engine_ != nullptr) bound = std::min(bound, engine_->next_deadline() - clock_.now());
    if (bound.ns <= 0 || mailbox_.pending() || stop_.load()) return sleeper_.cancel();
    sleeper_.sleep(bound);
}

}  // namespace holdfast::gen
