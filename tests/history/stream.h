// One direction of a TCP connection as it passed one place: its octets by their offset, how far
// they were acknowledged, where it ended.
//
// Offset 0 is the octet after the SYN. Octets that were seen twice must be the same; the first that
// were not are remembered, and the earlier ones kept. Streams longer than 2 GiB are not for this.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace holdfast::history {

class Stream {
public:
    void begin(uint32_t syn);  // anew: what was seen is forgotten
    bool begun() const { return begun_; }
    uint32_t syn() const { return syn_; }

    void on_octets(uint32_t sequence, Bytes octets);
    void on_fin(uint32_t sequence);  // the FIN's own sequence number
    void on_acknowledgement(uint32_t acknowledgement);
    // Whether a reset with this sequence number is one that a receiver obeys, or might (RFC 5961
    // section 3.2, but for a delayed acknowledgement).
    bool obeyed(uint32_t reset) const;

    // What was seen without a gap from the first octet on.
    Bytes whole() const { return Bytes(octets_).first(whole_); }
    // Seen at all: there may be gaps before it.
    uint64_t end() const { return octets_.size(); }
    uint64_t acked() const;  // octets: neither the SYN nor the FIN
    std::optional<uint64_t> fin() const { return fin_; }
    bool fin_acked() const { return fin_ && acked_ > *fin_; }
    // Octets that were seen more than once.
    uint64_t repeated() const { return repeated_; }
    bool used() const { return end() > 0 || acked() > 0; }

    // What contradicts itself in what was seen here; none is the rule.
    std::optional<std::string> contradiction() const;
    // Octets were acknowledged that were not seen: who captured has missed some, or they never
    // were.
    bool gap() const { return acked() > whole_; }

private:
    int64_t offset(uint32_t sequence) const { return static_cast<int32_t>(sequence - syn_ - 1); }
    void compare(uint64_t at, Bytes octets);
    void note_known(uint64_t from, uint64_t to);

    bool begun_ = false;
    uint32_t syn_ = 0;
    std::vector<std::byte> octets_;
    uint64_t whole_ = 0;                    // octets [0, whole_) are known
    std::map<uint64_t, uint64_t> islands_;  // known ones beyond: first -> end
    uint64_t acked_ = 0;                    // the FIN counted
    uint64_t repeated_ = 0;
    std::optional<uint64_t> fin_, other_fin_, changed_;
};

}  // namespace holdfast::history
