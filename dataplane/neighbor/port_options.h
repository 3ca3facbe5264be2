// One of the node's two data ports, as its own host on that link.
#pragma once

#include <cstdint>
#include <optional>

#include "dataplane/wire/address.h"

namespace holdfast {

// The own addresses are the node's, not a group's: they do not move, and are used to resolve
// neighbours and to check backends.
struct PortOptions {
    MacAddress mac;
    uint16_t vlan = 0;  // of frames we originate here; 0: untagged
    std::optional<IpAddress> own_v4, own_v6;
    uint8_t prefix_v4 = 24, prefix_v6 = 64;  // what is on-link, around the own addresses
    // Next hop for what is off-link; without one, everything is taken to be on-link.
    std::optional<IpAddress> gateway_v4, gateway_v6;
};

// The address whose MAC a packet to `destination` needs.
IpAddress next_hop(const PortOptions& port, const IpAddress& destination);

}  // namespace holdfast
