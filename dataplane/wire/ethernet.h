// Ethernet II with at most one 802.1Q tag (IEEE 802.1Q-2018, C-tag only).
//
// The tag's priority bits are not kept: a VLAN is its identifier. 0 means "no tag" (a priority tag,
// identifier 0, is read as untagged).
#pragma once

#include <cstdint>
#include <cstring>
#include <expected>

#include "base/bytes.h"
#include "dataplane/drop.h"
#include "dataplane/wire/address.h"

namespace holdfast {

inline constexpr uint16_t kEtherTypeIpv4 = 0x0800;
inline constexpr uint16_t kEtherTypeArp = 0x0806;
inline constexpr uint16_t kEtherTypeVlan = 0x8100;
inline constexpr uint16_t kEtherTypeIpv6 = 0x86dd;
inline constexpr MacAddress kBroadcastMac{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

struct EthernetHeader {
    MacAddress destination;
    MacAddress source;
    uint16_t vlan = 0;  // 1 to 4094; 0: untagged
    uint16_t type = 0;
    uint8_t size = 14;  // bytes on the wire: 14 or 18
};

inline std::expected<EthernetHeader, DropReason> parse_ethernet(Bytes frame) {
    if (frame.size() < 14) return std::unexpected(DropReason::frame_too_short);
    const std::byte* p = frame.data();
    EthernetHeader h;
    std::memcpy(h.destination.bytes.data(), p, 6);
    std::memcpy(h.source.bytes.data(), p + 6, 6);
    h.type = load_be<uint16_t>(p + 12);
    if (h.type == kEtherTypeVlan) {
        if (frame.size() < 18) return std::unexpected(DropReason::frame_too_short);
        h.vlan = load_be<uint16_t>(p + 14) & 0x0fff;
        h.type = load_be<uint16_t>(p + 16);
        h.size = 18;
    }
    return h;
}

constexpr size_t ethernet_size(uint16_t vlan) { return vlan == 0 ? 14 : 18; }

inline void emit_ethernet(const EthernetHeader& h, ByteWriter& to) {
    to.put(std::as_bytes(std::span(h.destination.bytes)));
    to.put(std::as_bytes(std::span(h.source.bytes)));
    if (h.vlan != 0) {
        to.be<uint16_t>(kEtherTypeVlan);
        to.be<uint16_t>(h.vlan);
    }
    to.be<uint16_t>(h.type);
}

}  // namespace holdfast
