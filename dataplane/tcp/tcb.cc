#include "dataplane/tcp/tcb.h"

#include <initializer_list>

namespace holdfast {

const char* to_string(TcpState state) {
    switch (state) {
        case TcpState::closed:
            return "CLOSED";
        case TcpState::syn_sent:
            return "SYN-SENT";
        case TcpState::syn_received:
            return "SYN-RECEIVED";
        case TcpState::established:
            return "ESTABLISHED";
        case TcpState::fin_wait_1:
            return "FIN-WAIT-1";
        case TcpState::fin_wait_2:
            return "FIN-WAIT-2";
        case TcpState::close_wait:
            return "CLOSE-WAIT";
        case TcpState::closing:
            return "CLOSING";
        case TcpState::last_ack:
            return "LAST-ACK";
        case TcpState::time_wait:
            return "TIME-WAIT";
    }
    return "?";
}

Tcb rebase(const Tcb& tcb, Instant from, Instant to) {
    Tcb moved = tcb;
    const Duration shift = to - from;
    for (Instant* t : {&moved.ts_recent_at, &moved.cubic_epoch, &moved.rack_sent, &moved.send_at,
                       &moved.ack_at, &moved.linger_at, &moved.heard_at, &moved.progress_at})
        *t = *t + shift;
    if (tcb.cubic_epoch == Instant{}) moved.cubic_epoch = {};  // means: none
    moved.ts_offset += timestamp_ms(from) - timestamp_ms(to);
    return moved;
}

}  // namespace holdfast
