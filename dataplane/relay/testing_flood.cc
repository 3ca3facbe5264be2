// A world in which more sessions are half open than there is room for.
#include "dataplane/relay/testing.h"

namespace holdfast::testing {

void RelayNode::on_frame(Bytes frame, Side in) {
    Received r(frame, in);
    const Step s = forwarder.on_frame(r.frame(), here(), world_.outlet);
    if (s.verdict == Step::Verdict::relay && s.stateless) {
        Buffer answer(128);
        answer.resize(relay.answer_syn(frame, answer, here()));
        if (!answer.empty()) world_.release(Direction::from_client, answer);
    } else if (s.verdict == Step::Verdict::relay) {
        relay.on_frame(s, r.frame(), here());
    } else if (s.verdict == Step::Verdict::unknown && s.direction == Direction::from_client) {
        relay.accept_cookie(frame, here());
    }
    relay.on_burst_end(here());
}

void RelayWorld::flood(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
        Seg s{endpoint("203.0.113.77:" + std::to_string(1024 + flooded % 60'000)), client->other,
              tcp_flag::syn, 1000 + flooded, 0};
        ++flooded;
        s.window = 1000;
        s.options.mss = 1460;
        s.source_mac = client->mac;
        s.destination_mac = client->next_hop;
        s.vlan = options.vlan;
        if (node) node->on_frame(frame_of(s), Side::front);
    }
}

}  // namespace holdfast::testing
