// From a configuration file to a Config, or to everything that is wrong with it.
//
// Strict: an unknown key, a value out of range, an address with two owners or a name nobody has is
// refused, never guessed at; all problems are found in one run. Throws nothing. Reads no file but
// the configuration and the secret it names.
#pragma once

#include <array>
#include <cstddef>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/config/config.h"
#include "controlplane/config/problem.h"

namespace holdfast {

using Secret = std::array<std::byte, 32>;
// The secret in a file, or why not. The name is as written in the configuration.
using ReadSecret = std::function<std::expected<Secret, std::string>(const std::string&)>;

struct Loaded {
    std::optional<Config> config;   // only without errors
    std::vector<Problem> problems;  // warnings too, by place in the file
    std::string report;             // all problems rendered; "" when there are none
};

Loaded load_config(const std::string& path);
Loaded parse_config(std::string_view text, const std::string& file_name,
                    const ReadSecret& read_secret);

// 32 raw bytes or 64 hexadecimal digits; refused when other users can read it.
std::expected<Secret, std::string> read_secret_file(const std::string& path);

}  // namespace holdfast
