// The Internet checksum (RFC 1071) whole and by difference (RFC 1624, equation 3).
//
// Sums are kept as the machine loads them (byte order does not matter to one's complement sums),
// so fields taken from and put to the wire need no swapping. A ChecksumDelta collects what changed
// and is then applied to any number of checksum fields.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/bytes.h"
#include "dataplane/wire/address.h"

namespace holdfast {

constexpr uint16_t fold_sum(uint64_t sum) {
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    uint32_t half = static_cast<uint32_t>((sum & 0xffff) + (sum >> 16));
    half = (half & 0xffff) + (half >> 16);
    return static_cast<uint16_t>((half & 0xffff) + (half >> 16));
}

// Adds bytes to a running one's complement sum. Only the last piece may have an odd length.
uint64_t add_to_sum(uint64_t sum, Bytes bytes);

// The pseudo header of RFC 9293 section 3.1 (v4) or RFC 8200 section 8.1 (v6).
uint64_t pseudo_header_sum(const IpAddress& source, const IpAddress& destination, uint8_t protocol,
                           uint32_t length);

// The value for a checksum field, in wire order, ready to be stored with memcpy.
inline uint16_t checksum_of(uint64_t sum) { return static_cast<uint16_t>(~fold_sum(sum)); }

inline void store_checksum(std::byte* field, uint16_t checksum) {
    std::memcpy(field, &checksum, sizeof checksum);
}

class ChecksumDelta {
public:
    // 16-bit words that lie at an even offset in what the checksum covers.
    void replace(const void* old_words, const void* new_words, size_t length) {
        const auto* o = static_cast<const std::byte*>(old_words);
        const auto* n = static_cast<const std::byte*>(new_words);
        for (; length >= 4; length -= 4, o += 4, n += 4) {
            uint32_t was, is;
            std::memcpy(&was, o, 4);
            std::memcpy(&is, n, 4);
            sum_ += static_cast<uint32_t>(~was);
            sum_ += is;
        }
        if (length == 2) {
            uint16_t was, is;
            std::memcpy(&was, o, 2);
            std::memcpy(&is, n, 2);
            sum_ += static_cast<uint16_t>(~was);
            sum_ += is;
        }
    }
    // HC' = ~(~HC + ~m + m')
    void apply(std::byte* field) const {
        uint16_t old;
        std::memcpy(&old, field, sizeof old);
        store_checksum(field, checksum_of(sum_ + static_cast<uint16_t>(~old)));
    }

private:
    uint64_t sum_ = 0;
};

}  // namespace holdfast
