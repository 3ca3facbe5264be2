// ICMP (RFC 792) and ICMPv6 (RFC 4443): echo, and errors with the packet they quote.
//
// Both share a header of type, code, checksum and four bytes that depend on the type; only type
// numbers and the pseudo header of the checksum differ.
#pragma once

#include <cstdint>
#include <expected>

#include "base/bytes.h"
#include "dataplane/drop.h"
#include "dataplane/wire/ip.h"

namespace holdfast {

namespace icmp_type {
inline constexpr uint8_t echo_reply = 0, unreachable = 3, echo_request = 8, time_exceeded = 11,
                         parameter_problem = 12;
}
namespace icmpv6_type {
inline constexpr uint8_t unreachable = 1, packet_too_big = 2, time_exceeded = 3,
                         parameter_problem = 4, echo_request = 128, echo_reply = 129,
                         neighbor_solicitation = 135, neighbor_advertisement = 136;
}

inline constexpr size_t kIcmpHeaderSize = 8;

struct IcmpHeader {
    uint8_t type = 0;
    uint8_t code = 0;
    uint32_t rest = 0;  // identifier and sequence, next-hop MTU, ... as the type says
    bool echo_request = false;
    bool error = false;  // an error about a packet quoted after the header
};

// `bytes` is the IP payload; checks length and checksum.
std::expected<IcmpHeader, DropReason> parse_icmp(const IpHeader& ip, Bytes bytes);

// Sets the checksum of a whole message at `bytes`, after anything in it changed.
void finish_icmp(const IpAddress& source, const IpAddress& destination, MutableBytes bytes);

}  // namespace holdfast
