// The ICMP message that wakes a sender: "fragmentation needed" (RFC 1191) or "packet too big" (RFC
// 8201) about exactly the octet that its receiver expects next.
//
// RFC 1191 section 6.4 asks TCP to send it again at once, without touching its window; the quoted
// sequence number is in flight, so RFC 5927 checks let it pass. The MTU told is a little lower with
// each epoch, so that the next adoption is believed too; floored at IPv6's minimum of 1280.
#pragma once

#include "dataplane/forward/forward.h"

namespace holdfast {

inline constexpr uint16_t kLinkMtu = 1500;

// What an end of the session takes for its peer's and its own address.
FlowKey as_sent_to(const Session& session, Direction end);

// The frame to `sender`, about its octet `expected`; bytes written, 0 when no next hop is known.
size_t make_too_big(const Forwarder& forwarder, const Session& session, Direction sender,
                    SeqNum expected, MutableBytes to);

}  // namespace holdfast
