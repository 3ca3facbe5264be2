// The release gate: a packet waits here until the state it reveals is held elsewhere
// (docs/invariants.md, I2).
//
// It is never dropped for having waited. The gate is bounded; its owner looks at room() before it
// lets in work that will need it, and so pushes back on senders instead of skipping the gate.
// Packets leave in the order in which they came, among those that may. Single-threaded, all memory
// taken at construction; knows no clock, and what "held elsewhere" means is asked of the caller.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "base/bytes.h"
#include "base/check.h"
#include "base/cluster.h"
#include "base/counters.h"
#include "base/time.h"

namespace holdfast {

// How many owners must hold the state a packet reveals before it may leave.
enum class Commit : uint8_t { none, any, all };

struct GateCounters {
    uint64_t held = 0, released = 0, abandoned = 0, full = 0, wait_ns = 0, longest_wait_ns = 0;
};
inline constexpr CounterInfo<GateCounters> kGateCounters[] = {
    {"held", "Packets that had to wait for their state to be held elsewhere.", &GateCounters::held},
    {"released", "Packets that left the gate.", &GateCounters::released},
    {"abandoned", "Packets forgotten because their group was lost.", &GateCounters::abandoned},
    {"full", "Packets refused because the gate was full.", &GateCounters::full},
    {"wait_nanoseconds", "Time that released packets waited, summed.", &GateCounters::wait_ns},
    {"longest_wait_nanoseconds", "The longest that a released packet waited.",
     &GateCounters::longest_wait_ns},
};

// What a packet waits for.
struct GateNeed {
    GroupId group;
    Commit commit = Commit::all;
    Position position;                   // in our ring; 0: nothing was published for it
    NodeSet owners;                      // who keeps what was published
    NodeSet also{};                      // who keeps the second fragment; empty: there is but one
    Instant confirmed_after{INT64_MIN};  // our epoch must be confirmed later than this
};

// What the owner of a packet wants to know when it leaves; opaque here.
struct GateTag {
    uint64_t id = 0;
    uint32_t what = 0;
};

class ReleaseGate {
public:
    static constexpr size_t kMaxPacket = 2048;

    explicit ReleaseGate(uint32_t packets) : slab_(size_t{packets} * kMaxPacket) {
        waiting_.reserve(size_t{packets} * 2);
        for (uint32_t i = packets; i-- > 0;) free_.push_back(i);
    }

    size_t room() const { return free_.size(); }
    size_t size() const { return waiting_.size() - head_; }

    // False, and counted, when the gate is full (or the packet too long for it). `tag` comes back
    // with the packet.
    bool hold(const GateNeed& need, GateTag tag, Bytes packet, Instant now) {
        if (free_.empty() || packet.size() > kMaxPacket) {
            ++counters_.full;
            return false;
        }
        const uint32_t slot = free_.back();
        free_.pop_back();
        if (!packet.empty())
            std::memcpy(slab_.data() + size_t{slot} * kMaxPacket, packet.data(), packet.size());
        if (waiting_.size() == waiting_.capacity()) drop_head();
        waiting_.push_back({need, tag, now, slot, static_cast<uint32_t>(packet.size())});
        ++counters_.held;
        return true;
    }

    // Lets out every packet for which satisfied(need) holds: release(tag, packet).
    template <typename Satisfied, typename Release>
    void open(Instant now, Satisfied&& satisfied, Release&& release) {
        remove_if([&](const Waiting& w) {
            if (!satisfied(w.need)) return false;
            ++counters_.released;
            const auto waited = static_cast<uint64_t>((now - w.since).ns);
            counters_.wait_ns += waited;
            if (waited > counters_.longest_wait_ns) counters_.longest_wait_ns = waited;
            release(w.tag, Bytes(slab_.data() + size_t{w.slot} * kMaxPacket, w.size));
            return true;
        });
    }

    // Forgets the packets of a group that is no longer ours.
    void abandon(GroupId group) {
        remove_if([&](const Waiting& w) {
            counters_.abandoned += w.need.group == group;
            return w.need.group == group;
        });
    }

    // Shows every waiting packet's need to renew(tag, need), which may change it: its state was
    // published anew.
    template <typename Renew>
    void renew(Renew&& renew) {
        drop_head();
        for (Waiting& w : waiting_) renew(w.tag, w.need);
    }

    uint64_t memory() const { return slab_.size() + waiting_.capacity() * sizeof(Waiting); }
    const GateCounters& counters() const { return counters_; }
    GateCounters& counters() { return counters_; }

private:
    struct Waiting {
        GateNeed need;
        GateTag tag;
        Instant since;
        uint32_t slot, size;
    };

    template <typename Gone>
    void remove_if(Gone&& gone) {
        // Mostly the oldest go, and then nothing moves.
        while (head_ < waiting_.size() && gone(waiting_[head_]))
            free_.push_back(waiting_[head_++].slot);
        size_t kept = head_;
        for (size_t i = head_; i < waiting_.size(); ++i) {
            if (gone(waiting_[i])) {
                free_.push_back(waiting_[i].slot);
            } else {
                if (kept != i) waiting_[kept] = waiting_[i];
                ++kept;
            }
        }
        waiting_.erase(waiting_.begin() + static_cast<ptrdiff_t>(kept), waiting_.end());
        if (size() == 0) drop_head();
    }
    // At least half of the capacity when it is used up: no more than that many packets fit.
    void drop_head() {
        waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<ptrdiff_t>(head_));
        head_ = 0;
    }

    std::vector<std::byte> slab_;
    std::vector<Waiting> waiting_;  // from head_ on, in order of arrival
    size_t head_ = 0;
    std::vector<uint32_t> free_;
    GateCounters counters_;
};

}  // namespace holdfast
