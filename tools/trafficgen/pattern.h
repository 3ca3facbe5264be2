// What the octets of a connection are: a function of seed, session, incarnation, direction and
// offset, so that any octet that arrives can be checked without remembering what was sent.
//
// A client's stream begins with a preamble of six octets that tells the server which stream this
// is, because an appliance in between may change addresses, ports and sequence numbers. Offsets
// count modulo 2^32. Pure; not a secret.
#pragma once

#include <algorithm>
#include <array>
#include <optional>

#include "base/bytes.h"
#include "base/random.h"

namespace holdfast::gen {

struct StreamId {
    uint32_t session = 0;
    uint8_t incarnation = 0;  // a session's slot is used again
    friend constexpr bool operator==(StreamId, StreamId) = default;
};

enum class Way : uint8_t { to_server, to_client };

inline constexpr size_t kPreamble = 6;
using Preamble = std::array<std::byte, kPreamble>;

constexpr uint64_t stream_key(uint64_t seed, StreamId id, Way way) {
    const uint64_t name =
        uint64_t{id.session} << 16 | uint64_t{id.incarnation} << 8 | static_cast<uint8_t>(way);
    return mix64(seed ^ mix64(name));
}

inline Preamble preamble_of(uint64_t seed, StreamId id) {
    Preamble p;
    store_le(p.data(), id.session);
    p[4] = std::byte{id.incarnation};
    p[5] = static_cast<std::byte>(stream_key(seed, id, Way::to_server));  // so that noise is seen
    return p;
}
// nullopt: not a preamble of that seed.
inline std::optional<StreamId> read_preamble(uint64_t seed, Bytes octets) {
    if (octets.size() < kPreamble) return std::nullopt;
    const StreamId id{load_le<uint32_t>(octets.data()), static_cast<uint8_t>(octets[4])};
    if (preamble_of(seed, id)[5] != octets[5]) return std::nullopt;
    return id;
}

class Stream {
public:
    Stream(uint64_t seed, StreamId id, Way way) : key_(stream_key(seed, id, way)) {
        if (way == Way::to_server) preamble_ = preamble_of(seed, id);
    }

    void fill(uint32_t offset, MutableBytes to) const {
        words(offset, to.size(), [&](size_t at, size_t length, const std::byte* is) {
            std::memcpy(to.data() + at, is, length);
        });
        if (!preamble_ || offset >= kPreamble || to.empty()) return;
        const size_t n = std::min(kPreamble - offset, to.size());
        std::memcpy(to.data(), preamble_->data() + offset, n);
    }
    // How many of these octets are not what they should be.
    uint32_t wrong(uint32_t offset, Bytes got) const {
        uint32_t wrong = 0;
        if (preamble_ && offset < kPreamble) {
            const size_t n = std::min(kPreamble - offset, got.size());
            wrong += differing(got.data(), preamble_->data() + offset, n);
            offset += static_cast<uint32_t>(n);
            got = got.subspan(n);
        }
        words(offset, got.size(), [&](size_t at, size_t length, const std::byte* is) {
            wrong += differing(got.data() + at, is, length);
        });
        return wrong;
    }

private:
    // Calls piece(position, length, octets) for each eight octets, or what is wanted of them.
    template <typename Piece>
    void words(uint32_t offset, size_t size, Piece&& piece) const {
        for (size_t at = 0; at < size;) {
            const uint32_t o = offset + static_cast<uint32_t>(at);
            const uint64_t word = little(mix64(key_ + (o / 8) * 0x9e3779b97f4a7c15ull));
            std::byte octets[8];
            std::memcpy(octets, &word, 8);
            const size_t length = std::min<size_t>(8 - o % 8, size - at);
            piece(at, length, octets + o % 8);
            at += length;
        }
    }
    static uint32_t differing(const std::byte* a, const std::byte* b, size_t n) {
        if (n == 0 || std::memcmp(a, b, n) == 0) return 0;
        uint32_t wrong = 0;
        for (size_t i = 0; i < n; ++i) wrong += a[i] != b[i];
        return wrong;
    }

    uint64_t key_;
    std::optional<Preamble> preamble_;
};

}  // namespace holdfast::gen
