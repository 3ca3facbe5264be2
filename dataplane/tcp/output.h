// What an endpoint says while it is called: segments, bytes in order, and events.
//
// The caller gives one to each call. From within a callback the same endpoint may be asked and
// given limits, room and bytes (write, shutdown, allow_*, set_receive_room), but not on_segment,
// flush, on_deadline or abort.
#pragma once

#include <span>

#include "base/bytes.h"
#include "dataplane/wire/tcp_segment.h"

namespace holdfast {

class TcpEndpoint;

enum class TcpEvent : uint8_t {
    established,   // the handshake is complete; comes before any byte
    peer_fin,      // the peer's FIN, after all its bytes were delivered
    acked,         // state().snd_una advanced
    acked_unsent,  // it advanced beyond what we sent: another node had sent that (before `acked`)
    fin_acked,     // our FIN was acknowledged
    time_wait,     // all is done and acknowledged; TIME-WAIT may be kept elsewhere (time_wait.h)
    reset,         // by the peer; closed
    refused,       // by the peer while we connected; closed
    timed_out,     // the peer does not answer; closed
    closed,        // in peace: LAST-ACK or TIME-WAIT is over
};

class TcpOutput {
public:
    virtual ~TcpOutput() = default;
    // A segment but for its ports and checksum. At most two pieces of payload, to be copied now.
    // Whether it asks for ECT(0) in the IP header: endpoint.transmits_ect().
    virtual void transmit(const TcpEndpoint& endpoint, const TcpSegment& header,
                          const TcpOptions& options, std::span<const Bytes> payload) = 0;
    // Each byte of the peer's once, in order; gives how many were taken. The window promised room
    // for all. Where memory does not allow it, the rest is as if it had been lost on the way.
    virtual size_t deliver(Bytes in_order) = 0;
    virtual void on_tcp_event(TcpEvent event) = 0;
};

// A segment as it arrived; the caller has verified its checksum.
struct TcpInput {
    const TcpSegment& segment;
    const TcpOptions& options;
    Bytes payload;
    bool congestion_experienced = false;  // the IP header's CE
};

}  // namespace holdfast
