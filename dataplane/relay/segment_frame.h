// The Ethernet frame of a TCP segment from one of our own endpoints to one end of its session.
//
// Addresses come from the session (the client talks to the VIP, the backend to the pool address),
// the next hop from the forwarder. RFC 9293 section 3.1, RFC 791, RFC 8200. Checksums are made
// here, in software. No allocation.
#pragma once

#include <optional>
#include <span>

#include "dataplane/forward/forward.h"
#include "dataplane/tcp/endpoint.h"
#include "dataplane/tcp/initial_sequence.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ip.h"
#include "dataplane/wire/tcp_segment.h"

namespace holdfast {

inline constexpr size_t kMaxSegmentFrame = 2048;

// Ports and payload size of `segment` are filled in here. Bytes written; 0 when the next hop is not
// known or `to` is too small.
size_t build_segment_frame(const Forwarder& forwarder, const Session& session, Direction towards,
                           const TcpSegment& segment, const TcpOptions& options,
                           std::span<const Bytes> payload, MutableBytes to);

// A frame taken apart.
struct SegmentFrame {
    EthernetHeader ethernet;
    IpHeader ip;
    TcpSegment tcp;
    TcpOptions options;
    Bytes payload;
    TcpInput input() const { return {tcp, options, payload, (ip.traffic_class & 3) == 3}; }
    TcpTuple tuple() const {  // as its receiver sees it
        return {{ip.destination, tcp.destination_port}, {ip.source, tcp.source_port}};
    }
};
std::optional<SegmentFrame> read_segment_frame(Bytes frame);
// Back to where `to` came from.
size_t build_answer_frame(const SegmentFrame& to, TcpSegment segment, const TcpOptions& options,
                          MutableBytes frame);

}  // namespace holdfast
