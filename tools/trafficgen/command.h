// A line at the prompt, understood. Pure: what it does is session.h's.
//
// At home for who knows testpmd; `help` lists all. A command that is not understood says what is
// wrong and what there would have been.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "tools/trafficgen/profile.h"

namespace holdfast::gen {

enum class Verb : uint8_t {
    nothing,  // an empty line or a comment
    start,
    stop,
    show_stats,
    show_failover,
    show_config,
    show_json,
    show_port_stats,
    show_port_xstats,
    clear,
    set_rate,
    set_attack,
    set_profile,  // the profile by that name
    set_mix,
    set_number,  // `field` of the profile or its classes
    set_close,
    wait,  // until `word`: running, or drained; `number` seconds at most
    sleep,
    hang_up,
    help,
    quit,
};

struct Command {
    Verb verb = Verb::nothing;
    std::string word{};
    double number = 0;
    Attack attack{};
};

std::expected<Command, std::string> parse_command(std::string_view line);
// "syn=1000,rst=50": frames a second of each sort; "off": none.
std::expected<Attack, std::string> parse_attack(std::string_view text);

// Changes one number of a profile: sessions, open-rate, half-open, requests, request, response. An
// error says its range.
std::expected<void, std::string> set_number(Profile& profile, std::string_view field, double value);

std::string_view help_text();

}  // namespace holdfast::gen
