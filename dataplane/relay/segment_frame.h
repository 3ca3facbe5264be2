// The Ethernet frame of a TCP segment from one of our own endpoints to one end of its session.
//
// Addresses come from the session (the client talks to the VIP, the backend to the pool address),
// the next hop from the forwarder. RFC 9293 section 3.1, RFC 791, RFC 8200. Checksums are made
// here, in software. No allocation.
#pragma once

#include <span>

#include "dataplane/forward/forward.h"
#include "dataplane/wire/tcp_segment.h"

namespace holdfast {

inline constexpr size_t kMaxSegmentFrame = 2048;

// Ports and payload size of `segment` are filled in here. Bytes written; 0 when the next hop is not
// known or `to` is too small.
size_t build_segment_frame(const Forwarder& forwarder, const Session& session, Direction towards,
                           const TcpSegment& segment, const TcpOptions& options,
                           std::span<const Bytes> payload, MutableBytes to);

}  // namespace holdfast
