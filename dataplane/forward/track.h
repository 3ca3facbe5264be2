// TCP as seen from the middle: which of RFC 9293's states both ends must be in, and which sequence
// numbers each may use.
//
// The window test is van Rooij's ("Real stateful TCP packet filtering in IP Filter", 2000), which
// also serves netfilter: a segment is in the window when its data lies between what the receiver
// may still want and what it has room for, and its acknowledgement between what may still be
// acknowledged and what was sent. A segment outside moves nothing here; it is passed on all the
// same, because the endpoint is the better judge (RFC 9293 section 3.10.7.4). Except for a RST,
// which is dropped; one inside the window that does not hit the expected number is passed and
// believed only when the other end acts on it (RFC 5961 section 3.2).
//
// Pure functions on a Session; timers and table are the caller's.
#pragma once

#include "dataplane/drop.h"
#include "dataplane/flow/session.h"
#include "dataplane/service/service.h"
#include "dataplane/wire/tcp_segment.h"

namespace holdfast {

struct TrackStep {
    DropReason drop = DropReason::none;  // not none: nothing was changed
    bool in_window = true;
    bool state_changed = false;
    bool options_changed = false;  // an ISN or negotiated option was learned
    bool progress = false;         // what a segment fragment holds moved
    bool syn_ack = false;
};

// The first SYN of a client, into a fresh session.
void begin_tracking(Session& session, const TcpSegment& syn, const TcpOptions& options);

// Any later segment. `options` is looked at for segments with SYN only.
TrackStep track_segment(Session& session, Direction from, const TcpSegment& segment,
                        const TcpOptions& options);

// Makes a session from a fragment fit to be tracked: both sides are believed afresh, and its flags
// say what its state says.
void normalize_restored(Session& session);

// How long a session in this state may be silent.
Duration idle_timeout(SessionState state, const IdleTimeouts& idle);

}  // namespace holdfast
