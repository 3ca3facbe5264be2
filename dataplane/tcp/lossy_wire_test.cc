// Whole conversations over a wire that loses, repeats, delays and reorders, from seeds: byte for
// byte both ways, and TcpSide::check() after every event.
#include <gtest/gtest.h>

#include "dataplane/tcp/testing.h"

namespace holdfast {
namespace {

using testing::TcpSide;
using testing::TcpWorld;
using testing::WireFaults;

void drain(TcpSide& side, Random& random) {
    if (side.waiting == 0 || !random.chance(0.3)) return;
    side.waiting -= static_cast<uint32_t>(random.below(side.waiting) + 1);
    side.end->set_receive_room(side.reader_capacity - std::min(side.waiting, side.reader_capacity));
}

TcpConfig config_for(Random& random) {
    TcpConfig c;
    c.sack = random.chance(0.7);
    c.timestamps = random.chance(0.7);
    c.ecn = random.chance(0.3);
    c.scale_windows = random.chance(0.8);
    c.mss = static_cast<uint16_t>(random.chance(0.2) ? 100 + random.below(400) : 1460);
    c.min_path_mss = 64;
    const uint32_t buffers[] = {1, 100, 3000, 20'000, 65'535, 256 * 1024};
    c.receive_buffer = buffers[random.below(std::size(buffers))];
    c.send_buffer = static_cast<uint32_t>(1000 + random.below(200'000));
    c.user_timeout = {};
    c.connect_timeout = {};
    return c;
}

class LossyWire : public ::testing::TestWithParam<int> {};

TEST_P(LossyWire, EveryByteBothWays) {
    for (int i = 0; i < 40; ++i) {
        const uint64_t seed = static_cast<uint64_t>(GetParam() * 1000 + i);
        Random random(seed);
        WireFaults faults;
        faults.loss = random.chance(0.3) ? 0 : 0.001 * static_cast<double>(random.below(200));
        faults.duplicate = random.chance(0.5) ? 0 : 0.1;
        faults.mark = 0.05;
        faults.delay = Duration::microseconds(static_cast<int64_t>(random.below(50'000)));
        if (random.chance(0.5))
            faults.jitter = Duration::microseconds(static_cast<int64_t>(random.below(30'000)));
        TcpWorld w(config_for(random), faults, seed);
        w.b.config = config_for(random);
        w.b.remake();
        const bool tiny = std::min(w.a.config.receive_buffer, w.b.config.receive_buffer) < 1000;
        w.a.to_say = random.below(tiny ? 2'000 : 300'000);
        w.b.to_say = random.below(tiny ? 2'000 : 300'000);
        w.a.then_close = w.b.then_close = true;
        if (random.chance(0.5)) {
            w.a.reader_capacity = w.a.config.receive_buffer;
            w.b.reader_capacity = w.b.config.receive_buffer;
            w.after_event = [&](TcpSide& s) { drain(s, random); };
        }
        w.connect();
        const auto finished = [&] {
            return w.a.end->state().state == TcpState::closed &&
                   w.b.end->state().state == TcpState::closed;
        };
        for (int slice = 0; slice < 4000 && !finished() && !HasFailure(); ++slice) {
            w.run_until(finished, Duration::seconds(5));
            for (TcpSide* s : {&w.a, &w.b}) {  // a reader comes back by itself
                if (s->waiting == 0) continue;
                s->waiting = 0;
                s->end->set_receive_room(s->reader_capacity);
                w.settle(*s);
            }
            w.now = w.now + Duration::seconds(1);
        }
        EXPECT_EQ(w.a.heard, w.b.to_say);
        EXPECT_EQ(w.b.heard, w.a.to_say);
        EXPECT_TRUE(finished()) << w.a.describe() << "\n" << w.b.describe();
        EXPECT_EQ(w.pool.used(), 0u);
        if (HasFailure()) {
            ADD_FAILURE() << "seed " << seed;
            return;
        }
    }
}
INSTANTIATE_TEST_SUITE_P(Seeds, LossyWire, ::testing::Range(0, 8));

}  // namespace
}  // namespace holdfast
