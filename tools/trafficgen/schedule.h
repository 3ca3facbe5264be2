// When each ticket is due: a plan fixed by the rate alone, whatever the system under test does.
//
// A ticket is permission to send one thing. Its time does not depend on when earlier ones were
// used, so that a stall shows in every latency it should have shown in (Tene: "coordinated
// omission"). The rate may change; tickets keep the time they had. Pure; time is passed in.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/time.h"

namespace holdfast::gen {

class Schedule {
public:
    // A second: 0 (nothing is due) to 1e9. From now on; the first ticket is due one interval later.
    void set_rate(double per_second, Instant now) {
        const uint64_t first = next_after(now);
        pieces_[++last_ % kPieces] = {now, first, per_second > 0 ? 1e9 / per_second : 0};
        if (taken_ > first) pieces_[last_ % kPieces].first = taken_;
        known_ = known_ < kPieces ? known_ + 1 : kPieces;
    }
    double rate() const {
        return last_piece().interval_ns > 0 ? 1e9 / last_piece().interval_ns : 0;
    }

    // The next ticket, if it is due.
    std::optional<uint64_t> take(Instant now) {
        if (taken_ >= next_after(now)) return std::nullopt;
        return taken_++;
    }
    uint64_t taken() const { return taken_; }
    // Tickets due and not taken.
    uint64_t owed(Instant now) const {
        const uint64_t due = next_after(now);
        return due > taken_ ? due - taken_ : 0;
    }
    Instant next_deadline() const { return intended(taken_).value_or(Instant::max()); }
    // When a ticket was, or will be, due. nullopt: never at this rate, or too many rates ago.
    std::optional<Instant> intended(uint64_t ticket) const {
        for (uint64_t i = 0; i < known_; ++i) {
            const Piece& p = pieces_[(last_ - i) % kPieces];
            if (ticket < p.first) continue;
            if (p.interval_ns == 0) return std::nullopt;
            return p.began + after(p, ticket - p.first + 1);
        }
        return std::nullopt;
    }

private:
    struct Piece {
        Instant began;
        uint64_t first = 0;      // ticket
        double interval_ns = 0;  // 0: none are due
    };
    static constexpr uint64_t kPieces = 16;

    const Piece& last_piece() const { return pieces_[last_ % kPieces]; }
    static Duration after(const Piece& p, uint64_t n) {
        return {static_cast<int64_t>(static_cast<double>(n) * p.interval_ns)};
    }
    // The first ticket that is not due yet.
    uint64_t next_after(Instant now) const {
        const Piece& p = last_piece();
        if (p.interval_ns == 0 || now <= p.began) return p.first;
        auto n = static_cast<uint64_t>(static_cast<double>((now - p.began).ns) / p.interval_ns);
        // Rounding must not make a ticket due before the time that intended() tells.
        while (n > 0 && after(p, n) > now - p.began) --n;
        while (after(p, n + 1) <= now - p.began) ++n;
        return p.first + n;
    }

    std::array<Piece, kPieces> pieces_{};
    uint64_t last_ = 0, known_ = 1;
    uint64_t taken_ = 0;
};

}  // namespace holdfast::gen
