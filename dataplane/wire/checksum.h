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
inline uint64_t add_to_sum(uint64_t sum, Bytes bytes) {
    const std::byte* p = bytes.data();
    size_t n = bytes.size();
    uint64_t a = 0, b = 0, c = 0;  // so that additions do not wait for each other
    for (; n >= 16; n -= 16, p += 16) {
        uint32_t w[4];
        std::memcpy(w, p, 16);
        sum += w[0];
        a += w[1];
        b += w[2];
        c += w[3];
    }
    sum += a + b + c;
    for (; n >= 4; n -= 4, p += 4) {
        uint32_t word;
        std::memcpy(&word, p, 4);
        sum += word;
    }
    if (n >= 2) {
        uint16_t word;
        std::memcpy(&word, p, 2);
        sum += word;
        n -= 2, p += 2;
    }
    if (n > 0) {  // padded with a zero, as RFC 1071 asks
        uint16_t word = 0;
        std::memcpy(&word, p, 1);
        sum += word;
    }
    return sum;
}

// The pseudo header of RFC 9293 section 3.1 (v4) or RFC 8200 section 8.1 (v6).
inline uint64_t pseudo_header_sum(const IpAddress::Words& source,
                                  const IpAddress::Words& destination, uint8_t protocol,
                                  uint32_t length) {
    // One formula for both: the padding of an IPv4-mapped address adds 0xffff to a one's complement
    // sum, which is zero.
    uint64_t sum = big(length) + uint64_t{big(static_cast<uint32_t>(protocol))};
    for (const uint64_t w : {source[0], source[1], destination[0], destination[1]})
        sum += (w & 0xffffffff) + (w >> 32);
    return sum;
}
inline uint64_t pseudo_header_sum(const IpAddress& source, const IpAddress& destination,
                                  uint8_t protocol, uint32_t length) {
    return pseudo_header_sum(source.words(), destination.words(), protocol, length);
}

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
