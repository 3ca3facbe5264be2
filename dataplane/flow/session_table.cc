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
      index_(size_t{options.capacity} * 3 + 2),
      generations_(options.capacity),
      embryonic_links_(options.capacity) {
    CHECK(capacity_ > 0 && capacity_ <= 1u << 26 && embryonic_limit_ > 0);
    std::ranges::fill(index_, Entry{});
    free_.reserve(capacity_);
    for (uint32_t slot = capacity_; slot-- > 0;) free_.push_back(slot);
}

void SessionTable::prefetch_session(uint32_t hash) const {
    for (uint32_t i = home(hash); index_[i].where != kEmpty; i = after(i)) {
        if (index_[i].hash != hash) continue;
        const auto* line = reinterpret_cast<const std::byte*>(&sessions_[index_[i].where / 2]);
        __builtin_prefetch(line, 1);
        __builtin_prefetch(line + 64, 1);
        __builtin_prefetch(line + 128, 1);
        return;
    }
}

SessionTable::Found SessionTable::find(const FlowKey& key, uint32_t hash) const {
    for (uint32_t i = home(hash); index_[i].where != kEmpty; i = after(i)) {
        if (index_[i].hash != hash) continue;
        const uint32_t slot = index_[i].where / 2;
        const auto direction = static_cast<Direction>(index_[i].where % 2);
        const Session& s = sessions_[slot];
        const bool same = direction == Direction::from_client
                              ? s.client == key.source && s.vip == key.destination
                              : s.backend == key.source && s.pool == key.destination;
        if (same) return {slot, direction};
    }
    return {};
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
    ++generations_[slot];
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
    ++generations_[index.slot];
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
           index_.size() * sizeof(Entry);
}

void SessionTable::index_add(const FlowKey& key, uint32_t where) {
    const uint32_t h = hash(key);
    uint32_t i = home(h);
    while (index_[i].where != kEmpty) i = after(i);
    index_[i] = {h, where};
}

void SessionTable::index_remove(const FlowKey& key, uint32_t where) {
    uint32_t hole = home(hash(key));
    while (index_[hole].where != where) hole = after(hole);
    // Entries after the hole move into it unless that would put them before their home (Knuth,
    // volume 3, section 6.4, algorithm R).
    for (uint32_t i = after(hole); index_[i].where != kEmpty; i = after(i)) {
        const uint32_t h = home(index_[i].hash);
        const bool home_between = hole <= i ? hole < h && h <= i : hole < h || h <= i;
        if (home_between) continue;
        index_[hole] = index_[i];
        hole = i;
    }
    index_[hole] = {};
}

}  // namespace holdfast
