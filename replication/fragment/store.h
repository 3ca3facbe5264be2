// What a standby keeps: the fragments whose records name it as an owner. The fragment cache is a
// hash table on BUZhash, mixed with a seed so that nobody outside can aim for one bucket.
//
// Bounded twice, by entries and by bytes of keys and values; both are taken at construction, and
// what does not fit is refused and counted. Values may be credentials: they lie in memory that is
// not dumped, and are wiped when they go. Erasing leaves a tombstone for kTombstone, so that an
// older version that was repaired late does not come back. Single-threaded.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/counters.h"
#include "base/huge_array.h"
#include "base/secret_memory.h"
#include "base/time.h"
#include "replication/fragment/fragment.h"

namespace holdfast {

struct StoreOptions {
    uint32_t entries = 262'144;    // 1 to 2^27
    uint64_t bytes = 64ull << 20;  // of keys and values, in units of 16; blocks get three quarters
    uint64_t seed = 0;
};

struct StoreCounters {
    uint64_t stored = 0, refreshed = 0, stale = 0, full = 0, erased = 0, dropped = 0, spared = 0;
};
inline constexpr CounterInfo<StoreCounters> kStoreCounters[] = {
    {"stored", "Fragments stored or replaced by a newer version.", &StoreCounters::stored},
    {"refreshed", "Fragments that were here already in that version.", &StoreCounters::refreshed},
    {"stale", "Fragments refused because a newer version is here.", &StoreCounters::stale},
    {"full", "Fragments refused because the store is full.", &StoreCounters::full},
    {"erased", "Fragments erased because their session ended.", &StoreCounters::erased},
    {"dropped", "Fragments dropped because this node is no longer an owner.",
     &StoreCounters::dropped},
    {"spared", "Octets in flight not kept, to leave room for what sessions cannot do without.",
     &StoreCounters::spared},
};

class FragmentStore {
public:
    static constexpr Duration kTombstone = Duration::seconds(5);  // longer than any repair takes

    enum class Put { stored, refreshed, stale, full, spared };

    explicit FragmentStore(const StoreOptions& options);

    Put put(const Fragment& fragment, Instant now);
    // Forgets a fragment that others keep from `version` on: what is here and newer came after that
    // was said.
    void drop(const FragmentId& id, FragmentVersion version);
    // Live fragments only; the value is valid until the next change of the store.
    std::optional<Fragment> find(const FragmentId& id) const;
    // A value whose parts are all here and of one version; empty when they are not.
    std::vector<std::byte> whole_value(const SessionKey& session, FragmentKind kind) const;

    // Walks entries from `cursor`, calling visit(fragment) -> bool; stops when it returns false or
    // at the end. Returns the cursor to go on from: of the fragment refused, or end(). Entries do
    // not move while they live.
    template <typename Visit>
    uint32_t walk(uint32_t cursor, Visit&& visit) const {
        for (; cursor < entries_.size(); ++cursor) {
            if (!live(entries_[cursor])) continue;
            if (!visit(fragment_at(cursor))) return cursor;
        }
        return end();
    }
    uint32_t end() const { return static_cast<uint32_t>(entries_.size()); }
    // Looks at `budget` entries from `cursor` on and drops each live fragment for which
    // unwanted(fragment) is true. Returns where to go on, or end().
    template <typename Unwanted>
    uint32_t drop_if(uint32_t cursor, uint32_t budget, Unwanted&& unwanted) {
        const uint32_t upto = cursor + std::min(budget, end() - cursor);
        for (; cursor < upto; ++cursor)
            if (live(entries_[cursor]) && unwanted(fragment_at(cursor)))
                release(cursor), ++counters_.dropped;
        return cursor;
    }

    void expire_tombstones(Instant now);

    uint32_t size() const { return live_; }
    uint64_t bytes_used() const { return chunks_used_ * kChunk; }
    uint64_t memory() const;  // bytes taken in all
    SecretProtection protection() const { return arena_.protection(); }
    const StoreCounters& counters() const { return counters_; }

private:
    static constexpr uint32_t kNone = ~0u;
    static constexpr size_t kChunk = 16;

    struct Entry {
        uint64_t epoch;
        uint32_t version;
        uint32_t next;   // in its bucket, or in the free list
        uint32_t chunk;  // where key and value stand
        uint32_t owners;
        uint16_t value_size;
        uint8_t key_size;  // 0: free
        uint8_t kind;
        uint8_t part, parts, group;
        bool tombstone;
    };
    static_assert(sizeof(Entry) == 32);
    struct Tombstone {
        uint32_t entry;
        Instant since;
        uint64_t epoch;
        uint32_t version;
    };

    bool live(const Entry& e) const { return e.key_size != 0 && !e.tombstone; }
    Fragment fragment_at(uint32_t index) const;
    uint32_t& bucket(const FragmentId& id);
    uint32_t lookup(const FragmentId& id) const;
    bool matches(const Entry& e, const FragmentId& id) const;
    static uint32_t chunks_for(const Fragment& fragment);
    uint32_t allocate_chunks(uint32_t n);
    void free_chunks(uint32_t chunk, uint32_t n);
    bool write(uint32_t index, const Fragment& fragment);
    bool scarce() const;
    void release_blocks(const Fragment& erased);
    bool blocks_erased_since(const Fragment& block) const;
    void release(uint32_t index);

    uint64_t seed_;
    HugeArray<uint32_t> buckets_;
    HugeArray<Entry> entries_;
    SecretRegion arena_;
    std::vector<uint32_t> free_by_size_;  // heads of free runs, by length in chunks
    std::vector<Tombstone> tombstones_;   // a queue: oldest at tombstone_head_
    size_t tombstone_head_ = 0, tombstone_count_ = 0;
    uint32_t free_entry_ = kNone;
    uint32_t live_ = 0;
    uint32_t chunks_bumped_ = 0;
    uint64_t chunks_used_ = 0;
    StoreCounters counters_;
};

}  // namespace holdfast
