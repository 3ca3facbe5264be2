#include "dataplane/service/steering.h"

#include "dataplane/wire/ip.h"

namespace holdfast {

uint32_t toeplitz_hash(const FlowKey& key, const std::array<uint8_t, 40>& rss_key) {
    uint8_t input[36];
    const bool v4 = key.source.address.is_v4();
    const size_t n = address_size(v4);
    std::memcpy(input, address_bytes(key.source.address, v4), n);
    std::memcpy(input + n, address_bytes(key.destination.address, v4), n);
    store_be(input + 2 * n, key.source.port);
    store_be(input + 2 * n + 2, key.destination.port);

    uint32_t hash = 0;
    uint64_t window = load_be<uint64_t>(rss_key.data());  // the key's bits from here on, at the top
    for (size_t i = 0; i < 2 * n + 4; ++i) {
        for (int bit = 7; bit >= 0; --bit) {
            if (input[i] >> bit & 1) hash ^= static_cast<uint32_t>(window >> 32);
            window <<= 1;
        }
        // Eight bits were used up; the next key byte refills them (beyond the key: zeros).
        if (i + 8 < rss_key.size()) window |= rss_key[i + 8];
    }
    return hash;
}

}  // namespace holdfast
