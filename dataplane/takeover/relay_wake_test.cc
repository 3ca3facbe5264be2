// Senders that were interrupted go on as soon as another node has their session, not when their
// timers say so.
#include <gtest/gtest.h>

#include "dataplane/relay/testing.h"
#include "dataplane/takeover/relay_capture.h"

namespace holdfast {
namespace {

using namespace holdfast::testing;

Buffer write(const RelayState& state, Instant shared_now) {
    Buffer b(kRelayStateSize);
    write_relay_state(state, shared_now, b);
    return b;
}
RelayState read(Bytes bytes, Instant shared_now) {
    return read_relay_state(bytes, shared_now).value();
}

// Peers here do not listen to ICMP, as those whose segments are small. A sender that has said all,
// into the outage, and has nothing new to send would wait for its timer.
TEST(RelayWake, ASenderThatDoesNotWakeIsUrged) {
    for (const bool upload : {false, true}) {
        SCOPED_TRACE(upload);
        RelayWorldOptions options;
        options.write = write;
        options.read = read;
        RelayWorld w(options);
        const uint64_t said = 12'000;
        w.exchange(upload ? said : 100, upload ? 100 : said, false, false);
        const auto heard = [&] { return upload ? w.server->heard : w.client->heard; };
        // Of what is on its way to the node, the first segment arrives.
        unsigned came = 0;
        w.filter = [&](const Parsed& p, bool from_relay) {
            return from_relay || p.payload.size() <= 100 || ++came == 1;
        };
        w.run_until([&] { return w.server && heard() > 1000; });
        w.publish_segment();
        w.kill();
        w.run_for(Duration::milliseconds(105));
        w.adopt_newest();
        w.filter = nullptr;
        const Instant begun = w.now;
        w.run_until([&] { return heard() + 1460 >= said; });
        EXPECT_LT(w.now - begun, Duration::milliseconds(60));
        EXPECT_GT(w.node->relay.counters().urged, 0u);
        // The last segment it believes to be here until its timer says otherwise.
        w.run_until([&] { return heard() == said; });
        EXPECT_EQ(heard(), said);
    }
}

}  // namespace
}  // namespace holdfast
