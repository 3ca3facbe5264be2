#include "replication/fragment/store.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/random.h"

namespace holdfast {
namespace {
constexpr size_t kMaxChunks = (37 + kMaxFragmentValue + 15) / 16;
}

FragmentStore::FragmentStore(const StoreOptions& options)
    : seed_(options.seed),
      buckets_(std::bit_ceil(options.entries)),
      entries_(options.entries),
      arena_(options.bytes / kChunk * kChunk),
      free_by_size_(kMaxChunks + 1, kNone),
      tombstones_(options.entries / 8 + 1) {
    std::ranges::fill(buckets_, kNone);
    for (uint32_t i = options.entries; i-- > 0;) {
        entries_[i] = {};
        entries_[i].next = free_entry_;
        free_entry_ = i;
    }
}

FragmentStore::Put FragmentStore::put(const Fragment& fragment, Instant now) {
    expire_tombstones(now);
    uint32_t index = lookup(fragment.id);
    if (index != kNone) {
        const Entry& e = entries_[index];
        const FragmentVersion have{{e.epoch}, e.version};
        if (fragment.version < have) return ++counters_.stale, Put::stale;
        if (fragment.version == have && (e.tombstone || !fragment.erased)) {
            entries_[index].owners = fragment.owners.bits();
            return ++counters_.refreshed, Put::refreshed;
        }
    }
    if (is_block(fragment.id.kind) && fragment.erased) release_blocks(fragment);
    if (is_block(fragment.id.kind) && !fragment.erased && blocks_erased_since(fragment))
        return ++counters_.stale, Put::stale;
    if (is_block(fragment.id.kind) && !fragment.erased && scarce()) {
        if (index != kNone && !entries_[index].tombstone) release(index);  // an old one misleads
        return ++counters_.spared, Put::spared;
    }
    if (!write(index, fragment)) return ++counters_.full, Put::full;
    if (!fragment.erased) return ++counters_.stored, Put::stored;

    ++counters_.erased;
    index = lookup(fragment.id);
    if (tombstone_count_ == tombstones_.size()) {
        release(index);  // no room to remember it by: forget it wholly
    } else {
        tombstones_[(tombstone_head_ + tombstone_count_++) % tombstones_.size()] = {
            index, now, fragment.version.epoch.value, fragment.version.number};
    }
    return Put::stored;
}

void FragmentStore::release_blocks(const Fragment& erased) {
    FragmentId id = erased.id;
    for (unsigned part = 1; part < kMaxBlocks; ++part) {
        id.part = static_cast<uint8_t>(part);
        const uint32_t index = lookup(id);
        if (index == kNone) continue;
        if (FragmentVersion{{entries_[index].epoch}, entries_[index].version} > erased.version)
            continue;
        release(index);
        ++counters_.erased;
    }
}

bool FragmentStore::blocks_erased_since(const Fragment& block) const {
    FragmentId first = block.id;
    first.part = 0;
    const uint32_t index = lookup(first);
    return index != kNone && entries_[index].tombstone &&
           block.version <= FragmentVersion{{entries_[index].epoch}, entries_[index].version};
}

bool FragmentStore::scarce() const {
    return live_ > entries_.size() / 4 * 3 ||
           (free_by_size_[kMaxChunks] == kNone &&
            (chunks_bumped_ + kMaxChunks) * kChunk > arena_.size() / 4 * 3);
}

void FragmentStore::drop(const FragmentId& id, FragmentVersion version) {
    const uint32_t index = lookup(id);
    if (index == kNone || entries_[index].tombstone) return;
    if (FragmentVersion{{entries_[index].epoch}, entries_[index].version} > version) return;
    release(index);
    ++counters_.dropped;
}

std::optional<Fragment> FragmentStore::find(const FragmentId& id) const {
    const uint32_t index = lookup(id);
    if (index == kNone || entries_[index].tombstone) return std::nullopt;
    return fragment_at(index);
}

std::vector<std::byte> FragmentStore::whole_value(const SessionKey& session,
                                                  FragmentKind kind) const {
    std::vector<std::byte> value;
    const auto first = find({session, kind, 0});
    for (uint8_t i = 0; first && i < first->parts; ++i) {
        const auto f = find({session, kind, i});
        if (!f || f->version != first->version) return {};
        value.insert(value.end(), f->value.begin(), f->value.end());
    }
    return value;
}

void FragmentStore::expire_tombstones(Instant now) {
    while (tombstone_count_ > 0) {
        const Tombstone& t = tombstones_[tombstone_head_];
        if (now - t.since < kTombstone) return;
        const Entry& e = entries_[t.entry];
        if (e.key_size != 0 && e.tombstone && e.epoch == t.epoch && e.version == t.version)
            release(t.entry);
        tombstone_head_ = (tombstone_head_ + 1) % tombstones_.size();
        --tombstone_count_;
    }
}

uint64_t FragmentStore::memory() const {
    return buckets_.size() * sizeof(uint32_t) + entries_.size() * sizeof(Entry) + arena_.size() +
           tombstones_.size() * sizeof(Tombstone);
}

Fragment FragmentStore::fragment_at(uint32_t index) const {
    const Entry& e = entries_[index];
    const std::byte* at = arena_.data() + size_t{e.chunk} * kChunk;
    Fragment f;
    f.id.session.size = e.key_size;
    std::memcpy(f.id.session.bytes.data(), at, e.key_size);
    f.id.kind = static_cast<FragmentKind>(e.kind);
    f.id.part = e.part;
    f.group = {e.group};
    f.version = {{e.epoch}, e.version};
    f.parts = e.parts;
    f.erased = e.tombstone;
    f.owners = NodeSet(e.owners);
    f.value = Bytes(at + e.key_size, e.value_size);
    return f;
}

uint32_t& FragmentStore::bucket(const FragmentId& id) {
    return buckets_[mix64(id.hash() ^ seed_) & (buckets_.size() - 1)];
}

bool FragmentStore::matches(const Entry& e, const FragmentId& id) const {
    return e.kind == static_cast<uint8_t>(id.kind) && e.part == id.part &&
           e.key_size == id.session.size &&
           std::memcmp(arena_.data() + size_t{e.chunk} * kChunk, id.session.bytes.data(),
                       e.key_size) == 0;
}

uint32_t FragmentStore::lookup(const FragmentId& id) const {
    uint32_t i = const_cast<FragmentStore*>(this)->bucket(id);
    while (i != kNone && !matches(entries_[i], id)) i = entries_[i].next;
    return i;
}

// Blocks are of any length and come and go: in runs of one length they find each other's places.
uint32_t FragmentStore::chunks_for(const Fragment& f) {
    if (is_block(f.id.kind) && !f.erased) return kMaxChunks;
    const size_t bytes = f.id.session.size + (f.erased ? 0 : f.value.size());
    return static_cast<uint32_t>((bytes + kChunk - 1) / kChunk);
}

// First fit by exact length, else from the untouched end of the arena. Lengths repeat (fragments of
// one kind are alike), so freed runs are found again.
uint32_t FragmentStore::allocate_chunks(uint32_t n) {
    uint32_t& head = free_by_size_[n];
    uint32_t chunk = head;
    if (chunk != kNone) {
        std::memcpy(&head, arena_.data() + size_t{chunk} * kChunk, sizeof head);
    } else {
        if (size_t{chunks_bumped_ + n} * kChunk > arena_.size()) return kNone;
        chunk = chunks_bumped_;
        chunks_bumped_ += n;
    }
    chunks_used_ += n;
    return chunk;
}

void FragmentStore::free_chunks(uint32_t chunk, uint32_t n) {
    std::byte* at = arena_.data() + size_t{chunk} * kChunk;
    wipe({at, n * kChunk});
    std::memcpy(at, &free_by_size_[n], sizeof(uint32_t));
    free_by_size_[n] = chunk;
    chunks_used_ -= n;
}

// Writes a fragment over entry `index`, or into a new entry when that is kNone.
bool FragmentStore::write(uint32_t index, const Fragment& f) {
    const size_t value_size = f.erased ? 0 : f.value.size();
    const bool fresh = index == kNone;
    if (f.id.session.size == 0 || (fresh && free_entry_ == kNone)) return false;
    const uint32_t chunk = allocate_chunks(chunks_for(f));
    if (chunk == kNone) return false;
    if (fresh) {
        index = free_entry_;
        free_entry_ = entries_[index].next;
        uint32_t& head = bucket(f.id);
        entries_[index].next = head;
        head = index;
    } else {
        Entry& old = entries_[index];
        free_chunks(old.chunk, chunks_for(fragment_at(index)));
        if (live(old)) --live_;
    }
    std::byte* at = arena_.data() + size_t{chunk} * kChunk;
    std::memcpy(at, f.id.session.bytes.data(), f.id.session.size);
    if (value_size > 0) std::memcpy(at + f.id.session.size, f.value.data(), value_size);
    Entry& e = entries_[index];
    e = {f.version.epoch.value,
         f.version.number,
         e.next,
         chunk,
         f.owners.bits(),
         static_cast<uint16_t>(value_size),
         f.id.session.size,
         static_cast<uint8_t>(f.id.kind),
         f.id.part,
         f.parts,
         f.group.value,
         f.erased};
    if (live(e)) ++live_;
    return true;
}

void FragmentStore::release(uint32_t index) {
    Entry& e = entries_[index];
    const Fragment f = fragment_at(index);
    uint32_t* link = &bucket(f.id);
    while (*link != index) link = &entries_[*link].next;
    *link = e.next;
    if (live(e)) --live_;
    free_chunks(e.chunk, chunks_for(f));
    e = {};
    e.next = free_entry_;
    free_entry_ = index;
}

}  // namespace holdfast
