// Congestion control: slow start (RFC 5681) and CUBIC (RFC 9438), as functions on the Tcb.
#pragma once

#include "dataplane/tcp/config.h"
#include "dataplane/tcp/tcb.h"

namespace holdfast {

void congestion_begin(Tcb& tcb, const TcpConfig& config);
// `acked` bytes left the network while the window was what limited us.
void congestion_on_ack(Tcb& tcb, uint32_t acked, Instant now);
// A loss, or a mark: cwnd and ssthresh become seven tenths. `flight`: what was outstanding.
void congestion_on_loss(Tcb& tcb, uint32_t flight);
void congestion_on_timeout(Tcb& tcb, uint32_t flight, bool first);
void congestion_after_idle(Tcb& tcb, const TcpConfig& config);

}  // namespace holdfast
