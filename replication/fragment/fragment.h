// Fragments: one kind of state of one session, versioned, and the record that carries one on the
// ring.
//
// (epoch, version) orders the fragments of one id; the newest wins and writing one twice changes
// nothing, so repair, resync and re-replication are the same act: send the current fragment again.
// What a value means is not known here (dataplane/takeover makes and reads them). A value that
// exceeds kMaxFragmentValue is split into parts, each a fragment of its own; it is whole when all
// its parts carry the same (epoch, version). docs/protocol.md has the record byte for byte.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/cluster.h"

namespace holdfast {

inline constexpr unsigned kSlots = 4096;
inline constexpr size_t kMaxFragmentValue = 1100;  // bytes: a record of it fits one datagram
inline constexpr unsigned kMaxParts = 31;          // two TLS records and more
inline constexpr unsigned kMaxBlocks = 256;

enum class FragmentKind : uint8_t {
    header,
    alias,
    segment,
    payload,
    credential,
    application,
    resumable,
    stream,
    payload_odd,  // in turn with payload
};
inline constexpr unsigned kFragmentKinds = 9;
// What no live session needs to be carried on is gathered last.
constexpr bool is_late(FragmentKind kind) {
    return kind == FragmentKind::resumable || kind == FragmentKind::stream;
}
// Blocks of one id, up to kMaxBlocks, each with a version of its own; a standby that runs out of
// memory does without. They are erased together, by the first.
constexpr bool is_block(FragmentKind kind) { return kind == FragmentKind::stream; }
// Values that are wiped wherever they were.
constexpr bool is_secret(FragmentKind kind) {
    return kind == FragmentKind::credential || kind == FragmentKind::resumable;
}
const char* to_string(FragmentKind kind);

// Names a session to all nodes; opaque here. 13 bytes for IPv4, 37 for IPv6.
struct SessionKey {
    uint8_t size = 0;
    std::array<uint8_t, 37> bytes{};  // those from size on are zero

    Bytes view() const { return std::as_bytes(std::span(bytes).first(size)); }
    friend bool operator==(const SessionKey&, const SessionKey&) = default;
};

struct FragmentId {
    SessionKey session;
    FragmentKind kind = FragmentKind::header;
    uint8_t part = 0;

    // BUZhash of session and kind. The parts of a value share it, and so their owners.
    uint64_t hash() const;
    unsigned slot() const { return static_cast<unsigned>(hash() % kSlots); }
    friend bool operator==(const FragmentId&, const FragmentId&) = default;
};

struct FragmentVersion {
    Epoch epoch;
    uint32_t number = 0;
    friend constexpr auto operator<=>(FragmentVersion, FragmentVersion) = default;
};

// A fragment as it stands in a datagram or in the store; value is borrowed.
struct Fragment {
    FragmentId id;
    GroupId group;
    FragmentVersion version;
    uint8_t parts = 1;
    bool erased = false;  // the session is gone: forget it, and older versions that come late
    NodeSet owners;       // who is to keep it
    Bytes value;
};

size_t encoded_size(const Fragment& fragment);
void encode(const Fragment& fragment, ByteWriter& to);
// The next fragment; nothing if what stands there is not one.
std::optional<Fragment> decode_fragment(ByteReader& from);

}  // namespace holdfast
