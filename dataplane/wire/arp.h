// ARP for IPv4 over Ethernet (RFC 826), and the announcements of RFC 5227 section 3.
#pragma once

#include <expected>

#include "base/bytes.h"
#include "dataplane/drop.h"
#include "dataplane/wire/address.h"
#include "dataplane/wire/ethernet.h"

namespace holdfast {

struct ArpPacket {
    static constexpr uint16_t kRequest = 1, kReply = 2;
    uint16_t operation = kRequest;
    MacAddress sender_mac;
    IpAddress sender;  // 0.0.0.0 in a probe
    MacAddress target_mac;
    IpAddress target;
    friend constexpr bool operator==(const ArpPacket&, const ArpPacket&) = default;
};

inline constexpr size_t kArpSize = 28;

std::expected<ArpPacket, DropReason> parse_arp(Bytes bytes);
void emit_arp(const ArpPacket& arp, ByteWriter& to);

}  // namespace holdfast
