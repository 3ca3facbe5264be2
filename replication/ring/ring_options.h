// Options of a ring: each with unit, range and why the default is what it is.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/cluster.h"
#include "base/time.h"

namespace holdfast {

enum class AckMode : uint8_t { nak, positive };
enum class Cipher : uint8_t { aes_128_gcm, chacha20_poly1305 };

struct RingOptions {
    NodeId self;
    Incarnation incarnation;
    uint8_t worker = 0;
    NodeSet peers;  // all other configured nodes
    std::array<std::byte, 32>
        secret{};       // the cluster secret; keys are derived from it (HKDF, RFC 5869)
    uint64_t seed = 0;  // for back-off and challenges
    Cipher cipher = Cipher::aes_128_gcm;
    AckMode ack = AckMode::nak;
    uint32_t mtu = 1500;        // bytes of IP datagram on the ring link, 1400 to 9000
    uint32_t ip_overhead = 48;  // bytes of IP and UDP header in it: 48 for IPv6, 28 for IPv4
    uint32_t slots = 8192;      // datagrams kept for repair, a power of two, 64 to 2^21;
                                // slots * mtu bytes. Also how far ahead we follow a peer's ring.
    Duration heartbeat = Duration::milliseconds(20);
    Duration ladder = Duration::microseconds(200);  // first heartbeat after the last DATA, doubling
    Duration evict_after =
        Duration::milliseconds(60);       // silence after which a follower no longer counts
    uint32_t repair_per_second = 20'000;  // datagrams, per asker; twice that in all
    // How long a record may wait in the open datagram when nobody flushes. A guess: a worker
    // flushes after every burst anyway.
    Duration flush_after = Duration::microseconds(50);
    Position first_position{1};  // of the first datagram; tests start near 2^32 and 2^63
};

}  // namespace holdfast
