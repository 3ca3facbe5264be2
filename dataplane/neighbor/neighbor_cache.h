// Who is where on one link: IPv4 neighbours by ARP (RFC 826), IPv6 neighbours by neighbour
// discovery (RFC 4861 section 7), in one cache.
//
// Only what we asked for is kept: pinned entries (configured backends and gateways, which are
// resolved at start, refreshed before they expire and used for as long as nothing newer is known,
// because health checks judge backends, not this cache) and a bounded number of others. What
// neighbours say unasked only updates what is there. Small, so searched linearly; the packet path
// uses handles.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/counters.h"
#include "base/time.h"
#include "dataplane/frame.h"
#include "dataplane/neighbor/port_options.h"

namespace holdfast {

struct NeighborCounters {
    uint64_t requests = 0;
    uint64_t learned = 0;
    uint64_t moved = 0;
    uint64_t failed = 0;
    uint64_t full = 0;
};
inline constexpr CounterInfo<NeighborCounters> kNeighborCounters[] = {
    {"neighbor_requests", "ARP requests and neighbour solicitations sent.",
     &NeighborCounters::requests},
    {"neighbor_learned", "Neighbours resolved or confirmed.", &NeighborCounters::learned},
    {"neighbor_moved", "Neighbours that changed their MAC address.", &NeighborCounters::moved},
    {"neighbor_failed", "Times a neighbour did not answer all requests.",
     &NeighborCounters::failed},
    {"neighbor_full", "Addresses not resolved because the cache was full.",
     &NeighborCounters::full},
};

class NeighborCache {
public:
    // RFC 4861 section 10: REACHABLE_TIME 30 s, RETRANS_TIMER 1 s, MAX_MULTICAST_SOLICIT 3. The
    // first retries come sooner: sessions wait. An unanswered pinned entry is asked for again
    // every kCoolDown.
    static constexpr Duration kReachable = Duration::seconds(30);
    static constexpr Duration kRefreshBefore = Duration::seconds(5);
    static constexpr Duration kCoolDown = Duration::seconds(2);
    static constexpr uint8_t kTries = 4;
    static constexpr uint32_t kNone = UINT32_MAX;

    // `dynamic` is how many entries there may be besides the pinned ones.
    NeighborCache(const PortOptions& port, Side side, uint32_t dynamic);

    // Set-up only: may allocate.
    uint32_t pin(const IpAddress& address, Instant now);
    // The entry for an address, made (and asked for at the next deadline) if need be; kNone when
    // full.
    uint32_t find_or_add(const IpAddress& address, Instant now);
    const MacAddress* mac(uint32_t handle) const {
        return handle < entries_.size() && entries_[handle].resolved ? &entries_[handle].mac
                                                                     : nullptr;
    }
    const MacAddress* mac_of(const IpAddress& address) const;

    // A neighbour's own word. True when the address is one of ours to know.
    bool learn(const IpAddress& address, const MacAddress& mac, Instant now);

    Instant next_deadline() const { return next_; }
    void on_deadline(Instant now, Outlet& out);
    const NeighborCounters& counters() const { return counters_; }
    uint64_t bytes() const { return entries_.capacity() * sizeof(Entry); }

private:
    struct Entry {
        IpAddress address;
        MacAddress mac;
        Instant due = Instant::max();  // of the next request or, when tries are used up, of giving
        Instant confirmed;
        uint8_t tries = 0;
        bool used = false;
        bool pinned = false;
        bool resolved = false;
    };
    uint32_t index_of(const IpAddress& address) const;
    void request(const Entry& entry, Outlet& out);
    void give_up(Entry& entry, Instant now);
    uint32_t start(uint32_t handle, const IpAddress& address, bool pinned, Instant now);

    PortOptions port_;
    Side side_;
    uint32_t dynamic_left_;
    std::vector<Entry> entries_;
    Instant next_ = Instant::max();
    NeighborCounters counters_;
};

}  // namespace holdfast
