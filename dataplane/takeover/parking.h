// Packets for sessions that may still be loading wait here, bounded, until the session is known or
// cannot be.
//
// No reset is ever sent for a tuple that may still be loading. A full lot drops the packet and
// counts it: TCP sends it again. Frames are copied in and handed back writable. Single-threaded,
// memory taken at construction.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "base/counters.h"
#include "base/time.h"
#include "dataplane/flow/session.h"
#include "dataplane/frame.h"

namespace holdfast {

struct ParkingCounters {
    uint64_t parked = 0, resumed = 0, full = 0, forgotten = 0;
};
inline constexpr CounterInfo<ParkingCounters> kParkingCounters[] = {
    {"parked", "Packets that waited for their session's fragments.", &ParkingCounters::parked},
    {"resumed", "Waiting packets that went on.", &ParkingCounters::resumed},
    {"full", "Packets dropped because too many waited already.", &ParkingCounters::full},
    {"forgotten", "Waiting packets dropped because their group was lost.",
     &ParkingCounters::forgotten},
};

class ParkingLot {
public:
    static constexpr size_t kMaxFrame = 1600;

    explicit ParkingLot(uint32_t frames) : slab_(size_t{frames} * kSlot) {
        parked_.reserve(frames);
        for (uint32_t i = frames; i-- > 0;) free_.push_back(i);
    }

    enum class Result { first_of_its_flow, another, full };
    Result park(const Frame& frame, GroupId group, const FlowKey& key) {
        if (free_.empty() || frame.length > kMaxFrame) return ++counters_.full, Result::full;
        Result result = Result::first_of_its_flow;
        for (const Parked& p : parked_)
            if (p.key == key) result = Result::another;
        const uint32_t slot = free_.back();
        free_.pop_back();
        std::memcpy(data(slot), frame.data, frame.length);
        parked_.push_back({key, group, frame.in, slot, frame.length});
        ++counters_.parked;
        return result;
    }

    // Takes out, in order of arrival, every packet for which wanted(group, key) is true and then
    // calls resume(frame) for each; resume may park again.
    template <typename Wanted, typename Resume>
    void take(Wanted&& wanted, Resume&& resume) {
        if (parked_.empty()) return;
        std::vector<Parked> taken;
        std::erase_if(parked_, [&](const Parked& p) {
            if (!wanted(p.group, p.key)) return false;
            taken.push_back(p);
            return true;
        });
        for (const Parked& p : taken) {
            ++counters_.resumed;
            Frame frame{data(p.slot), p.length, p.in};
            resume(frame);
            free_.push_back(p.slot);
        }
    }

    void forget(GroupId group) {
        std::erase_if(parked_, [&](const Parked& p) {
            if (p.group != group) return false;
            free_.push_back(p.slot);
            ++counters_.forgotten;
            return true;
        });
    }

    size_t size() const { return parked_.size(); }
    bool is_half_full() const { return parked_.size() >= free_.size(); }
    const ParkingCounters& counters() const { return counters_; }

private:
    static constexpr size_t kSlot = kFrameHeadroom + kMaxFrame;
    struct Parked {
        FlowKey key;
        GroupId group;
        Side in;
        uint32_t slot, length;
    };
    std::byte* data(uint32_t slot) { return slab_.data() + size_t{slot} * kSlot + kFrameHeadroom; }

    std::vector<std::byte> slab_;
    std::vector<Parked> parked_;
    std::vector<uint32_t> free_;
    ParkingCounters counters_;
};

}  // namespace holdfast
