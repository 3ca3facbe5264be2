// The few names all parts share: which node, which start of it, which worker, which takeover group,
// and the epoch that fences an old holder of a group.
//
// A shard is worker w of every node: the shards of a cluster share nothing, so nothing here names
// one.
#pragma once

#include <bit>
#include <compare>
#include <cstdint>
#include <string>

#include "base/check.h"

namespace holdfast {

// Nodes are numbered 0 to 31, so that a set of them is one word.
inline constexpr unsigned kMaxNodes = 32;
inline constexpr unsigned kMaxGroups = 16;

struct NodeId {
    uint8_t value = 0;
    friend constexpr auto operator<=>(NodeId, NodeId) = default;
};

// One start of a node's process. Later starts of the same node have greater numbers (holdfastd
// takes the wall clock in nanoseconds); 0 means "none".
struct Incarnation {
    uint64_t value = 0;
    friend constexpr auto operator<=>(Incarnation, Incarnation) = default;
};

// A takeover group: VIPs, their address pools and all sessions on them move between nodes together.
struct GroupId {
    uint8_t value = 0;
    friend constexpr auto operator<=>(GroupId, GroupId) = default;
};

// Grows with each change of a group's holder: the fencing token. 0 means "never held". Above the
// low 24 bits it counts; the low bits are those of the asking node and of its incarnation, so that
// no two nodes, nor two lives of one, ever hold under the same epoch, whatever voters forget.
struct Epoch {
    uint64_t value = 0;
    friend constexpr auto operator<=>(Epoch, Epoch) = default;
    constexpr uint64_t count() const { return value >> 24; }  // for people
    constexpr Epoch next(NodeId candidate, Incarnation life) const {
        return {(count() + 1) << 24 | (life.value & 0x7ffff) << 5 | candidate.value};
    }
};
static_assert(kMaxNodes == 1 << 5);

// The number of a datagram in one ring, from 1; never wraps. 0 means "nothing yet".
struct Position {
    uint64_t value = 0;
    friend constexpr auto operator<=>(Position, Position) = default;
    friend constexpr uint64_t operator-(Position a, Position b) { return a.value - b.value; }
    constexpr Position plus(uint64_t n) const { return {value + n}; }
};

class NodeSet {
public:
    constexpr NodeSet() = default;
    constexpr explicit NodeSet(uint32_t bits) : bits_(bits) {}
    static constexpr NodeSet of(NodeId n) { return NodeSet(1u << n.value); }

    constexpr bool has(NodeId n) const { return bits_ >> n.value & 1; }
    constexpr void add(NodeId n) { bits_ |= 1u << n.value; }
    constexpr void remove(NodeId n) { bits_ &= ~(1u << n.value); }
    constexpr unsigned size() const { return static_cast<unsigned>(std::popcount(bits_)); }
    constexpr bool empty() const { return bits_ == 0; }
    constexpr uint32_t bits() const { return bits_; }
    constexpr bool contains(NodeSet other) const { return (other.bits_ & ~bits_) == 0; }
    constexpr NodeSet without(NodeSet other) const { return NodeSet(bits_ & ~other.bits_); }

    friend constexpr NodeSet operator|(NodeSet a, NodeSet b) { return NodeSet(a.bits_ | b.bits_); }
    friend constexpr NodeSet operator&(NodeSet a, NodeSet b) { return NodeSet(a.bits_ & b.bits_); }
    friend constexpr bool operator==(NodeSet, NodeSet) = default;

    // for (NodeId n : set), ascending.
    struct Iterator {
        uint32_t bits;
        constexpr NodeId operator*() const {
            return {static_cast<uint8_t>(std::countr_zero(bits))};
        }
        constexpr Iterator& operator++() {
            bits &= bits - 1;
            return *this;
        }
        friend constexpr bool operator==(Iterator, Iterator) = default;
    };
    constexpr Iterator begin() const { return {bits_}; }
    constexpr Iterator end() const { return {0}; }

private:
    uint32_t bits_ = 0;
};

std::string to_string(NodeSet nodes);  // "{0,2,3}"

}  // namespace holdfast
