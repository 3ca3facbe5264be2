#include "dataplane/tls/handshake_pool.h"

#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "dataplane/tls/testing.h"

namespace holdfast {
namespace {

using namespace tls_testing;

std::unique_ptr<HandshakeTask> task(uint64_t token, std::shared_ptr<const TlsContext> context,
                                    Client& client) {
    auto made = std::make_unique<HandshakeTask>(token, std::move(context));
    made->input = client.exchange({});
    return made;
}

// What a worker does: `count` handshakes, all under way at once.
void serve(Handshakes& handshakes, std::shared_ptr<const TlsContext> context, uint64_t count) {
    std::map<uint64_t, Client> clients;
    uint64_t finished = 0;
    std::vector<std::unique_ptr<HandshakeTask>> waiting;
    for (uint64_t i = 0; i < count; ++i)
        waiting.push_back(task(i, context, clients.try_emplace(i).first->second));
    while (finished < count) {
        while (!waiting.empty() && handshakes.submit(waiting.back())) waiting.pop_back();
        auto step = handshakes.poll();
        if (!step) {
            std::this_thread::yield();
            continue;
        }
        Client& client = clients.at(step->token);
        EXPECT_EQ(step->consumed, step->input.size());
        step->input = client.exchange(step->output);
        if (step->status == TlsHandshakeStatus::want_more) {
            waiting.push_back(std::move(step));
            continue;
        }
        ++finished;
        ASSERT_EQ(step->status, TlsHandshakeStatus::done);
        ASSERT_TRUE(step->detached);
        Server server(*step->detached->state);
        client.exchange(server.seal(std::to_string(step->token)));
        EXPECT_EQ(client.received(), std::to_string(step->token));
    }
    EXPECT_EQ(handshakes.counters().completed, count);
    EXPECT_EQ(handshakes.counters().failed, 0u);
    EXPECT_EQ(handshakes.poll(), nullptr);
}

TEST(HandshakePool, TwoWorkersTwoThreads) {
    HandshakePool pool({.workers = 2, .threads = 2, .queue = 4, .on_start = {}});
    const auto context = load(usual());
    std::thread other([&] { serve(pool.of(1), context, 40); });
    serve(pool.of(0), context, 40);
    other.join();
}

TEST(HandshakePool, InlineIsTheSame) {
    InlineHandshakes handshakes;
    serve(handshakes, load(usual()), 20);
}

TEST(HandshakePool, TooMuchIsRefusedAtOnce) {
    HandshakePool pool({.workers = 1, .threads = 1, .queue = 2, .on_start = {}});
    InlineHandshakes handshakes(2);
    for (Handshakes* h : {&pool.of(0), static_cast<Handshakes*>(&handshakes)}) {
        const auto context = load(usual());
        Client clients[3];
        for (uint64_t i = 0; i < 3; ++i) {
            auto t = task(i, context, clients[i]);
            EXPECT_EQ(h->submit(t), i < 2);
            EXPECT_EQ(t == nullptr, i < 2);  // left where it was
        }
        EXPECT_EQ(h->counters().refused, 1u);
    }
}

TEST(HandshakePool, StopsWithWorkInItsQueues) {
    const auto context = load(usual());
    for (int i = 0; i < 20; ++i) {
        Client clients[8];
        HandshakePool pool({.workers = 1, .threads = 2, .queue = 4, .on_start = {}});
        for (uint64_t n = 0; n < 8; ++n) {
            auto t = task(n, context, clients[n]);
            pool.of(0).submit(t);
        }
        pool.stop();
    }
}

}  // namespace
}  // namespace holdfast
