// Neighbour solicitation and advertisement (RFC 4861 sections 4.3, 4.4, 7.1).
#pragma once

#include <expected>
#include <optional>

#include "base/bytes.h"
#include "dataplane/drop.h"
#include "dataplane/wire/ip.h"

namespace holdfast {

struct NdMessage {
    static constexpr uint32_t kRouter = 1u << 31, kSolicited = 1u << 30, kOverride = 1u << 29;
    bool solicitation = false;  // else an advertisement
    uint32_t flags = 0;         // of an advertisement
    IpAddress target;
    std::optional<MacAddress> link_layer;  // source (solicitation) or target (advertisement)
    friend constexpr bool operator==(const NdMessage&, const NdMessage&) = default;
};

// `bytes` is an ICMPv6 message whose checksum was verified and whose type is one of the two.
std::expected<NdMessage, DropReason> parse_nd(const IpHeader& ip, Bytes bytes);

// A whole IPv6 packet with hop limit 255.
void emit_nd(const NdMessage& message, const IpAddress& source, const IpAddress& destination,
             ByteWriter& to);

IpAddress solicited_node_multicast(const IpAddress& target);  // RFC 4291 section 2.7.1
MacAddress multicast_mac(const IpAddress& group);             // RFC 2464 section 7
IpAddress link_local(const MacAddress& mac);                  // RFC 4291 appendix A
inline constexpr IpAddress kAllNodes{{0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};

}  // namespace holdfast
