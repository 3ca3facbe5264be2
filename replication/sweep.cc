#include "replication/sweep.h"

#include <algorithm>

namespace holdfast {
namespace {

constexpr size_t kMaxMessage = 1280;
constexpr size_t kAnswerHeader = 1 + 1 + 8 + 4 + 4 + 1;
// Datagrams an answer may burst: enough to fill a round trip, few enough for a default socket
// buffer. Guess.
constexpr unsigned kBurst = 16;
// First repeat after a few round trips of a busy link; then slower. Guess.
constexpr Duration kRepeat = Duration::milliseconds(4);
constexpr unsigned kRepeatDoublings = 5;

constexpr uint32_t kLateCursor = 1u << 31;  // of a walk through what is late

constexpr uint8_t kEnd = 1;     // the walk is at its end
constexpr uint8_t kMore = 2;    // another datagram of this burst follows
constexpr uint8_t kPulled = 4;  // not part of a walk

// One datagram of fragments being filled.
class Answer {
public:
    Answer(GroupId group, Epoch epoch, uint32_t from) : writer_(buffer_) {
        writer_.le<uint8_t>(static_cast<uint8_t>(MessageType::fragments));
        writer_.le<uint8_t>(group.value);
        writer_.le<uint64_t>(epoch.value);
        writer_.le<uint32_t>(from);
        trailer_ = writer_.reserve(5);
    }
    bool add(const Fragment& f) {
        if (encoded_size(f) > writer_.room()) return false;
        encode(f, writer_);
        ++count_;
        return true;
    }
    Bytes finish(uint32_t to, uint8_t flags) {
        store_le<uint32_t>(trailer_, to);
        store_le<uint8_t>(trailer_ + 4, flags);
        return writer_.written();
    }
    unsigned count() const { return count_; }

private:
    std::array<std::byte, kMaxMessage> buffer_{};
    ByteWriter writer_;
    std::byte* trailer_;
    unsigned count_ = 0;
};

}  // namespace

void Sweep::begin(GroupId group, Epoch epoch, NodeSet peers, Instant now) {
    GroupSweep& g = groups_[group.value];
    g = {};
    g.running = true;
    g.epoch = epoch;
    g.peers = peers;
    walk(group, now);
}

// All peers side by side.
void Sweep::walk(GroupId group, Instant now) {
    GroupSweep& g = groups_[group.value];
    g.open = g.peers;
    g.own = true;
    for (NodeId n : g.peers) {
        g.walks[n.value] = {};
        g.walks[n.value].cursor = g.late ? kLateCursor : 0;
        request(group, n, now);
    }
}

void Sweep::begin_late(GroupId group, Instant now) {
    CHECK(groups_[group.value].running);
    groups_[group.value].late = true;
    walk(group, now);
}

void Sweep::own_walked(GroupId group, Instant now) {
    GroupSweep& g = groups_[group.value];
    if (!g.running || !g.own) return;
    g.own = false;
    end_if_through(group, now);
}

void Sweep::end_if_through(GroupId group, Instant now) {
    GroupSweep& g = groups_[group.value];
    if (g.own || !g.open.empty()) return;
    if (!g.late) return output_.on_sweep_done(group, now);
    g.running = false;
    output_.on_late_sweep_done(group, now);
}

void Sweep::request(GroupId group, NodeId peer, Instant now) {
    GroupSweep& g = groups_[group.value];
    PeerWalk& walk = g.walks[peer.value];
    walk.repeat_at = now + kRepeat * (int64_t{1} << std::min(walk.repeats, kRepeatDoublings));
    std::array<std::byte, 32> buffer;
    ByteWriter w(buffer);
    w.le<uint8_t>(static_cast<uint8_t>(MessageType::sweep));
    w.le<uint8_t>(group.value);
    w.le<uint64_t>(g.epoch.value);
    w.le<uint32_t>(walk.cursor);
    ++counters_.requests;
    output_.send_sweep(peer, w.written(), now);
}

void Sweep::pull(GroupId group, Epoch epoch, const SessionKey& session, FragmentKind kind,
                 Instant now) {
    std::array<std::byte, 64> buffer;
    ByteWriter w(buffer);
    w.le<uint8_t>(static_cast<uint8_t>(MessageType::pull));
    w.le<uint8_t>(group.value);
    w.le<uint64_t>(epoch.value);
    w.le<uint8_t>(static_cast<uint8_t>(kind));
    w.le<uint8_t>(session.size);
    w.put(session.view());
    ++counters_.pulls;
    output_.broadcast_sweep(w.written(), now);
}

void Sweep::on_peer_lost(NodeId peer, Instant now) {
    for (unsigned g = 0; g < kMaxGroups; ++g)
        if (groups_[g].running && groups_[g].peers.has(peer)) {
            groups_[g].peers.remove(peer);
            finish({static_cast<uint8_t>(g)}, peer, now);
        }
}

void Sweep::finish(GroupId group, NodeId peer, Instant now) {
    GroupSweep& g = groups_[group.value];
    if (!g.open.has(peer)) return;
    g.open.remove(peer);
    end_if_through(group, now);
}

Instant Sweep::next_deadline() const {
    Instant next = Instant::max();
    for (const GroupSweep& g : groups_)
        if (g.running)
            for (NodeId n : g.open) next = earlier(next, g.walks[n.value].repeat_at);
    return next;
}

void Sweep::on_deadline(Instant now) {
    for (unsigned i = 0; i < kMaxGroups; ++i) {
        GroupSweep& g = groups_[i];
        if (!g.running) continue;
        for (NodeId n : g.open) {
            if (now < g.walks[n.value].repeat_at) continue;
            ++g.walks[n.value].repeats;
            ++counters_.repeats;
            request({static_cast<uint8_t>(i)}, n, now);
        }
    }
}

void Sweep::on_message(NodeId from, Bytes body, const FragmentStore& store, Instant now) {
    ByteReader r(body);
    switch (static_cast<MessageType>(r.le<uint8_t>())) {
        case MessageType::sweep:
            return serve_sweep(from, r, store, now);
        case MessageType::pull:
            return serve_pull(from, r, store, now);
        case MessageType::fragments:
            return take_fragments(from, r, now);
        case MessageType::adopt:
        case MessageType::vote:
            break;
    }
    ++counters_.bad_messages;
}

void Sweep::serve_sweep(NodeId to, ByteReader& r, const FragmentStore& store, Instant now) {
    const GroupId group{r.le<uint8_t>()};
    const Epoch epoch{r.le<uint64_t>()};
    uint32_t cursor = r.le<uint32_t>();
    if (!r.done() || group.value >= kMaxGroups) {
        ++counters_.bad_messages;
        return;
    }
    const uint32_t late = cursor & kLateCursor;
    cursor -= late;
    for (unsigned i = 0; i < kBurst; ++i) {
        Answer answer(group, epoch, cursor | late);
        cursor = store.walk(cursor, [&](const Fragment& f) {
            return f.group != group || f.version.epoch >= epoch ||
                   is_late(f.id.kind) != (late != 0) || answer.add(f);
        });
        counters_.fragments_served += answer.count();
        const bool end = cursor == store.end();
        const bool more = !end && i + 1 < kBurst;
        output_.send_sweep(to,
                           answer.finish(cursor | late, static_cast<uint8_t>((end ? kEnd : 0) |
                                                                             (more ? kMore : 0))),
                           now);
        if (end) return;
    }
}

void Sweep::serve_pull(NodeId to, ByteReader& r, const FragmentStore& store, Instant now) {
    const GroupId group{r.le<uint8_t>()};
    const Epoch epoch{r.le<uint64_t>()};
    const uint8_t kind = r.le<uint8_t>();
    FragmentId id;
    id.session.size = r.le<uint8_t>();
    if (id.session.size > id.session.bytes.size() || kind >= kFragmentKinds ||
        group.value >= kMaxGroups) {
        ++counters_.bad_messages;
        return;
    }
    r.copy(std::as_writable_bytes(std::span(id.session.bytes).first(id.session.size)));
    if (!r.done()) {
        ++counters_.bad_messages;
        return;
    }
    Answer answer(group, epoch, 0);
    for (uint8_t k = 0; k < kFragmentKinds; ++k) {
        id.kind = static_cast<FragmentKind>(k);
        const bool alias_wanted = kind == static_cast<uint8_t>(FragmentKind::alias);
        if ((id.kind == FragmentKind::alias) != alias_wanted) continue;
        for (id.part = 0; id.part < kMaxParts; ++id.part) {
            const auto f = store.find(id);
            if (!f) break;
            if (!answer.add(*f)) break;  // the sweep brings what does not fit
        }
    }
    if (answer.count() == 0) return;
    counters_.fragments_served += answer.count();
    output_.send_sweep(to, answer.finish(0, kPulled), now);
}

void Sweep::take_fragments(NodeId from, ByteReader& r, Instant now) {
    const GroupId group{r.le<uint8_t>()};
    const Epoch epoch{r.le<uint64_t>()};
    const uint32_t first = r.le<uint32_t>();
    const uint32_t next = r.le<uint32_t>();
    const uint8_t flags = r.le<uint8_t>();
    if (!r.ok() || group.value >= kMaxGroups) {
        ++counters_.bad_messages;
        return;
    }
    GroupSweep& g = groups_[group.value];
    const bool walk = !(flags & kPulled);
    if (epoch != g.epoch || (walk && (!g.running || !g.open.has(from)))) return;  // an old round's
    PeerWalk& w = g.walks[from.value];
    if (walk && first != w.cursor) {
        ++counters_.out_of_line;
        return;
    }
    ++counters_.answers;
    while (!r.done()) {
        const auto fragment = decode_fragment(r);
        if (!fragment || fragment->group != group) {
            ++counters_.bad_messages;
            return;
        }
        ++counters_.fragments_pulled;
        output_.on_swept_fragment(from, *fragment, now);
    }
    if (!walk) return;
    w.cursor = next;
    w.repeats = 0;
    w.repeat_at = now + kRepeat;
    if (flags & kEnd) return finish(group, from, now);
    if (!(flags & kMore)) request(group, from, now);
}

}  // namespace holdfast
