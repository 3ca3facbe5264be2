// I9: nothing that must not be known is on the ring in clear.
#pragma once

#include <bitset>
#include <unordered_set>

#include "tests/simulation/world/judge.h"

namespace holdfast::simulation {

class SecretsJudge final : public Judge {
public:
    const char* name() const override { return "secrets"; }

    // At least 8 octets; the first 8 are looked for.
    void keep_secret(Bytes octets) {
        const uint64_t w = word(octets.data());
        secrets_.insert(w);
        perhaps_.set(bit(w));
    }

    void on_ring(const NodeSeen&, Bytes datagram, Instant now) override {
        for (size_t at = 0; at + 8 <= datagram.size(); ++at) {
            const uint64_t w = word(datagram.data() + at);
            if (perhaps_.test(bit(w)) && secrets_.contains(w))
                return complain(now, "a secret in clear at " + std::to_string(at));
        }
    }

private:
    static uint64_t word(const std::byte* at) {
        uint64_t w;
        std::memcpy(&w, at, sizeof w);
        return w;
    }
    static size_t bit(uint64_t w) { return w * 0x9e3779b97f4a7c15 >> 48; }
    std::unordered_set<uint64_t> secrets_;
    std::bitset<1 << 16> perhaps_;  // spares most words the look into the set
};

}  // namespace holdfast::simulation
