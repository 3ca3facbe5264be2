#include "dataplane/wire/icmp.h"

#include "dataplane/wire/checksum.h"

namespace holdfast {
namespace {

uint64_t icmp_sum(const IpAddress& source, const IpAddress& destination, Bytes bytes) {
    const uint64_t pseudo = source.is_v4() ? 0
                                           : pseudo_header_sum(source, destination, kProtocolIcmpv6,
                                                               static_cast<uint32_t>(bytes.size()));
    return add_to_sum(pseudo, bytes);
}

}  // namespace

std::expected<IcmpHeader, DropReason> parse_icmp(const IpHeader& ip, Bytes bytes) {
    if (bytes.size() < kIcmpHeaderSize) return std::unexpected(DropReason::icmp_malformed);
    if (fold_sum(icmp_sum(ip.source, ip.destination, bytes)) != 0xffff)
        return std::unexpected(DropReason::icmp_checksum);
    IcmpHeader h;
    h.type = static_cast<uint8_t>(bytes[0]);
    h.code = static_cast<uint8_t>(bytes[1]);
    h.rest = load_be<uint32_t>(bytes.data() + 4);
    if (ip.v4) {
        h.echo_request = h.type == icmp_type::echo_request;
        h.error = h.type == icmp_type::unreachable || h.type == icmp_type::time_exceeded ||
                  h.type == icmp_type::parameter_problem;
    } else {
        h.echo_request = h.type == icmpv6_type::echo_request;
        h.error = h.type >= icmpv6_type::unreachable && h.type <= icmpv6_type::parameter_problem;
    }
    return h;
}

void finish_icmp(const IpAddress& source, const IpAddress& destination, MutableBytes bytes) {
    store_checksum(bytes.data() + 2, 0);
    store_checksum(bytes.data() + 2, checksum_of(icmp_sum(source, destination, bytes)));
}

}  // namespace holdfast
