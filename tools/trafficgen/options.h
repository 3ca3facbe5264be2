// holdfast-gen's command line, as a function.
#pragma once

#include <expected>
#include <optional>
#include <string>
#include <vector>

#include "tools/trafficgen/generator.h"

namespace holdfast::gen {

struct RunOptions {
    GeneratorOptions generator;
    std::optional<double> run_s;  // batch: that long from when the profile runs
    double open_limit_s = 60;     // batch: until it does
    double drain_s = 2;           // for what is outstanding at the end
    double stats_period_s = 0;    // 0: only when asked
    std::string commands;         // a file of commands
    std::string json;             // where the last report goes; "-": standard output
    bool start = false;           // at once, also in interactive mode
    bool hang_up = true;
};

struct Usage {
    int code = 2;
    std::string text;  // help, or what was not understood
};

// `arguments` without the program's name.
std::expected<RunOptions, Usage> parse_arguments(std::vector<std::string> arguments);
// A distribution file.
std::expected<std::vector<FlowClass>, std::string> read_mix(const std::string& path);

}  // namespace holdfast::gen
