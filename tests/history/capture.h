// A capture of tcpdump's (pcap, Ethernet, whole frames) as the TCP segments in it.
//
// Written apart from dataplane/wire, so that both are not wrong in the same way. What a kernel
// would not look at is counted and left out: frames that are not TCP, and segments whose checksum
// is wrong.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <expected>
#include <functional>
#include <string>

#include "base/bytes.h"

namespace holdfast::history {

struct Socket {
    std::array<uint8_t, 16> address{};  // IPv4: v4-mapped
    uint16_t port = 0;
    friend auto operator<=>(const Socket&, const Socket&) = default;
};
std::string to_string(const Socket& socket);

inline constexpr uint8_t kFin = 1, kSyn = 2, kRst = 4, kAck = 16;

struct Segment {
    Socket from, to;
    uint32_t sequence = 0, acknowledgement = 0;
    uint8_t flags = 0;
    Bytes octets;  // into the file
    bool has(uint8_t flag) const { return (flags & flag) != 0; }
};

struct CaptureCounts {
    uint64_t frames = 0;
    uint64_t segments = 0;
    uint64_t other = 0;    // no TCP
    uint64_t damaged = 0;  // checksum or lengths are wrong
    uint64_t cut = 0;      // not all of the frame was kept, by a snap length or where the file ends
};

// Hands on each segment in the order of the file. An error: this is no such file.
std::expected<CaptureCounts, std::string> read_capture(
    Bytes file, const std::function<void(const Segment&)>& take);

}  // namespace holdfast::history
