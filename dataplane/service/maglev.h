// Consistent hashing of new sessions onto backends: a Maglev table (Eisenbud et al., NSDI 2016,
// section 3.4), with weights.
//
// Every node builds the same table from the same backends, whatever their order. A backend that
// comes or goes moves little more than its own share. Building takes no memory (the constructor
// took it) and milliseconds, so it is done when something changed, not per packet.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace holdfast {

class MaglevTable {
public:
    static constexpr uint16_t kNone = 0xffff;

    // `slots` must be prime, and about a hundred times the backends for shares within a per cent.
    MaglevTable(uint16_t slots, uint16_t max_backends);

    struct Choice {
        uint64_t identity = 0;  // hash of what the backend is; equal on all nodes
        uint32_t weight = 1;    // 0 takes nothing
        uint16_t index = 0;     // what pick() returns
    };
    void build(std::span<const Choice> choices);

    uint16_t pick(uint64_t hash) const { return table_[hash % table_.size()]; }
    std::span<const uint16_t> table() const { return table_; }
    uint64_t bytes() const;

private:
    struct Cursor {
        uint32_t offset = 0, skip = 1, weight = 0, credit = 0;
        uint64_t identity = 0;
        uint16_t index = 0;
    };
    std::vector<uint16_t> table_;
    std::vector<Cursor> cursors_;
};

}  // namespace holdfast
