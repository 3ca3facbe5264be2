// Half-open sessions beyond their limit: no state is kept for a SYN to a service whose TCP
// terminates here; the client brings it back (dataplane/tcp/syn_cookie.h).
#include "dataplane/forward/forwarder_impl.h"

namespace holdfast {

Step Forwarder::Impl::answer_by_cookie(const AddressBook::Owner& owner) {
    ++counters.relayed;
    Step step;
    step.verdict = Step::Verdict::relay;
    step.group = owner.group;
    step.stateless = true;
    return step;
}

std::expected<SessionIndex, DropReason> Forwarder::open_proven(const EthernetHeader& ethernet,
                                                               const IpHeader& ip,
                                                               const TcpSegment& ack,
                                                               const TcpOptions& seen,
                                                               Instant now) {
    const auto service = impl_->book.service({ip.destination, ack.destination_port});
    if (!service) return std::unexpected(DropReason::no_service);
    // The SYN as it must have been.
    TcpSegment syn = ack;
    syn.seq = ack.seq - 1;
    syn.flags = tcp_flag::syn;
    syn.payload_size = 0;
    const auto index = impl_->create({ethernet, ip, {}}, syn, seen, *service, now, true);
    if (!index) return index;
    ++impl_->counters.sessions_created;
    ++impl_->counters.from_client;
    return index;
}

}  // namespace holdfast
