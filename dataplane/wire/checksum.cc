#include "dataplane/wire/checksum.h"

namespace holdfast {

uint64_t add_to_sum(uint64_t sum, Bytes bytes) {
    const std::byte* p = bytes.data();
    size_t n = bytes.size();
    // Four accumulators, so that additions do not wait for each other.
    for (uint64_t a = 0, b = 0, c = 0; n >= 16; n -= 16, p += 16) {
        uint32_t w[4];
        std::memcpy(w, p, 16);
        sum += w[0];
        a += w[1];
        b += w[2];
        c += w[3];
        if (n < 32) sum += a + b + c;
    }
    for (; n >= 4; n -= 4, p += 4) {
        uint32_t word;
        std::memcpy(&word, p, 4);
        sum += word;
    }
    if (n > 0) {
        // The last one to three bytes, padded with zeros as RFC 1071 asks.
        uint32_t word = 0;
        std::memcpy(&word, p, n);
        sum += word;
    }
    return sum;
}

uint64_t pseudo_header_sum(const IpAddress& source, const IpAddress& destination, uint8_t protocol,
                           uint32_t length) {
    // The padding of an IPv4-mapped address adds 0xffff to a one's complement sum, which is zero;
    // so one formula would serve, but the v4 one is shorter.
    const size_t skip = source.is_v4() ? 12 : 0;
    const auto* s = reinterpret_cast<const std::byte*>(source.bytes.data());
    const auto* d = reinterpret_cast<const std::byte*>(destination.bytes.data());
    uint64_t sum = add_to_sum(0, {s + skip, 16 - skip});
    sum = add_to_sum(sum, {d + skip, 16 - skip});
    return sum + big(length) + big(static_cast<uint32_t>(protocol));
}

}  // namespace holdfast
