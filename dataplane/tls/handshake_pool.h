// Threads that run handshakes for packet workers: a step takes longer than a poll may.
//
// A worker gives a task away and gets it back changed: one owner at a time, no lock. Between each
// worker and each thread are two bounded queues with one writer and one reader; a worker never
// waits, a full queue is a refusal it counts. Idle threads sleep on a futex, woken by a worker only
// when they do sleep. stop() ends all threads after the step they are in; what is queued is
// dropped. InlineHandshakes has the same interface and runs each step at once: for the simulator,
// and where there are no threads to spare. This is the only file of the data plane that makes
// threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "base/counters.h"
#include "dataplane/tls/handshake.h"

namespace holdfast {

// A step of a handshake: what goes in and what comes out.
struct HandshakeTask {
    explicit HandshakeTask(uint64_t of, std::shared_ptr<const TlsContext> context)
        : token(of), handshake(std::move(context)) {}

    uint64_t token;  // the caller's: which connection
    TlsHandshake handshake;
    std::vector<std::byte> input;
    // Filled in by the step:
    std::vector<std::byte> output;
    size_t consumed = 0;
    TlsHandshakeStatus status = TlsHandshakeStatus::want_more;
    std::unique_ptr<TlsDetached> detached;  // when done

    void run();
};

struct HandshakeCounters {
    uint64_t submitted = 0;
    uint64_t refused = 0;
    uint64_t returned = 0;
    uint64_t completed = 0;
    uint64_t resumed = 0;
    uint64_t failed = 0;
};

inline constexpr CounterInfo<HandshakeCounters> kHandshakeCounters[] = {
    {"tls_handshake_steps", "Handshake steps given to helper threads.",
     &HandshakeCounters::submitted},
    {"tls_handshake_steps_refused", "Steps refused because every queue was full.",
     &HandshakeCounters::refused},
    {"tls_handshake_steps_returned", "Steps that came back.", &HandshakeCounters::returned},
    {"tls_handshakes_completed", "Handshakes that ended well, resumed ones included.",
     &HandshakeCounters::completed},
    {"tls_handshakes_resumed", "Handshakes that resumed a session.", &HandshakeCounters::resumed},
    {"tls_handshakes_failed", "Handshakes that failed.", &HandshakeCounters::failed},
};

// What a worker sees.
class Handshakes {
public:
    virtual ~Handshakes() = default;
    // Takes the task, or leaves it where it is and says false: too much is waiting already.
    virtual bool submit(std::unique_ptr<HandshakeTask>& task) = 0;
    // A finished step, or nothing.
    virtual std::unique_ptr<HandshakeTask> poll() = 0;
    const HandshakeCounters& counters() const { return counters_; }

protected:
    void count(const HandshakeTask& finished);
    HandshakeCounters counters_;
};

class InlineHandshakes final : public Handshakes {
public:
    // `queue`: steps finished and not polled, beyond which more are refused.
    explicit InlineHandshakes(size_t queue = 1'024) : limit_(queue) {}
    bool submit(std::unique_ptr<HandshakeTask>& task) override;
    std::unique_ptr<HandshakeTask> poll() override;

private:
    size_t limit_;
    std::deque<std::unique_ptr<HandshakeTask>> done_;
};

class HandshakePool {
public:
    struct Options {
        unsigned workers = 1;
        unsigned threads = 1;
        // Steps between one worker and one thread, each way; a power of two. Half a second of work:
        // a client that waits longer had better be told.
        unsigned queue = 1'024;
        // Called first in each thread: its name, its processors (it inherits the caller's).
        std::function<void(unsigned thread)> on_start;
    };
    explicit HandshakePool(const Options& options);
    ~HandshakePool();
    HandshakePool(const HandshakePool&) = delete;
    HandshakePool& operator=(const HandshakePool&) = delete;

    // Of worker w; used by that worker's thread only, until stop().
    Handshakes& of(unsigned worker);
    void stop();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast
