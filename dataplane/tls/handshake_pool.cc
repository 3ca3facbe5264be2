#include "dataplane/tls/handshake_pool.h"

#include <array>
#include <bit>
#include <thread>

#include "base/check.h"
#include "base/spsc_queue.h"

namespace holdfast {
namespace {

using TaskQueue = SpscQueue<std::unique_ptr<HandshakeTask>>;

// Between one worker and one thread. At most `size` tasks are in a lane in all, so neither queue is
// ever full when its writer has something.
struct Lane {
    explicit Lane(size_t size) : todo(size), done(size) {}
    TaskQueue todo, done;
    size_t under_way = 0;  // the worker's own count
};

// What a thread sleeps on: a worker that has given it something adds one, and wakes it if it
// sleeps.
struct alignas(64) Doorbell {
    std::atomic<uint32_t> rung = 0;
    std::atomic<bool> asleep = false;

    void ring() {
        rung.fetch_add(1, std::memory_order_seq_cst);
        if (asleep.load(std::memory_order_seq_cst)) rung.notify_one();
    }
    void wait(uint32_t since) {
        asleep.store(true, std::memory_order_seq_cst);
        rung.wait(since, std::memory_order_seq_cst);  // not when it was rung since
        asleep.store(false, std::memory_order_relaxed);
    }
};

class Front final : public Handshakes {
public:
    Front(std::vector<std::unique_ptr<Lane>>& lanes, std::vector<Doorbell>& bells, size_t queue)
        : lanes_(lanes), bells_(bells), queue_(queue) {}

    bool submit(std::unique_ptr<HandshakeTask>& task) override {
        size_t least = 0;
        for (size_t i = 1; i < lanes_.size(); ++i)
            if (lanes_[i]->under_way < lanes_[least]->under_way) least = i;
        Lane& lane = *lanes_[least];
        if (lane.under_way == queue_) {
            ++counters_.refused;
            return false;
        }
        ++lane.under_way;
        ++counters_.submitted;
        lane.todo.push(std::move(task));
        bells_[least].ring();
        return true;
    }
    std::unique_ptr<HandshakeTask> poll() override {
        for (size_t n = lanes_.size(); n-- > 0;) {
            Lane& lane = *lanes_[next_];
            next_ = next_ + 1 == lanes_.size() ? 0 : next_ + 1;
            if (lane.under_way == 0) continue;
            if (auto task = lane.done.pop()) {
                --lane.under_way;
                count(*task);
                return task;
            }
        }
        return nullptr;
    }

private:
    std::vector<std::unique_ptr<Lane>>& lanes_;
    std::vector<Doorbell>& bells_;
    size_t queue_;
    size_t next_ = 0;
};

}  // namespace

void HandshakeTask::run() {
    output.clear();
    const auto step = handshake.feed(input, output);
    status = step.status;
    consumed = step.consumed;
    if (status == TlsHandshakeStatus::done)
        detached = std::make_unique<TlsDetached>(handshake.detach());
}

void Handshakes::count(const HandshakeTask& finished) {
    ++counters_.returned;
    if (finished.status == TlsHandshakeStatus::failed) ++counters_.failed;
    if (finished.status != TlsHandshakeStatus::done) return;
    ++counters_.completed;
    if (finished.detached->resumed) ++counters_.resumed;
}

bool InlineHandshakes::submit(std::unique_ptr<HandshakeTask>& task) {
    if (done_.size() >= limit_) {
        ++counters_.refused;
        return false;
    }
    ++counters_.submitted;
    task->run();
    done_.push_back(std::move(task));
    return true;
}

std::unique_ptr<HandshakeTask> InlineHandshakes::poll() {
    if (done_.empty()) return nullptr;
    auto task = std::move(done_.front());
    done_.pop_front();
    count(*task);
    return task;
}

struct HandshakePool::Impl {
    explicit Impl(const Options& options) : bells(options.threads), lanes(options.workers) {
        CHECK(options.workers > 0 && options.threads > 0);
        for (auto& of_worker : lanes)
            for (unsigned t = 0; t < options.threads; ++t)
                of_worker.push_back(std::make_unique<Lane>(options.queue));
        for (auto& of_worker : lanes)
            fronts.push_back(std::make_unique<Front>(of_worker, bells, options.queue));
        for (unsigned t = 0; t < options.threads; ++t)
            threads.emplace_back([this, t, on_start = options.on_start] {
                if (on_start) on_start(t);
                run(t);
            });
    }

    // One step of each worker in turn: none waits for another's burst.
    void run(unsigned thread) {
        while (!stopping.load(std::memory_order_acquire)) {
            const uint32_t since = bells[thread].rung.load(std::memory_order_seq_cst);
            bool idle = true;
            for (auto& of_worker : lanes) {
                Lane& lane = *of_worker[thread];
                if (auto task = lane.todo.pop()) {
                    task->run();
                    lane.done.push(std::move(task));
                    idle = false;
                }
            }
            if (idle && !stopping.load(std::memory_order_acquire)) bells[thread].wait(since);
        }
    }

    std::atomic<bool> stopping = false;
    std::vector<Doorbell> bells;
    std::vector<std::vector<std::unique_ptr<Lane>>> lanes;  // [worker][thread]
    std::vector<std::unique_ptr<Front>> fronts;
    std::vector<std::thread> threads;
};

HandshakePool::HandshakePool(const Options& options) : impl_(std::make_unique<Impl>(options)) {}

HandshakePool::~HandshakePool() { stop(); }

Handshakes& HandshakePool::of(unsigned worker) { return *impl_->fronts.at(worker); }

void HandshakePool::stop() {
    impl_->stopping.store(true, std::memory_order_release);
    for (Doorbell& bell : impl_->bells) {
        bell.rung.fetch_add(1, std::memory_order_seq_cst);
        bell.rung.notify_all();
    }
    for (std::thread& thread : impl_->threads)
        if (thread.joinable()) thread.join();
}

}  // namespace holdfast
