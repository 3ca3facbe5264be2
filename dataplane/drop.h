// Why a frame was not passed on: one enum, one name and one sentence each, one counter each.
//
// The refusals in the code, the counters in the metrics and the list in the manual are this table.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace holdfast {

enum class DropReason : uint8_t {
    none,
    frame_too_short,
    unknown_ethertype,
    ip_malformed,
    ip_checksum,
    ip_bad_source,
    fragment,
    ipv6_extension,
    ttl_expired,
    unsupported_protocol,
    tcp_malformed,
    tcp_checksum,
    checksum_partial_suspected,
    icmp_malformed,
    icmp_checksum,
    icmp_unsupported,
    icmp_no_session,
    icmp_out_of_window,
    arp_malformed,
    nd_malformed,
    not_for_us,
    no_service,
    not_holder,
    no_session,
    table_full,
    embryonic_limit,
    tuple_in_use,
    no_backend,
    pool_exhausted,
    neighbor_unresolved,
    invalid_state,
    rst_out_of_window,
    count_,  // how many there are; not a reason
};

inline constexpr size_t kDropReasons = static_cast<size_t>(DropReason::count_);

struct DropInfo {
    DropReason reason;
    const char* name;
    const char* help;
};

inline constexpr std::array<DropInfo, kDropReasons> kDropTable{{
    {DropReason::none, "none", "Not dropped."},
    {DropReason::frame_too_short, "frame_too_short", "Shorter than the headers it announces."},
    {DropReason::unknown_ethertype, "unknown_ethertype", "Neither IPv4, IPv6 nor ARP."},
    {DropReason::ip_malformed, "ip_malformed", "IP version, header length or total length wrong."},
    {DropReason::ip_checksum, "ip_checksum", "IPv4 header checksum wrong."},
    {DropReason::ip_bad_source, "ip_bad_source", "Multicast, loopback or unspecified source."},
    {DropReason::fragment, "fragment", "An IP fragment; fragments are not reassembled."},
    {DropReason::ipv6_extension, "ipv6_extension", "An IPv6 extension header we do not skip."},
    {DropReason::ttl_expired, "ttl_expired", "TTL or hop limit ran out here."},
    {DropReason::unsupported_protocol, "unsupported_protocol", "Neither TCP nor ICMP."},
    {DropReason::tcp_malformed, "tcp_malformed", "TCP header or options malformed."},
    {DropReason::tcp_checksum, "tcp_checksum", "TCP checksum wrong."},
    {DropReason::checksum_partial_suspected, "checksum_partial_suspected",
     "TCP checksum covers only the pseudo header: a veth peer offloads; ethtool -K <peer> tx off."},
    {DropReason::icmp_malformed, "icmp_malformed", "ICMP message or its quote too short."},
    {DropReason::icmp_checksum, "icmp_checksum", "ICMP checksum wrong."},
    {DropReason::icmp_unsupported, "icmp_unsupported", "An ICMP type we do not answer or pass."},
    {DropReason::icmp_no_session, "icmp_no_session", "An ICMP error about no session of ours."},
    {DropReason::icmp_out_of_window, "icmp_out_of_window",
     "An ICMP error that quotes a sequence number not in flight (RFC 5927)."},
    {DropReason::arp_malformed, "arp_malformed", "ARP that is not for IPv4 over Ethernet."},
    {DropReason::nd_malformed, "nd_malformed", "Neighbour discovery message malformed."},
    {DropReason::not_for_us, "not_for_us", "Destination is no address of ours."},
    {DropReason::no_service, "no_service", "A VIP, but no service on that port."},
    {DropReason::not_holder, "not_holder", "The address belongs to a group another node holds."},
    {DropReason::no_session, "no_session", "No session, and none will be loaded."},
    {DropReason::table_full, "table_full", "The session table is full."},
    {DropReason::embryonic_limit, "embryonic_limit", "Too many half-open sessions."},
    {DropReason::tuple_in_use, "tuple_in_use", "Another session has one of the tuples."},
    {DropReason::no_backend, "no_backend", "No healthy backend of that family with a weight."},
    {DropReason::pool_exhausted, "pool_exhausted", "No free pool address and port was found."},
    {DropReason::neighbor_unresolved, "neighbor_unresolved",
     "The next hop's MAC is not known yet."},
    {DropReason::invalid_state, "invalid_state", "A segment that makes no sense in this state."},
    {DropReason::rst_out_of_window, "rst_out_of_window", "A RST outside the tracked window."},
}};

namespace detail {
constexpr bool drop_table_in_order() {
    for (size_t i = 0; i < kDropReasons; ++i)
        if (kDropTable[i].reason != static_cast<DropReason>(i)) return false;
    return true;
}
}  // namespace detail
static_assert(detail::drop_table_in_order());

constexpr const char* to_string(DropReason reason) {
    return kDropTable[static_cast<size_t>(reason)].name;
}

struct DropCounters {
    std::array<uint64_t, kDropReasons> dropped{};
    void count(DropReason reason) { ++dropped[static_cast<size_t>(reason)]; }
    uint64_t of(DropReason reason) const { return dropped[static_cast<size_t>(reason)]; }
};

}  // namespace holdfast
