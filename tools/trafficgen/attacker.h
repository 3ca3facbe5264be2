// Frames nobody asked for: SYNs from addresses that do not exist, random flags, RSTs and ACKs in
// the name of clients whose sequence numbers are guessed, fragments.
//
// Seeded: the same seed makes the same frames. The addresses made up lie behind the clients'; what
// comes back to them is counted and not answered, as hosts that do not exist would. Pure.
#pragma once

#include <array>

#include "base/random.h"
#include "tools/trafficgen/context.h"
#include "tools/trafficgen/schedule.h"

namespace holdfast::gen {

class Attacker {
public:
    static constexpr uint32_t kSources = 16;  // addresses, each with all its ports

    Attacker(Context& context, const Profile& profile);

    // From now on, at these rates.
    void set_rates(const Attack& rates, Instant now);
    Instant next_deadline() const;
    void on_deadline(Instant now);

private:
    enum Sort { kSyn, kFlags, kRst, kAck, kFragments, kSorts };
    static constexpr unsigned kAtOnce = 32;  // of each sort in a poll

    void send(Sort sort, Instant now);
    void send_fragment(const Hop& hop, const Endpoint& from, const Endpoint& to);
    Endpoint made_up(uint32_t target);

    Context& context_;
    uint32_t sessions_;
    Random random_;
    std::array<Schedule, kSorts> schedules_;
    std::vector<uint16_t> neighbors_;  // of each target
};

}  // namespace holdfast::gen
