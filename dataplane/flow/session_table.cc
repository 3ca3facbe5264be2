#include "dataplane/flow/session_table.h"

#include <algorithm>
#include <new>

#include "base/check.h"

namespace holdfast {

SessionTable::SessionTable(const SessionTableOptions& options)
    : hash_(options.seed),
      capacity_(options.capacity),
      embryonic_limit_(options.embryonic_limit),
      sessions_(options.capacity),
      index_((size_t{options.capacity} * 3 + 2 + 7) / 8 + 1),
      generations_(options.capacity),
      embryonic_links_(options.capacity) {
    CHECK(capacity_ > 0 && capacity_ <= 1u << 26 && embryonic_limit_ > 0);
    std::ranges::fill(index_, Bucket{});
    free_.reserve(capacity_);
    for (uint32_t slot = capacity_; slot-- > 0;) free_.push_back(slot);
}

SessionTable::Hint SessionTable::prefetch_session(uint32_t hash) const {
    const uint32_t where = scan(hash, [](uint32_t) { return true; });
    if (where == kEmpty) return kNoHint;
    const auto* line = reinterpret_cast<const std::byte*>(&sessions_[where / 2]);
    __builtin_prefetch(line, 1);
    __builtin_prefetch(line + 64, 1);
    __builtin_prefetch(line + 128, 1);
    return where;
}

SessionIndex SessionTable::find_client(const Endpoint& client, const Endpoint& vip) const {
    const Found f = find({client, vip});
    return f && f.direction == Direction::from_client ? index_of(f.slot) : SessionIndex{};
}

SessionIndex SessionTable::find_backend(const Endpoint& backend, const Endpoint& pool) const {
    const Found f = find({backend, pool});
    return f && f.direction == Direction::from_backend ? index_of(f.slot) : SessionIndex{};
}

Session* SessionTable::get(SessionIndex index) {
    if (index.slot >= capacity_ || generations_[index.slot] != index.generation) return nullptr;
    return &sessions_[index.slot];
}

const Session* SessionTable::get(SessionIndex index) const {
    return const_cast<SessionTable*>(this)->get(index);
}

std::expected<SessionIndex, DropReason> SessionTable::insert(const Session& session) {
    if (free_.empty()) {
        ++counters_.refused_full;
        return std::unexpected(DropReason::table_full);
    }
    const FlowKey client = client_key(session), backend = backend_key(session);
    if (client == backend || find(client) || find(backend)) {
        ++counters_.refused_tuple;
        return std::unexpected(DropReason::tuple_in_use);
    }
    const uint32_t slot = free_.back();
    free_.pop_back();
    new (&sessions_[slot]) Session(session);
    sessions_[slot].generation = ++generations_[slot];
    index_add(client, slot * 2 + static_cast<uint32_t>(Direction::from_client));
    index_add(backend, slot * 2 + static_cast<uint32_t>(Direction::from_backend));
    ++size_;
    ++counters_.inserted;
    if (is_embryonic(session.state)) {
        embryonic_links_[slot] = {youngest_, kNil};
        (youngest_ == kNil ? oldest_ : embryonic_links_[youngest_].next) = slot;
        youngest_ = slot;
        ++embryonic_;
    }
    return index_of(slot);
}

void SessionTable::remove(SessionIndex index) {
    Session* s = get(index);
    CHECK(s != nullptr);
    index_remove(client_key(*s), index.slot * 2 + static_cast<uint32_t>(Direction::from_client));
    index_remove(backend_key(*s), index.slot * 2 + static_cast<uint32_t>(Direction::from_backend));
    promote(index.slot);
    s->generation = ++generations_[index.slot];
    free_.push_back(index.slot);
    --size_;
    ++counters_.removed;
}

void SessionTable::promote(uint32_t slot) {
    const Link link = embryonic_links_[slot];
    if (link.previous == kNil && link.next == kNil && oldest_ != slot) return;
    (link.previous == kNil ? oldest_ : embryonic_links_[link.previous].next) = link.next;
    (link.next == kNil ? youngest_ : embryonic_links_[link.next].previous) = link.previous;
    embryonic_links_[slot] = {};
    --embryonic_;
}

SessionIndex SessionTable::oldest_embryonic() const {
    return oldest_ == kNil ? SessionIndex{} : index_of(oldest_);
}

SessionIndex SessionTable::next(uint32_t cursor) const {
    for (uint32_t slot = cursor; slot < capacity_; ++slot)
        if (generations_[slot] % 2 == 1) return index_of(slot);
    return {};
}

uint64_t SessionTable::bytes() const {
    return uint64_t{capacity_} * (sizeof(Session) + sizeof(uint32_t) * 2 + sizeof(Link)) +
           index_.size() * sizeof(Bucket);
}

void SessionTable::index_add(const FlowKey& key, uint32_t where) {
    const uint32_t h = hash_(key);
    for (uint32_t b = home(h);; b = after(b)) {
        for (Entry& e : index_[b].entries) {
            if (e.where != kEmpty) continue;
            e = {h, where};
            return;
        }
    }
}

// Whether an entry of bucket `at` could as well be in `earlier`: its home is not after that one.
bool SessionTable::may_move(const Entry& entry, uint32_t earlier, uint32_t at) const {
    const uint32_t h = home(entry.hash);
    const bool home_between = earlier <= at ? earlier < h && h <= at : earlier < h || h <= at;
    return !home_between;
}

// A bucket's last entry fills the hole. If the bucket was full, entries may have gone past it: one
// that may come back does, and leaves a hole in turn (Knuth, volume 3, section 6.4, algorithm R, by
// buckets).
void SessionTable::index_remove(const FlowKey& key, uint32_t where) {
    uint32_t bucket = home(hash_(key));
    size_t hole = 0;
    while (index_[bucket].entries[hole].where != where) {
        if (++hole == kBucket) bucket = after(bucket), hole = 0;
    }
    for (;;) {
        auto& entries = index_[bucket].entries;
        size_t last = kBucket - 1;
        while (entries[last].where == kEmpty) --last;
        entries[hole] = entries[last];
        entries[last] = {};
        if (last < kBucket - 1) return;
        const auto [from, at] = successor(bucket);
        if (at == kBucket) return;
        entries[last] = index_[from].entries[at];
        bucket = from, hole = at;
    }
}

// The next entry that may move into `bucket`, which just got room; kBucket when there is none.
std::pair<uint32_t, size_t> SessionTable::successor(uint32_t bucket) const {
    for (uint32_t b = after(bucket);; b = after(b)) {
        for (size_t i = 0; i < kBucket; ++i) {
            const Entry& e = index_[b].entries[i];
            if (e.where == kEmpty) return {b, kBucket};
            if (may_move(e, bucket, b)) return {b, i};
        }
    }
}

}  // namespace holdfast
