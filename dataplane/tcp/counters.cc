#include "dataplane/tcp/counters.h"

namespace holdfast {
namespace {
using C = TcpCounters;
constexpr CounterInfo<C> kTable[] = {
    {"tcp_segments_in", "Segments taken by an endpoint.", &C::segments_in},
    {"tcp_segments_out", "Segments sent by an endpoint.", &C::segments_out},
    {"tcp_bytes_in", "Bytes delivered in order.", &C::bytes_in},
    {"tcp_bytes_out", "Bytes sent for the first time.", &C::bytes_out},
    {"tcp_retransmitted", "Segments sent again.", &C::retransmitted},
    {"tcp_fast_recoveries", "Losses found without a time-out.", &C::fast_recoveries},
    {"tcp_retransmission_timeouts", "Retransmission time-outs.", &C::retransmission_timeouts},
    {"tcp_tail_probes", "Tail loss probes.", &C::tail_probes},
    {"tcp_window_probes", "Probes into a closed window.", &C::window_probes},
    {"tcp_keepalive_probes", "Keep-alive probes.", &C::keepalive_probes},
    {"tcp_spurious_recoveries", "Recoveries undone: nothing had been lost.",
     &C::spurious_recoveries},
    {"tcp_reneged", "Peers that forgot what they had selectively acknowledged.", &C::reneged},
    {"tcp_out_of_order", "Segments received out of order.", &C::out_of_order},
    {"tcp_duplicates", "Segments received of which every byte was there.", &C::duplicates},
    {"tcp_out_of_window", "Segments outside the receive window.", &C::out_of_window},
    {"tcp_stale_timestamps", "Segments refused for an old timestamp (PAWS).", &C::stale_timestamps},
    {"tcp_unacceptable_acks", "Acknowledgements of what was not sent, or long ago.",
     &C::unacceptable_acks},
    {"tcp_bad_sack_blocks", "SACK blocks outside what is in flight.", &C::bad_sack_blocks},
    {"tcp_ignored", "Segments that make no sense in their state.", &C::ignored},
    {"tcp_challenges", "Challenge ACKs sent (RFC 5961).", &C::challenges},
    {"tcp_challenges_withheld", "Challenge ACKs not sent because of their limit.",
     &C::challenges_withheld},
    {"tcp_resets_in", "Connections the peer reset.", &C::resets_in},
    {"tcp_resets_ignored", "Resets that did not prove themselves.", &C::resets_ignored},
    {"tcp_resets_out", "Resets sent.", &C::resets_out},
    {"tcp_established", "Handshakes completed.", &C::established},
    {"tcp_timed_out", "Connections given up for want of an answer.", &C::timed_out},
    {"tcp_restored", "Endpoints carried on from a record.", &C::restored},
    {"tcp_acked_elsewhere", "Acknowledgements of bytes that another node had sent.",
     &C::acked_elsewhere},
    {"tcp_congestion_marks", "Segments received with a congestion mark (ECN CE).",
     &C::congestion_marks},
    {"tcp_packets_too_big", "Reductions of the path's MTU.", &C::packets_too_big},
    {"tcp_no_memory",
     "Segments dropped, in part or whole, or writes cut short, for want of chunks.", &C::no_memory},
};
}  // namespace

const std::span<const CounterInfo<TcpCounters>> kTcpCounters = kTable;

}  // namespace holdfast
