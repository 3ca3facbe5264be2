// placeholder
#pragma once
#include <cstdint>
#include <optional>
namespace holdfast {
struct CookieOptions {
    uint16_t mss = 536;
    std::optional<uint8_t> window_scale;
    bool sack = false, ecn = false;
};
}  // namespace holdfast
