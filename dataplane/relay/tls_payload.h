// Octets of a TLS session that we acknowledged before they could be passed on whole: the beginning
// of a client's record, and of a record of ours that another node had cut.
//
// They are facts of the two streams: octets at a place, told by fragments of two kinds in turn. A
// fragment is overwritten only when the one of the other kind is held, so that what the last commit
// needs is somewhere, however the fragments of the next one got lost.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "dataplane/wire/seq_num.h"

namespace holdfast {

struct TlsOctets {
    SeqNum start;         // of `record` in the client's stream
    uint32_t offset = 0;  // of `text` in the backend's stream
    Bytes record, text;
};

// As a fragment's value.
std::vector<std::byte> write_tls_octets(const TlsOctets& octets);

// Of the octets at these places that `wanted` fragments ask for, those that a fragment holds: as
// many as any one has. What none has was not agreed, so nobody was told that it had been taken.
struct TlsOctetsWanted {
    SeqNum start;
    uint32_t offset = 0;
    size_t record = 0, text = 0;
};
TlsOctets find_tls_octets(std::span<const std::vector<std::byte>> fragments,
                          const TlsOctetsWanted& wanted);

// The fragment that a stream's next commit needs.
class TlsPayload {
public:
    // Whether everything told so far is held: only then may there be another.
    bool is_held() const { return held_; }
    void replace(const TlsOctets& octets);
    // A commit made when it was `turn`'s is held.
    void on_held(uint8_t turn) { held_ |= turn == turn_; }
    // Another node's stream goes on after its turn.
    void set_turn(uint8_t turn) { turn_ = turn; }

    uint8_t turn() const { return turn_; }  // 0 or 1: which of the two kinds
    const std::vector<std::byte>& value() const { return value_; }

    uint32_t version = 0;  // under which it was published, each time; 0: not yet

private:
    std::vector<std::byte> value_;
    uint8_t turn_ = 0;
    bool held_ = true;
};

}  // namespace holdfast
