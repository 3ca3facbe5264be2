// What goes wrong in a world, and when: drawn from its seed, told in a line each, and taken away
// one by one when a failure is made smaller.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/time.h"

namespace holdfast::simulation {

struct Fault {
    enum class Kind : uint8_t {
        kill,          // and restarted, with nothing in memory, after `lasts`
        pause,         // not scheduled for `lasts`; its clock goes on
        cut_ring,      // neither hears nor is heard on the ring
        deaf,          // hears nothing on the ring, and is heard
        mute,          // hears all, and is not heard
        handover,      // gives its groups away, on purpose
        stall,         // a hiccup of `lasts`, too short for anybody to notice
        clock_jump,    // its clock is `lasts` further at once; no clock of ours goes back
        clients_link,  // the wire of all clients is unplugged
        backends_link,
        host_link,     // of one host: the clients, or the backend, of one family
        ring_weather,  // datagrams are lost, doubled, delayed, broken with `chance`
        wire_weather,  // and frames between hosts and nodes
    };
    static constexpr uint8_t kHolder = 0xff;  // whoever holds the group at that time

    Kind kind{};
    Duration
        at{};  // since the fault before it was over and forgotten; in rough worlds, since all began
    uint8_t node = kHolder;  // host_link: which host; bit 0 the family (1: IPv6), bit 1 backend
    Duration lasts{};
    double chance = 0;

    bool is_of_hosts() const { return kind >= Kind::clients_link && kind <= Kind::host_link; }
    bool is_weather() const { return kind >= Kind::ring_weather; }
};
std::string to_string(const Fault& fault);

// One fault at a time, each over before the next: nobody may lose anything. Or all at any time:
// connections may end by a reset, never wrongly.
enum class Temper : uint8_t { orderly, rough };

std::vector<Fault> draw_faults(Random& random, Temper temper, unsigned nodes, unsigned failovers);
// One more, of no node's process: of a clock, or of hosts. In one world of three.
void draw_odd_fault(Random& random, unsigned nodes, std::vector<Fault>& faults);
// And in one of four: the wire of one host fails.
void draw_host_fault(Random& random, std::vector<Fault>& faults);

}  // namespace holdfast::simulation
