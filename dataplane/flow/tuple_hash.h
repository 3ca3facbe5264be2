// A keyed 32-bit hash of a pair of endpoints.
//
// Multiply-and-fold over 64-bit words in the manner of wyhash (Wang Yi, 2019), with five key words
// drawn from the table's secret seed. Not a cryptographic PRF: it is there so that a client that
// chooses its ports and addresses cannot aim at one chain of the table without knowing the seed,
// and cheap enough (four multiplications) to run once a packet.
#pragma once

#include <array>
#include <cstdint>

#include "base/random.h"
#include "dataplane/flow/session.h"

namespace holdfast {

class TupleHash {
public:
    explicit TupleHash(uint64_t seed) {
        Random random(seed);
        // Odd words are never zero, which a multiplication would not survive.
        for (uint64_t& k : keys_) k = random.next() | 1;
    }

    uint32_t operator()(const FlowKey& key) const { return (*this)(words_of(key)); }
    uint32_t operator()(const FlowWords& flow) const {
        const uint64_t ports = uint64_t{flow.source_port} << 16 | flow.destination_port;
        const uint64_t a = fold(flow.source[0] ^ keys_[0], flow.source[1] ^ keys_[1]);
        const uint64_t b = fold(flow.destination[0] ^ keys_[2], flow.destination[1] ^ keys_[3]);
        return static_cast<uint32_t>(fold(a ^ keys_[4], b ^ mix64(ports ^ keys_[0])) >> 16);
    }

private:
    static uint64_t fold(uint64_t a, uint64_t b) {
        __extension__ using Wide = unsigned __int128;
        const Wide product = static_cast<Wide>(a) * b;
        return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
    }
    std::array<uint64_t, 5> keys_{};
};

}  // namespace holdfast
