#include "dataplane/forward/too_big.h"

#include "dataplane/wire/icmp.h"
#include "dataplane/wire/ip.h"

namespace holdfast {
namespace {

uint32_t told_mtu(Epoch epoch) {
    return kLinkMtu - 4 * (1 + static_cast<uint32_t>(epoch.count() % 55));
}

}  // namespace

FlowKey as_sent_to(const Session& s, Direction end) {
    return end == Direction::from_client ? FlowKey{s.vip, s.client} : FlowKey{s.pool, s.backend};
}

size_t make_too_big(const Forwarder& forwarder, const Session& s, Direction sender, SeqNum expected,
                    MutableBytes frame) {
    const size_t ethernet = forwarder.make_ethernet(s, sender, frame);
    if (ethernet == 0) return 0;
    const FlowKey to = as_sent_to(s, sender);
    const IpAddress& ours = to.source.address;
    const IpAddress& theirs = to.destination.address;
    const bool v4 = ours.is_v4();
    const size_t quote = (v4 ? 20 : 40) + 8;
    ByteWriter w(frame.subspan(ethernet));
    emit_ip(ip_header(ours, theirs, v4 ? kProtocolIcmp : kProtocolIcmpv6, kIcmpHeaderSize + quote),
            w);
    const size_t icmp_at = w.used();
    w.be<uint8_t>(v4 ? icmp_type::unreachable : icmpv6_type::packet_too_big);
    w.be<uint8_t>(v4 ? 4 : 0);  // fragmentation needed and DF set
    w.be<uint16_t>(0);
    w.be<uint32_t>(told_mtu(s.epoch));
    emit_ip(ip_header(theirs, ours, kProtocolTcp, kLinkMtu - (v4 ? 20 : 40)), w);  // as it was sent
    w.be<uint16_t>(to.destination.port);
    w.be<uint16_t>(to.source.port);
    w.be<uint32_t>(expected.value);
    if (!w.ok()) return 0;
    finish_icmp(ours, theirs, frame.subspan(ethernet + icmp_at, w.used() - icmp_at));
    return ethernet + w.used();
}

}  // namespace holdfast
