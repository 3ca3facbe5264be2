#include "dataplane/port/mailbox.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace holdfast {
namespace {

TEST(Mailbox, RunsOnTheWorkersThreadAndBlocksUntilDone) {
    Mailbox box;
    std::atomic<bool> stop{false};
    std::thread::id ran;
    std::thread worker([&] {
        while (!stop.load()) box.poll();
        box.close();
    });
    EXPECT_TRUE(box.run([&] { ran = std::this_thread::get_id(); }));
    EXPECT_EQ(ran, worker.get_id());
    stop.store(true);
    worker.join();
}

TEST(Mailbox, CallersTakeTurns) {
    Mailbox box;
    int sum = 0;  // only ever touched by the worker
    std::atomic<int> left{4};
    std::thread worker([&] {
        while (left.load() > 0) box.poll();
        box.close();
    });
    std::vector<std::thread> callers;
    for (int c = 0; c < 4; ++c)
        callers.emplace_back([&] {
            for (int i = 0; i < 500; ++i) EXPECT_TRUE(box.run([&] { ++sum; }));
            --left;
        });
    for (std::thread& t : callers) t.join();
    worker.join();
    EXPECT_EQ(sum, 2000);
}

TEST(Mailbox, ClosedRefusesWithoutExecuting) {
    Mailbox box;
    box.close();
    bool ran = false;
    EXPECT_FALSE(box.run([&] { ran = true; }));
    EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace holdfast
