// All sessions of one worker, found by what arrives: (client, vip) or (backend, pool).
//
// Fixed capacity; all memory is taken by the constructor (bytes()). One index serves both tuples:
// open addressing over buckets of one cache line, eight entries of eight bytes, with linear probing
// and backward-shift deletion; two entries a session, at most two thirds full, so that all but a
// few in a hundred are found in the first line. The hash is keyed by the seed. Half-open sessions
// are capped: a new one evicts the oldest half-open one, never an established one. Removing and
// inserting do not move sessions, so a Session* stays valid until its session is removed.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <expected>
#include <span>
#include <utility>
#include <vector>

#include "base/counters.h"
#include "base/huge_array.h"
#include "dataplane/drop.h"
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
    Found find(const FlowKey& key) const { return find(words_of(key)); }
    Found find(const FlowWords& flow) const {
        const uint32_t h = hash_(flow);
        const uint32_t where = scan(h, [&](uint32_t w) { return is_tuple(w, flow); });
        return where == kEmpty ? Found{} : found(where);
    }

    // In steps, so that a burst hides memory latency: hash all, prefetch_index all,
    // prefetch_session all, find each by the hint that gave. A hint is not believed: it may be
    // stale or of another segment.
    using Hint = uint32_t;
    static constexpr Hint kNoHint = UINT32_MAX;
    uint32_t hash(const FlowWords& flow) const { return hash_(flow); }
    void prefetch_index(uint32_t hash) const { __builtin_prefetch(&index_[home(hash)]); }
    Hint prefetch_session(uint32_t hash) const;
    Found find(const FlowWords& flow, Hint hint) const {
        const bool right =
            hint != kNoHint && sessions_[hint / 2].generation % 2 == 1 && is_tuple(hint, flow);
        return right ? found(hint) : find(flow);
    }

    SessionIndex find_client(const Endpoint& client, const Endpoint& vip) const;
    SessionIndex find_backend(const Endpoint& backend, const Endpoint& pool) const;

    // nullptr when it is gone.
    Session* get(SessionIndex index);
    const Session* get(SessionIndex index) const;
    Session& at(uint32_t slot) { return sessions_[slot]; }
    // Of a session that is there.
    SessionIndex index_of(uint32_t slot) const { return {slot, sessions_[slot].generation}; }

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
    // visit(index, session) for up to `most` sessions from `cursor` on, in as many slots as take no
    // longer to look at. Returns where to go on, or capacity(): who looks at all of a large table
    // does so in turns with its packets.
    template <typename Visit>
    uint32_t walk(uint32_t cursor, uint32_t most, Visit&& visit) const {
        const uint64_t slots = uint64_t{most} * kSlotsAsLongAsASession;
        const uint32_t upto = static_cast<uint32_t>(std::min<uint64_t>(cursor + slots, capacity_));
        for (; cursor < upto && most > 0; ++cursor) {
            if (generations_[cursor] % 2 == 0) continue;
            visit(index_of(cursor), sessions_[cursor]);
            --most;
        }
        return cursor;
    }

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
    static constexpr uint32_t kSlotsAsLongAsASession = 32;  // an empty one's generation: about 1 ns
    static constexpr size_t kBucket = 8;
    struct alignas(64) Bucket {  // entries from the front, the rest empty
        std::array<Entry, kBucket> entries;
    };
    struct Link {
        uint32_t previous = kNil, next = kNil;
    };
    static constexpr uint32_t kEmpty = UINT32_MAX, kNil = UINT32_MAX;

    // The first entry of that hash that the caller accepts; kEmpty. What did not fit a bucket is in
    // the next one that has room.
    template <typename Accept>
    uint32_t scan(uint32_t hash, Accept&& accept) const {
        for (uint32_t b = home(hash);; b = after(b)) {
            for (const Entry& e : index_[b].entries) {
                if (e.where == kEmpty) return kEmpty;
                if (e.hash == hash && accept(e.where)) return e.where;
            }
        }
    }
    // Spreads 32 bits over a table that need not be a power of two (Lemire 2016).
    uint32_t home(uint32_t hash) const {
        return static_cast<uint32_t>(uint64_t{hash} * index_.size() >> 32);
    }
    uint32_t after(uint32_t i) const { return i + 1 == index_.size() ? 0 : i + 1; }
    static Found found(uint32_t where) { return {where / 2, static_cast<Direction>(where % 2)}; }
    static bool same(const Endpoint& e, const IpAddress::Words& address, uint16_t port) {
        const IpAddress::Words w = e.address.words();
        return ((w[0] ^ address[0]) | (w[1] ^ address[1]) | static_cast<unsigned>(e.port ^ port)) ==
               0;
    }
    bool is_tuple(uint32_t where, const FlowWords& flow) const {
        const Session& s = sessions_[where / 2];
        const bool client = static_cast<Direction>(where % 2) == Direction::from_client;
        return same(client ? s.client : s.backend, flow.source, flow.source_port) &&
               same(client ? s.vip : s.pool, flow.destination, flow.destination_port);
    }
    void index_add(const FlowKey& key, uint32_t where);
    void index_remove(const FlowKey& key, uint32_t where);
    bool may_move(const Entry& entry, uint32_t earlier, uint32_t at) const;
    std::pair<uint32_t, size_t> successor(uint32_t bucket) const;

    TupleHash hash_;
    uint32_t capacity_;
    uint32_t embryonic_limit_;
    HugeArray<Session> sessions_;
    HugeArray<Bucket> index_;
    std::vector<uint32_t> generations_;  // odd: in use
    std::vector<uint32_t> free_;
    std::vector<Link> embryonic_links_;  // age order; the list's ends are below
    uint32_t oldest_ = kNil, youngest_ = kNil;
    uint32_t size_ = 0;
    uint32_t embryonic_ = 0;
    SessionTableCounters counters_;
};

}  // namespace holdfast
