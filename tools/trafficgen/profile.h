// What traffic is made, as plain values: what a connection does, and which rate paces it.
//
// Every profile is this one machine with other numbers: connections of some class are opened, each
// makes requests of `request` octets, the server answers each by `response` octets, and the client
// closes after the last one, or never. See docs/operating/holdfast-gen.1 for the profiles by name.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace holdfast::gen {

enum class Close : uint8_t { fin, rst };

struct FlowClass {
    uint32_t weight = 1;    // its share of the sessions
    uint32_t requests = 0;  // of a connection; 0: no end, as the schedule says
    uint32_t request = 6;   // octets, at least 6 (the preamble); of each
    uint32_t response = 0;  // octets; 0: the acknowledgement is the answer
    Close close = Close::fin;
    bool silent = false;  // opened and closed without an octet
};

enum class Kind : uint8_t {
    sessions,     // open all, then requests on them in turn
    connections,  // new ones at a rate, each closed when it is done
    nothing,      // attacks only
};

struct Attack {
    double syn = 0;        // frames a second each: SYNs from addresses that do not exist
    double flags = 0;      // random flags, to the target
    double rst = 0;        // RSTs in the name of a session's client, number guessed
    double ack = 0;        // likewise ACKs with an octet
    double fragments = 0;  // first and later fragments
    bool any() const { return syn + flags + rst + ack + fragments > 0; }
};

struct Profile {
    std::string name = "established";
    Kind kind = Kind::sessions;
    uint32_t sessions = 1000;   // 1 to 8 M; of `connections`: how many may exist at once
    double rate = 1000;         // requests (sessions) or connections (connections) a second
    double open_rate = 20'000;  // sessions: how fast they are opened
    uint32_t half_open = 4096;  // sessions: at most that many at a time
    std::vector<FlowClass> classes{FlowClass{}};
    Attack attack;
};

// established, connect, http, concurrent, verify, mixed, attack; nullopt-like: an error that names
// them.
std::expected<Profile, std::string> profile_by_name(std::string_view name);

// A distribution file: a class a line, "weight requests request response fin|rst|silent"; '#'
// begins a comment. Errors are "file:line: what".
std::expected<std::vector<FlowClass>, std::string> parse_mix(std::string_view file,
                                                             std::string_view text);

// Sessions belong to classes by their number, in proportion to the weights, mixed by the seed.
class ClassTable {
public:
    ClassTable(const std::vector<FlowClass>& classes, uint64_t seed);
    const FlowClass& of(uint32_t session) const { return classes_[number_of(session)]; }
    uint8_t number_of(uint32_t session) const;

private:
    std::vector<FlowClass> classes_;
    std::vector<uint64_t> up_to_;  // cumulated weights
    uint64_t seed_;
};

}  // namespace holdfast::gen
