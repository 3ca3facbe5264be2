#include "base/byte_queue.h"

#include <gtest/gtest.h>

#include <deque>

#include "base/random.h"

namespace holdfast {
namespace {

TEST(ByteQueue, AgreesWithADequeUnderRandomUse) {
    Random random(1);
    ByteQueue queue;
    std::deque<std::byte> model;
    for (unsigned step = 0; step < 20'000; ++step) {
        if (random.below(2)) {
            std::vector<std::byte> bytes(random.below(50));
            for (std::byte& b : bytes) b = static_cast<std::byte>(random.next());
            queue.append(bytes);
            model.insert(model.end(), bytes.begin(), bytes.end());
        } else {
            const size_t n = random.below(queue.size() + 1);
            queue.drop_front(n);
            model.erase(model.begin(), model.begin() + static_cast<std::ptrdiff_t>(n));
        }
        if (step % 1'000 == 0) queue.clear(), model.clear();
        ASSERT_TRUE(std::ranges::equal(queue.view(), model));
        ASSERT_EQ(queue.empty(), model.empty());
    }
}

}  // namespace
}  // namespace holdfast
