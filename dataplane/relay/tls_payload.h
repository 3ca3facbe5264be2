// Octets of a TLS session that we acknowledged before they could be passed on whole: the beginning
// of a client's record, and of a record of ours that another node had cut.
//
// They are facts of the two streams: octets at a place, told by fragments of two kinds in turn. A
// fragment is overwritten only when the next one of the other kind is held, so that what the last
// commit needs is somewhere, however the fragments of the next one got lost.
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

struct TlsPayload {
    std::vector<std::byte> value;
    uint32_t version = 0;  // under which it was published, each time; 0: not yet
    uint8_t turn = 0;      // which of the two kinds
};

}  // namespace holdfast
