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

std::expected<SessionIndex, DropReason> Forwarder::open_proven(Bytes ack, const TcpOptions& seen,
                                                               Instant now) {
    const auto ethernet = parse_ethernet(ack);
    if (!ethernet) return std::unexpected(ethernet.error());
    const Bytes body = ack.subspan(ethernet->size);
    const auto ip = ethernet->type == kEtherTypeIpv4 ? parse_ipv4(body) : parse_ipv6(body);
    if (!ip) return std::unexpected(ip.error());
    const auto tcp = parse_tcp(body.subspan(ip->header_size, ip->payload_size));
    if (!tcp) return std::unexpected(tcp.error());
    const auto service = impl_->book.service({ip->destination, tcp->destination_port});
    if (!service) return std::unexpected(DropReason::no_service);
    // The SYN as it must have been.
    TcpSegment syn = *tcp;
    syn.seq = tcp->seq - 1;
    syn.flags = tcp_flag::syn;
    syn.payload_size = 0;
    const auto index = impl_->create({*ethernet, *ip, {}}, syn, seen, *service, now, true);
    if (!index) return index;
    ++impl_->counters.sessions_created;
    ++impl_->counters.from_client;
    return index;
}

}  // namespace holdfast
