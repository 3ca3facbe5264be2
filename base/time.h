// Points in time and spans between them, in nanoseconds.
//
// There is no now() here on purpose: protocol code is handed the time and cannot ask for it, so
// that a whole cluster can run from one seed. The poll loop (dataplane/port) stamps an Instant once
// per cycle; the simulator makes its own. An Instant has no epoch anybody may rely on and is never
// sent to another node.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>

namespace holdfast {

struct Duration {
    int64_t ns = 0;

    static constexpr Duration nanoseconds(int64_t n) { return {n}; }
    static constexpr Duration microseconds(int64_t n) { return {n * 1'000}; }
    static constexpr Duration milliseconds(int64_t n) { return {n * 1'000'000}; }
    static constexpr Duration seconds(int64_t n) { return {n * 1'000'000'000}; }
    static constexpr Duration max() { return {std::numeric_limits<int64_t>::max()}; }

    constexpr double as_seconds() const { return static_cast<double>(ns) / 1e9; }
    constexpr int64_t as_microseconds() const { return ns / 1'000; }
    constexpr int64_t as_milliseconds() const { return ns / 1'000'000; }

    friend constexpr auto operator<=>(Duration, Duration) = default;
    friend constexpr Duration operator+(Duration a, Duration b) { return {a.ns + b.ns}; }
    friend constexpr Duration operator-(Duration a, Duration b) { return {a.ns - b.ns}; }
    friend constexpr Duration operator*(Duration a, int64_t n) { return {a.ns * n}; }
    friend constexpr Duration operator/(Duration a, int64_t n) { return {a.ns / n}; }
};

struct Instant {
    int64_t ns = 0;

    // A deadline that never comes; arithmetic on it saturates.
    static constexpr Instant max() { return {std::numeric_limits<int64_t>::max()}; }

    friend constexpr auto operator<=>(Instant, Instant) = default;
    friend constexpr Duration operator-(Instant a, Instant b) { return {a.ns - b.ns}; }
    friend constexpr Instant operator+(Instant t, Duration d) {
        if (t == max() || d == Duration::max()) return max();
        return {t.ns + d.ns};
    }
    friend constexpr Instant operator-(Instant t, Duration d) { return {t.ns - d.ns}; }
};

constexpr Instant earlier(Instant a, Instant b) { return a < b ? a : b; }

}  // namespace holdfast
