#include "dataplane/tcp/endpoint.h"

#include <gtest/gtest.h>

#include "dataplane/tcp/testing.h"

namespace holdfast {
namespace {

using testing::TcpWorld;

TEST(TcpEndpoint, HandshakeDataBothWaysAndClose) {
    for (const bool v4 : {true, false}) {
        TcpWorld w({}, {}, 1, v4);
        w.a.to_say = 100'000;
        w.b.to_say = 300'000;
        w.a.then_close = w.b.then_close = true;
        w.connect();
        w.run_for(Duration::seconds(30));
        EXPECT_EQ(w.a.heard, w.b.to_say);
        EXPECT_EQ(w.b.heard, w.a.to_say);
        EXPECT_EQ(w.pool.counters.retransmitted, 0u);
        EXPECT_EQ(w.pool.used(), 0u);
        EXPECT_TRUE(w.a.saw(TcpEvent::peer_fin) && w.a.saw(TcpEvent::fin_acked));
        EXPECT_TRUE(w.b.saw(TcpEvent::peer_fin) && w.b.saw(TcpEvent::fin_acked));
        w.run_for(Duration::seconds(61));
        EXPECT_EQ(w.a.end->state().state, TcpState::closed);
        EXPECT_EQ(w.b.end->state().state, TcpState::closed);
        EXPECT_EQ(w.a.resets + w.b.resets, 0u);
    }
}

// Memory is one pool: those whose peers do not read leave room for those whose peers do.
TEST(TcpEndpoint, TheStalledLeaveMemoryToTheOthers) {
    ChunkPool pool(4096);
    std::vector<std::unique_ptr<TcpEndpoint>> stalled;
    const std::vector<std::byte> text(1 << 20);
    TcpConfig config;
    config.send_buffer = 1 << 20;
    for (int i = 0; i < 100; ++i) {
        stalled.push_back(std::make_unique<TcpEndpoint>(config, pool));
        Tcb record;
        record.state = TcpState::established;
        stalled.back()->restore(record, {}, Instant{0});
        while (const size_t n = stalled.back()->write(text)) EXPECT_GT(n, 0u);
    }
    TcpEndpoint late(config, pool);
    Tcb record;
    record.state = TcpState::established;
    late.restore(record, {}, Instant{0});
    EXPECT_EQ(late.write_room(), ChunkPool::kBase);
    EXPECT_EQ(stalled[0]->write_room(), 0u);  // it has its share
    EXPECT_FALSE(pool.exhausted());
}

}  // namespace
}  // namespace holdfast
