// Ethernet, IPv4, IPv6 and TCP as simple as can be, for the simulator's hosts: written apart from
// the product's, so that one misreading of an RFC cannot hide on both sides (RFC 791, 8200, 9293).
//
// read() believes nothing: lengths and checksums are verified, and what is wrong is no segment.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/wire/address.h"

namespace holdfast::simulation {

using Octets = std::vector<std::byte>;

struct Segment {
    static constexpr uint8_t kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16;

    Endpoint from, to;
    uint8_t flags = 0;
    uint32_t seq = 0, ack = 0;
    uint16_t window = 0;
    std::optional<uint16_t> mss = {};
    std::optional<std::pair<uint32_t, uint32_t>> timestamps = {};  // value, echo (RFC 7323)
    std::string data = {};

    bool has(uint8_t flag) const { return (flags & flag) != 0; }
};

Octets build(const Segment& segment, const MacAddress& source, const MacAddress& destination);
std::optional<Segment> read_segment(Bytes frame);
std::string to_string(const Segment& segment);

}  // namespace holdfast::simulation
