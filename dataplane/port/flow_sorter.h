// Which worker a frame belongs to, when the device cannot tell or does not.
//
// TCP goes by the Toeplitz hash (Microsoft, "RSS hashing functions") of source, destination and
// ports: hash mod 128 mod workers, what a NIC does with our key and an indirection table filled in
// turn; dataplane/service chooses source ports by the same rule. An ICMP error goes to the owner of
// the flow it quotes, turned round, because that flow is what the answer hash would name. What
// teaches neighbours (ARP replies, advertisements, gratuitous ones) is for every worker; what asks
// for one answer is worker 0's. The ring's datagrams go by port. Everything else stays where it is.
// Stateless; a frame that does not parse stays too, for the worker to count.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "dataplane/port/port.h"

namespace holdfast {

class FlowSorter {
public:
    static constexpr unsigned kAll = 0xfffffffe;  // every worker
    static constexpr unsigned kAny = 0xffffffff;  // whoever has it

    // A ring on DPDK ports sends to first_ring_port + worker; 0: none.
    FlowSorter(unsigned workers, const RssKey& key, uint16_t first_ring_port = 0);

    unsigned owner_of(Bytes frame) const;
    // True for what a device hashes like we do: TCP that is no fragment.
    static bool carries_tcp(Bytes frame);
    unsigned owner_of_hash(uint32_t hash) const { return hash % 128 % workers_; }
    // Addresses in network byte order, 4 or 16 bytes each.
    uint32_t hash(Bytes source, Bytes destination, uint16_t source_port,
                  uint16_t destination_port) const;

private:
    unsigned of_arp(Bytes arp) const;
    unsigned of_ipv4(Bytes ip) const;
    unsigned of_ipv6(Bytes ip) const;
    unsigned of_icmp(Bytes icmp) const;
    unsigned of_icmpv6(Bytes icmp) const;
    unsigned of_tcp(Bytes source, Bytes destination, Bytes tcp) const;
    unsigned of_udp(Bytes udp) const;
    unsigned of_quote(Bytes ip, bool v4) const;

    unsigned workers_;
    uint16_t first_ring_port_;
    alignas(8) std::array<uint8_t, 40> key_;  // in the order rte_softrss_be wants
};

}  // namespace holdfast
