#include "base/spsc_queue.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>

namespace holdfast {
namespace {

TEST(SpscQueue, GivesInOrderAndRefusesWhenFull) {
    SpscQueue<std::unique_ptr<int>> queue(4);
    EXPECT_EQ(queue.pop(), nullptr);
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 4; ++i) {
            EXPECT_FALSE(queue.full());
            queue.push(std::make_unique<int>(i));
        }
        EXPECT_TRUE(queue.full());
        for (int i = 0; i < 4; ++i) EXPECT_EQ(*queue.pop(), i);
        EXPECT_EQ(queue.pop(), nullptr);
    }
}

TEST(SpscQueue, BetweenThreads) {
    constexpr int kMany = 200'000;
    SpscQueue<std::unique_ptr<int>> queue(64);
    std::thread writer([&] {
        for (int i = 0; i < kMany; ++i) {
            while (queue.full()) std::this_thread::yield();
            queue.push(std::make_unique<int>(i));
        }
    });
    for (int i = 0; i < kMany; ++i) {
        std::unique_ptr<int> got;
        while (!(got = queue.pop())) std::this_thread::yield();
        ASSERT_EQ(*got, i);
    }
    writer.join();
}

}  // namespace
}  // namespace holdfast
