// A forwarded TCP session: everything Holdfast knows about one client connection and its backend
// connection.
//
// A plain value of three cache lines: copied whole into and out of fragments' codecs, restored on
// another node, and carried on. Functions on it are in dataplane/forward (track, rewrite); where it
// lives is dataplane/flow/session_table.h.
#pragma once

#include <cstdint>
#include <type_traits>

#include "base/cluster.h"
#include "base/time.h"
#include "dataplane/wire/address.h"
#include "dataplane/wire/seq_num.h"

namespace holdfast {

// RFC 9293 section 3.3.2 as someone in the middle sees it: what each side has been seen to say.
enum class SessionState : uint8_t {
    syn_sent,      // the client's SYN was passed on
    syn_received,  // the backend's SYN-ACK was seen
    established,   // and the client's acknowledgement of it
    client_fin,    // the client has said FIN; half closed
    backend_fin,   // the backend has said FIN; half closed
    both_fin,      // both have
    time_wait,     // and both FINs were acknowledged
    reset,         // an acceptable RST was seen
};
inline constexpr size_t kSessionStates = 8;

constexpr bool is_embryonic(SessionState s) {
    return s == SessionState::syn_sent || s == SessionState::syn_received;
}
constexpr bool is_over(SessionState s) {
    return s == SessionState::time_wait || s == SessionState::reset;
}

enum class Direction : uint8_t { from_client, from_backend };
constexpr Direction opposite(Direction d) {
    return d == Direction::from_client ? Direction::from_backend : Direction::from_client;
}

// What one side has sent, in its own sequence space unless said otherwise.
struct TcpSide {
    SeqNum isn;
    SeqNum end;               // one past the highest octet sent
    SeqNum ack;               // highest acknowledgement sent: in the other side's sequence space
    SeqNum max_end;           // as far as the other side's advertised window ever let it go
    uint32_t max_window = 0;  // largest window it advertised, bytes (scaled)
    uint16_t mss = 0;         // from its SYN; 0: none
    uint8_t window_scale = 0;
    uint8_t flags = 0;

    static constexpr uint8_t kScaleOffered = 1, kSack = 2, kTimestamps = 4;
    // What is above follows the wire. Cleared by restoring from a fragment that may be old: then
    // the first segment of this side is believed.
    static constexpr uint8_t kSynced = 8;
    static constexpr uint8_t kFinSent = 16, kFinAcked = 32;
    bool has(uint8_t flag) const { return (flags & flag) != 0; }
};
static_assert(sizeof(TcpSide) == 24);

struct alignas(64) Session {
    Endpoint client;  // client -> vip is what the front sees
    Endpoint vip;
    Endpoint pool;  // pool -> backend is what the back sees
    Endpoint backend;
    MacAddress client_mac;                // next hop towards the client, learned from its segments
    uint16_t client_vlan = 0;             // and its VLAN; 0: untagged
    uint16_t service = 0;                 // index in ForwardOptions::services
    uint16_t backend_index = kNoBackend;  // index in Service::backends, or kNoBackend
    GroupId group;
    SessionState state = SessionState::syn_sent;
    uint16_t flags = 0;
    TcpSide from_client;
    TcpSide from_backend;
    Instant last_activity;
    Instant created;
    // The rest is the caller's: the forwarder keeps it and never looks at it.
    Epoch epoch;  // under which the fragments below were last published
    uint32_t header_version = 0;
    uint32_t segment_version = 0;
    uint32_t application_version = 0;
    uint32_t caller = 0;
    // The table's: how often its slot had been taken or freed. Here because every packet needs it,
    // and this line is at hand anyway.
    uint32_t generation = 0;

    static constexpr uint16_t kNoBackend = 0xffff;
    static constexpr uint16_t kCommitted = 1;     // header and alias are held; set by the caller
    static constexpr uint16_t kAdopted = 2;       // restored from fragments; set by restore()
    static constexpr uint16_t kDirtySegment = 4;  // in the dirty queue
    static constexpr uint16_t kNudged = 8;        // the caller's: its sender was woken
    static constexpr uint16_t kRelayed = 16;      // its service terminates TCP: not forwarded
    static constexpr uint16_t kCallerFlags = 0xff00;

    bool has(uint16_t flag) const { return (flags & flag) != 0; }
    void set(uint16_t flag) { flags |= flag; }
    void clear(uint16_t flag) { flags &= static_cast<uint16_t>(~flag); }
    TcpSide& side(Direction d) { return d == Direction::from_client ? from_client : from_backend; }
    const TcpSide& side(Direction d) const {
        return d == Direction::from_client ? from_client : from_backend;
    }
};
static_assert(sizeof(Session) == 192);
static_assert(std::is_trivially_copyable_v<Session>);

// A session in a table. Goes stale when the session is removed, and is then never valid again.
struct SessionIndex {
    uint32_t slot = UINT32_MAX;
    uint32_t generation = 0;
    friend constexpr bool operator==(SessionIndex, SessionIndex) = default;
    constexpr explicit operator bool() const { return slot != UINT32_MAX; }
    // As one number, for those who only carry it.
    constexpr uint64_t packed() const { return uint64_t{generation} << 32 | slot; }
    static constexpr SessionIndex from_packed(uint64_t number) {
        return {static_cast<uint32_t>(number), static_cast<uint32_t>(number >> 32)};
    }
};

// A segment's addresses as it arrived: (client, vip) or (backend, pool).
struct FlowKey {
    Endpoint source;
    Endpoint destination;
    friend constexpr auto operator<=>(const FlowKey&, const FlowKey&) = default;
};
// The same in words, for the packet path: these stay in registers, where a FlowKey is put together
// in memory and read back in other sizes.
struct FlowWords {
    IpAddress::Words source{}, destination{};
    uint16_t source_port = 0, destination_port = 0;
};
inline FlowWords words_of(const FlowKey& key) {
    return {key.source.address.words(), key.destination.address.words(), key.source.port,
            key.destination.port};
}
inline FlowKey client_key(const Session& s) { return {s.client, s.vip}; }
inline FlowKey backend_key(const Session& s) { return {s.backend, s.pool}; }

}  // namespace holdfast
