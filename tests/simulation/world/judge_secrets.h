// I9: nothing that must not be known is on the ring in clear.
#pragma once

#include <unordered_set>

#include "tests/simulation/world/judge.h"

namespace holdfast::simulation {

class SecretsJudge final : public Judge {
public:
    const char* name() const override { return "secrets"; }

    // At least 8 octets; the first 8 are looked for.
    void keep_secret(Bytes octets) { secrets_.insert(word(octets.data())); }

    void on_ring(const NodeSeen&, Bytes datagram, Instant now) override {
        for (size_t at = 0; at + 8 <= datagram.size(); ++at)
            if (secrets_.contains(word(datagram.data() + at)))
                return complain(now, "a secret in clear at " + std::to_string(at));
    }

private:
    static uint64_t word(const std::byte* at) {
        uint64_t w;
        std::memcpy(&w, at, sizeof w);
        return w;
    }
    std::unordered_set<uint64_t> secrets_;
};

}  // namespace holdfast::simulation
