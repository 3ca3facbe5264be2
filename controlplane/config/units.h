// Quantities as the configuration writes them: "20ms", "128MiB", "1024-65535".
//
// A bare number is refused everywhere: nobody remembers whether a timeout was in seconds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/time.h"

namespace holdfast {

// Digits and one unit: ns us ms s m h.
std::optional<Duration> parse_duration(std::string_view text);
// Digits and one unit: B KiB MiB GiB.
std::optional<uint64_t> parse_size(std::string_view text);
// "first-last", or one port; both from 1 and in order.
std::optional<std::pair<uint16_t, uint16_t>> parse_port_range(std::string_view text);
// Digits, all of them.
std::optional<uint64_t> parse_digits(std::string_view text);

std::string duration_text(Duration d);  // the largest unit that is exact: "20ms", "124m"
std::string size_text(uint64_t bytes);  // likewise: "128MiB"

}  // namespace holdfast
