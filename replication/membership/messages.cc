#include "replication/membership/messages.h"

namespace holdfast {
namespace {

void put_members(ByteWriter& w, NodeSet members, const MemberIncarnations& incarnations) {
    w.le<uint32_t>(members.bits());
    for (NodeId n : members) w.le<uint32_t>(incarnations[n.value]);
}

void take_members(ByteReader& r, NodeSet& members, MemberIncarnations& incarnations) {
    members = NodeSet(r.le<uint32_t>());
    for (NodeId n : members) incarnations[n.value] = r.le<uint32_t>();
}

void put_claim(ByteWriter& w, const LastClaim& claim) {
    w.le<uint64_t>(claim.epoch.value);
    w.le<uint8_t>(claim.holder.value);
    w.le<uint64_t>(claim.incarnation.value);
    w.le<uint64_t>(claim.view_number);
    put_members(w, claim.members, claim.incarnations);
    w.le<uint64_t>(claim.base_number);
    w.le<uint32_t>(claim.base_members.bits());
}

// Whether it names a node that can be.
bool take_claim(ByteReader& r, LastClaim& claim) {
    claim.epoch.value = r.le<uint64_t>();
    claim.holder.value = r.le<uint8_t>();
    claim.incarnation.value = r.le<uint64_t>();
    claim.view_number = r.le<uint64_t>();
    take_members(r, claim.members, claim.incarnations);
    claim.base_number = r.le<uint64_t>();
    claim.base_members = NodeSet(r.le<uint32_t>());
    return claim.holder.value < kMaxNodes;
}

ByteReader body_of(Bytes bytes, MessageType type) {
    ByteReader r(bytes);
    if (r.le<uint8_t>() != static_cast<uint8_t>(type)) return ByteReader({});
    return r;
}

}  // namespace

size_t emit(const MemberHeartbeat& body, MutableBytes to) {
    ByteWriter w(to);
    w.le<uint64_t>(body.serial);
    w.le<uint64_t>(body.view_number);
    put_members(w, body.members, body.incarnations);
    w.le<uint64_t>(body.base_number);
    w.le<uint32_t>(body.base_members.bits());
    w.le<uint8_t>(body.leaving);
    uint16_t present = 0;
    for (unsigned g = 0; g < kMaxGroups; ++g)
        if (body.claims[g].epoch.value != 0) present |= static_cast<uint16_t>(1u << g);
    w.le<uint16_t>(present);
    for (unsigned g = 0; g < kMaxGroups; ++g) {
        if (!(present >> g & 1)) continue;
        w.le<uint8_t>(static_cast<uint8_t>(body.claims[g].holder | body.claims[g].swept << 1));
        w.le<uint64_t>(body.claims[g].epoch.value);
    }
    return w.ok() ? w.used() : 0;
}

std::optional<MemberHeartbeat> parse_heartbeat_body(Bytes bytes) {
    ByteReader r(bytes);
    MemberHeartbeat body;
    body.serial = r.le<uint64_t>();
    body.view_number = r.le<uint64_t>();
    take_members(r, body.members, body.incarnations);
    body.base_number = r.le<uint64_t>();
    body.base_members = NodeSet(r.le<uint32_t>());
    const uint8_t leaving = r.le<uint8_t>();
    body.leaving = leaving == 1;
    const uint16_t present = r.le<uint16_t>();
    for (unsigned g = 0; g < kMaxGroups; ++g) {
        if (!(present >> g & 1)) continue;
        const uint8_t flags = r.le<uint8_t>();
        body.claims[g] = {{r.le<uint64_t>()}, (flags & 1) != 0, (flags & 2) != 0};
        if (flags > 3) return std::nullopt;
    }
    if (!r.done() || leaving > 1) return std::nullopt;
    return body;
}

size_t emit(const MemberStatus& body, MutableBytes to) {
    ByteWriter w(to);
    w.le<uint64_t>(body.knows_view);
    uint16_t present = 0;
    for (unsigned g = 0; g < kMaxGroups; ++g)
        if (body.epochs[g].value != 0) present |= static_cast<uint16_t>(1u << g);
    w.le<uint16_t>(present);
    for (unsigned g = 0; g < kMaxGroups; ++g)
        if (present >> g & 1) w.le<uint64_t>(body.epochs[g].value);
    return w.ok() ? w.used() : 0;
}

std::optional<MemberStatus> parse_status_body(Bytes bytes) {
    ByteReader r(bytes);
    MemberStatus body;
    body.knows_view = r.le<uint64_t>();
    const uint16_t present = r.le<uint16_t>();
    for (unsigned g = 0; g < kMaxGroups; ++g)
        if (present >> g & 1) body.epochs[g].value = r.le<uint64_t>();
    if (!r.done()) return std::nullopt;
    return body;
}

size_t emit(const Promise& promise, MutableBytes to) {
    ByteWriter w(to);
    w.le<uint64_t>(promise.epoch.value);
    put_claim(w, promise.claim);
    return w.ok() ? w.used() : 0;
}

std::optional<Promise> parse_promise(Bytes bytes) {
    ByteReader r(bytes);
    Promise promise;
    promise.epoch.value = r.le<uint64_t>();
    if (!take_claim(r, promise.claim) || !r.done()) return std::nullopt;
    return promise;
}

size_t emit(const Adopt& adopt, MutableBytes to) {
    ByteWriter w(to);
    w.le<uint8_t>(static_cast<uint8_t>(MessageType::adopt));
    w.le<uint8_t>(adopt.group.value);
    w.le<uint8_t>(adopt.probe);
    w.le<uint64_t>(adopt.epoch.value);
    w.le<uint64_t>(adopt.claim_epoch.value);
    return w.ok() ? w.used() : 0;
}

std::optional<Adopt> parse_adopt(Bytes bytes) {
    ByteReader r = body_of(bytes, MessageType::adopt);
    Adopt adopt;
    adopt.group.value = r.le<uint8_t>();
    const uint8_t probe = r.le<uint8_t>();
    adopt.probe = probe == 1;
    adopt.epoch.value = r.le<uint64_t>();
    adopt.claim_epoch.value = r.le<uint64_t>();
    if (!r.done() || probe > 1 || adopt.group.value >= kMaxGroups) return std::nullopt;
    return adopt;
}

size_t emit(const Vote& vote, MutableBytes to) {
    ByteWriter w(to);
    w.le<uint8_t>(static_cast<uint8_t>(MessageType::vote));
    w.le<uint8_t>(vote.group.value);
    w.le<uint8_t>(vote.probe);
    w.le<uint8_t>(static_cast<uint8_t>(vote.answer));
    w.le<uint64_t>(vote.epoch.value);
    w.le<uint64_t>(vote.known.value);
    put_claim(w, vote.claim);
    return w.ok() ? w.used() : 0;
}

std::optional<Vote> parse_vote(Bytes bytes) {
    ByteReader r = body_of(bytes, MessageType::vote);
    Vote vote;
    vote.group.value = r.le<uint8_t>();
    const uint8_t probe = r.le<uint8_t>();
    vote.probe = probe == 1;
    const uint8_t answer = r.le<uint8_t>();
    vote.epoch.value = r.le<uint64_t>();
    vote.known.value = r.le<uint64_t>();
    const bool named = take_claim(r, vote.claim);
    if (!r.done() || !named || probe > 1 || vote.group.value >= kMaxGroups) return std::nullopt;
    if (answer > static_cast<uint8_t>(VoteAnswer::listening)) return std::nullopt;
    vote.answer = static_cast<VoteAnswer>(answer);
    return vote;
}

}  // namespace holdfast
