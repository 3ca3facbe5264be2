// The bodies that membership puts into heartbeats, statuses and messages. docs/protocol.md has them
// byte for byte; parse(emit(x)) == x is tested.
#pragma once

#include <array>
#include <optional>

#include "base/bytes.h"
#include "base/cluster.h"

namespace holdfast {

// First byte of every message on the ring: who it is for.
enum class MessageType : uint8_t { adopt = 1, vote = 2, pull = 16, sweep = 17, fragments = 18 };

struct GroupClaim {
    Epoch epoch;          // highest this node has seen or promised
    bool holder = false;  // it holds the group under that epoch
    bool swept = false;   // and has gathered all its fragments
    friend bool operator==(const GroupClaim&, const GroupClaim&) = default;
};

using MemberIncarnations = std::array<uint32_t, kMaxNodes>;  // low 32 bits; 0 where not a member

struct MemberHeartbeat {
    uint64_t serial =
        0;  // grows with each heartbeat of an incarnation: an overtaken one says nothing
    uint64_t view_number = 0;  // the newest, which may still be waiting for its members' word
    NodeSet members;
    MemberIncarnations incarnations{};
    uint64_t base_number = 0;  // the one that counts, or an adoption's first until one does
    NodeSet base_members;
    bool leaving = false;
    std::array<GroupClaim, kMaxGroups> claims{};
};
size_t emit(const MemberHeartbeat& body, MutableBytes to);
std::optional<MemberHeartbeat> parse_heartbeat_body(Bytes bytes);

struct MemberStatus {
    uint64_t knows_view = 0;  // of the ring's sender
    std::array<Epoch, kMaxGroups> epochs{};
};
size_t emit(const MemberStatus& body, MutableBytes to);
std::optional<MemberStatus> parse_status_body(Bytes bytes);

// The last claim to a group that a node has heard of: who held it, under which epoch (0: nobody
// ever did), and the highest view of that holder it knows.
struct LastClaim {
    Epoch epoch;
    NodeId holder;
    Incarnation incarnation;
    uint64_t view_number = 0;
    NodeSet members;
    MemberIncarnations incarnations{};
    uint64_t base_number = 0;
    NodeSet base_members;
    friend bool operator==(const LastClaim&, const LastClaim&) = default;
};

// What a node must know of a group after a restart: the highest epoch that it promised, and the
// last claim it knew, so that nobody adopts from an older one with its vote.
struct Promise {
    static constexpr size_t kMaxSize = 256;
    Epoch epoch;
    LastClaim claim;
    friend bool operator==(const Promise&, const Promise&) = default;
};
size_t emit(const Promise& promise, MutableBytes to);
std::optional<Promise> parse_promise(Bytes bytes);

// "I want group `group` under `epoch`; the last holder I know of is gone." A probe asks without
// binding anyone, so that a node which cannot win disturbs nobody (compare Raft's pre-vote, Ongaro
// 2014, section 9.6).
struct Adopt {
    GroupId group;
    Epoch epoch;
    bool probe = false;
    Epoch claim_epoch;
    friend bool operator==(const Adopt&, const Adopt&) = default;
};
size_t emit(const Adopt& adopt, MutableBytes to);
std::optional<Adopt> parse_adopt(Bytes bytes);

enum class VoteAnswer : uint8_t {
    yes,
    older_epoch,
    holder_alive,
    not_a_member,
    newer_claim,
    listening
};
struct Vote {
    GroupId group;
    Epoch epoch;  // asked for
    Epoch known;  // highest the voter knows
    bool probe = false;
    VoteAnswer answer = VoteAnswer::yes;
    LastClaim claim;
    friend bool operator==(const Vote&, const Vote&) = default;
};
size_t emit(const Vote& vote, MutableBytes to);
std::optional<Vote> parse_vote(Bytes bytes);

}  // namespace holdfast
