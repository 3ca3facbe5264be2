// Which segments both sides' sequence space admits, and what an admitted one tells: the arithmetic
// of dataplane/forward/track.h, apart because it is all that a plain segment needs.
#pragma once

#include <algorithm>

#include "dataplane/flow/session.h"
#include "dataplane/wire/tcp_segment.h"

namespace holdfast {

// netfilter's MAXACKWINCONST: an acknowledgement may be older than the window says by this much
// (a duplicate that was under way).
inline constexpr uint32_t kOldAck = 66'000;

// The window a segment advertises. Scaled only if both offered it, and never on a SYN (RFC 7323
// section 2.2).
inline uint32_t advertised_window(const TcpSide& sender, const TcpSide& receiver,
                                  const TcpSegment& segment) {
    const bool scaled = sender.has(TcpSide::kScaleOffered) && receiver.has(TcpSide::kScaleOffered);
    return uint32_t{segment.window} << (scaled ? sender.window_scale : 0);
}

inline bool in_window(const Session& session, const TcpSide& sender, const TcpSide& receiver,
                      const TcpSegment& segment) {
    // After an adoption the other side may have acknowledged what we never saw, but never more than
    // it made room for.
    const SeqNum may_ack =
        session.has(Session::kAdopted) ? later(receiver.end, receiver.max_end) : receiver.end;
    return segment.seq <= sender.max_end && segment.end() >= sender.end - receiver.max_window - 1 &&
           segment.ack <= may_ack &&
           segment.ack >= receiver.end - std::max(sender.max_window, kOldAck) - 1;
}

// Takes in an acceptable segment; true when it moved something that a segment fragment holds.
inline bool advance_window(TcpSide& sender, TcpSide& receiver, const TcpSegment& segment) {
    const uint32_t window = std::max(advertised_window(sender, receiver, segment), 1u);
    const SeqNum end = sender.end, ack = sender.ack, room = receiver.max_end;
    sender.end = later(sender.end, segment.end());
    if (!sender.has(TcpSide::kSynced)) sender.max_end = later(sender.max_end, segment.end());
    sender.ack = later(sender.ack, segment.ack);
    sender.max_window = std::max(sender.max_window, window);
    sender.flags |= TcpSide::kSynced;
    receiver.end = later(receiver.end, segment.ack);
    receiver.max_end = later(receiver.max_end, segment.ack + window);
    return sender.end != end || sender.ack != ack || receiver.max_end != room;
}

}  // namespace holdfast
