// All sessions of one worker, found by what arrives: (client, vip) or (backend, pool).
//
// Fixed capacity; all memory is taken by the constructor (bytes()). One index serves both tuples:
// open addressing with linear probing and backward-shift deletion, eight bytes an entry, two
// entries a session, at most two thirds full. The hash is keyed by the seed. Half-open sessions are
// capped: a new one evicts the oldest half-open one, never an established one. Removing and
// inserting do not move sessions, so a Session* stays valid until its session is removed.
#pragma once

#include <cstdint>
#include <expected>
#include <span>
#include <vector>

#include "base/counters.h"
#include "dataplane/drop.h"
#include "dataplane/flow/huge_array.h"
#include "dataplane/flow/session.h"
#include "dataplane/flow/tuple_hash.h"

namespace holdfast {

struct SessionTableOptions {
    uint32_t capacity = 1u << 16;         // sessions, 1 to 2^26
    uint32_t embryonic_limit = 1u << 14;  // half-open sessions at most
    uint64_t seed = 0;                    // secret: keys the hash
};

struct SessionTableCounters {
    uint64_t inserted = 0;
    uint64_t removed = 0;
    uint64_t refused_full = 0;
    uint64_t refused_tuple = 0;
};
inline constexpr CounterInfo<SessionTableCounters> kSessionTableCounters[] = {
    {"sessions_inserted", "Sessions added.", &SessionTableCounters::inserted},
    {"sessions_removed", "Sessions removed.", &SessionTableCounters::removed},
    {"sessions_refused_full", "Sessions refused: the table is full.",
     &SessionTableCounters::refused_full},
    {"sessions_refused_tuple", "Sessions refused: one of the tuples is taken.",
     &SessionTableCounters::refused_tuple},
};

class SessionTable {
public:
    explicit SessionTable(const SessionTableOptions& options);

    struct Found {
        uint32_t slot = UINT32_MAX;
        Direction direction = Direction::from_client;
        explicit operator bool() const { return slot != UINT32_MAX; }
    };
    // The session one of whose tuples this is, and which one.
    Found find(const FlowKey& key) const { return find(key, hash(key)); }
    Found find(const FlowKey& key, uint32_t hash) const;
    // In two steps, so that a burst hides memory latency: hash all, prefetch_index all,
    // prefetch_session all, find each.
    uint32_t hash(const FlowKey& key) const { return hash_(key); }
    void prefetch_index(uint32_t hash) const { __builtin_prefetch(&index_[home(hash)]); }
    void prefetch_session(uint32_t hash) const;

    SessionIndex find_client(const Endpoint& client, const Endpoint& vip) const;
    SessionIndex find_backend(const Endpoint& backend, const Endpoint& pool) const;

    // nullptr when it is gone.
    Session* get(SessionIndex index);
    const Session* get(SessionIndex index) const;
    Session& at(uint32_t slot) { return sessions_[slot]; }
    SessionIndex index_of(uint32_t slot) const { return {slot, generations_[slot]}; }

    // table_full, or tuple_in_use. Does not evict: see oldest_embryonic().
    std::expected<SessionIndex, DropReason> insert(const Session& session);
    void remove(SessionIndex index);

    // Must be called when a session leaves the half-open states.
    void promote(uint32_t slot);
    bool embryonic_full() const { return embryonic_ >= embryonic_limit_; }
    SessionIndex oldest_embryonic() const;

    // The first used slot at or after `cursor`; the next call starts at its slot + 1. An empty
    // index when there is none. Sessions added meanwhile may or may not be seen.
    SessionIndex next(uint32_t cursor) const;

    uint32_t size() const { return size_; }
    uint32_t embryonic() const { return embryonic_; }
    uint32_t capacity() const { return capacity_; }
    uint64_t bytes() const;
    const SessionTableCounters& counters() const { return counters_; }

private:
    struct Entry {
        uint32_t hash = 0;
        uint32_t where = kEmpty;  // slot * 2 + direction
    };
    struct Link {
        uint32_t previous = kNil, next = kNil;
    };
    static constexpr uint32_t kEmpty = UINT32_MAX, kNil = UINT32_MAX;

    // Spreads 32 bits over a table that need not be a power of two (Lemire 2016).
    uint32_t home(uint32_t hash) const {
        return static_cast<uint32_t>(uint64_t{hash} * index_.size() >> 32);
    }
    uint32_t after(uint32_t i) const { return i + 1 == index_.size() ? 0 : i + 1; }
    void index_add(const FlowKey& key, uint32_t where);
    void index_remove(const FlowKey& key, uint32_t where);

    TupleHash hash_;
    uint32_t capacity_;
    uint32_t embryonic_limit_;
    HugeArray<Session> sessions_;
    HugeArray<Entry> index_;
    std::vector<uint32_t> generations_;  // odd: in use
    std::vector<uint32_t> free_;
    std::vector<Link> embryonic_links_;  // age order; the list's ends are below
    uint32_t oldest_ = kNil, youngest_ = kNil;
    uint32_t size_ = 0;
    uint32_t embryonic_ = 0;
    SessionTableCounters counters_;
};

}  // namespace holdfast
