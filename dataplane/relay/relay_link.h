// What an endpoint of a relayed session is given with each call. Private to dataplane/relay.
#pragma once

#include "dataplane/relay/relay.h"

namespace holdfast {

// One endpoint's way out: to the wire, and to the other endpoint.
class Relay::Link final : public TcpOutput {
public:
    Link(Relay& relay, RelaySession& session, Direction side, Instant now)
        : relay_(relay), session_(session), side_(side), now_(now) {}
    void transmit(const TcpEndpoint&, const TcpSegment& segment, const TcpOptions& options,
                  std::span<const Bytes> payload) override {
        relay_.send(session_, side_, segment, options, payload, now_);
    }
    size_t deliver(Bytes in_order) override { return relay_.pass_on(session_, side_, in_order); }
    void on_tcp_event(TcpEvent event) override { relay_.on_event(session_, side_, event, now_); }

private:
    Relay& relay_;
    RelaySession& session_;
    Direction side_;
    Instant now_;
};

}  // namespace holdfast
