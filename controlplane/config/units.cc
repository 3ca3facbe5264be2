#include "controlplane/config/units.h"

#include <array>
#include <charconv>
#include <limits>

namespace holdfast {

namespace {

struct Unit {
    std::string_view name;
    uint64_t factor;
};
// Ascending, each a multiple of the one before.
constexpr std::array<Unit, 6> kTimes{{{"ns", 1},
                                      {"us", 1'000},
                                      {"ms", 1'000'000},
                                      {"s", 1'000'000'000},
                                      {"m", 60'000'000'000},
                                      {"h", 3'600'000'000'000}}};
constexpr std::array<Unit, 4> kSizes{
    {{"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}}};

template <size_t N>
std::optional<uint64_t> parse_quantity(std::string_view text, const std::array<Unit, N>& units) {
    const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto value = parse_digits(text.substr(0, digits));
    if (!value) return std::nullopt;
    for (const Unit& unit : units) {
        if (text.substr(digits) != unit.name) continue;
        constexpr uint64_t kMost = std::numeric_limits<int64_t>::max();
        if (*value > kMost / unit.factor) return std::nullopt;
        return *value * unit.factor;
    }
    return std::nullopt;
}

template <size_t N>
std::string quantity_text(uint64_t value, const std::array<Unit, N>& units) {
    const Unit* best = &units[0];
    for (const Unit& unit : units)
        if (value != 0 && value % unit.factor == 0) best = &unit;
    return std::to_string(value / best->factor) + std::string(best->name);
}

}  // namespace

std::optional<uint64_t> parse_digits(std::string_view text) {
    uint64_t value = 0;
    const char* end = text.data() + text.size();
    auto [stop, error] = std::from_chars(text.data(), end, value);
    if (text.empty() || error != std::errc{} || stop != end) return std::nullopt;
    return value;
}

std::optional<Duration> parse_duration(std::string_view text) {
    auto ns = parse_quantity(text, kTimes);
    if (!ns) return std::nullopt;
    return Duration::nanoseconds(static_cast<int64_t>(*ns));
}

std::optional<uint64_t> parse_size(std::string_view text) { return parse_quantity(text, kSizes); }

std::optional<std::pair<uint16_t, uint16_t>> parse_port_range(std::string_view text) {
    const size_t dash = text.find('-');
    const auto first = parse_digits(text.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_digits(text.substr(dash + 1));
    if (!first || !last || *first == 0 || *first > *last || *last > 65'535) return std::nullopt;
    return std::pair(static_cast<uint16_t>(*first), static_cast<uint16_t>(*last));
}

std::string duration_text(Duration d) { return quantity_text(static_cast<uint64_t>(d.ns), kTimes); }
std::string size_text(uint64_t bytes) { return quantity_text(bytes, kSizes); }

}  // namespace holdfast
