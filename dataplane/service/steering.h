// Which worker a frame will reach: the NIC's receive-side scaling, computed here, so that a source
// port can be chosen whose replies come back to the worker that owns the session.
//
// The hash is Toeplitz over (source address, destination address, source port, destination port) as
// in Microsoft's "RSS hashing functions"; dataplane/port checks at start that the device agrees.
#pragma once

#include <array>
#include <cstdint>

#include "dataplane/flow/session.h"

namespace holdfast {

// The key of Microsoft's verification suite, which most drivers use by default.
inline constexpr std::array<uint8_t, 40> kDefaultRssKey{
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
    0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
    0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

uint32_t toeplitz_hash(const FlowKey& key, const std::array<uint8_t, 40>& rss_key);

struct FlowSteering {
    uint8_t worker = 0;
    uint8_t workers = 1;
    // Entries of the indirection table, filled 0, 1, ..., workers - 1, 0, ...; 0: hash mod workers.
    uint16_t table_size = 128;
    std::array<uint8_t, 40> rss_key = kDefaultRssKey;

    uint8_t worker_of(const FlowKey& arriving) const {
        if (workers <= 1) return 0;
        const uint32_t hash = toeplitz_hash(arriving, rss_key);
        return static_cast<uint8_t>((table_size == 0 ? hash : hash % table_size) % workers);
    }
    bool is_ours(const FlowKey& arriving) const {
        return workers <= 1 || worker_of(arriving) == worker;
    }
};

}  // namespace holdfast
