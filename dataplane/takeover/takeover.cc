#include "dataplane/takeover/takeover.h"

#include <algorithm>

#include "dataplane/relay/align.h"
#include "dataplane/takeover/relay_capture.h"
#include "dataplane/takeover/session_flags.h"

namespace holdfast {
namespace {

FragmentId id_of(const SessionKey& key, FragmentKind kind) { return {key, kind, 0}; }

FragmentId block_id(const SessionKey& key, Direction side, unsigned block) {
    return {key, FragmentKind::stream,
            static_cast<uint8_t>(static_cast<unsigned>(side) * StreamCopy::kBlocks + block)};
}

// By their turn.
constexpr FragmentKind kPayloads[] = {FragmentKind::payload, FragmentKind::payload_odd};

}  // namespace

// ---- Capture
// -----------------------------------------------------------------------------------------------

// Of a session whose TLS handshake is over and published.
const TlsStream* Takeover::tls_of(SessionIndex index) const {
    return relay_ && relay_->publishable(index) ? relay_->tls(index) : nullptr;
}

// What is only known to us cannot be carried on by another node, and is not published.
bool Takeover::publishable(SessionIndex index) const {
    return !relay_ || !relay_->has(index) || relay_->publishable(index);
}

// A relayed session's fragments say more: how far both its endpoints are.
size_t Takeover::append_relay(SessionIndex index, Instant now, MutableBytes to) const {
    if (!relay_ || !relay_->has(index)) return 0;
    return write_relay_state(relay_->state(index, now), now + wall_offset_, to);
}

// A session that was never published begins above all that were erased: the next connection from a
// client's port, or on a pool's, has the key of one whose erasure its owners still remember.
uint32_t Takeover::after(uint32_t version) const { return (version == 0 ? buried_ : version) + 1; }

Published Takeover::publish(SessionIndex index, Instant now) {
    Session& s = *forwarder_.sessions().get(index);
    s.epoch = replicator_.membership().epoch(s.group);
    s.header_version = after(s.header_version);
    std::array<std::byte, kMaxHeaderValue + kRelayStateSize> buffer;
    size_t header = write_header(s, buffer);
    header += append_relay(index, now, MutableBytes(buffer).subspan(header));
    const Published h = replicator_.publish(id_of(session_key(s), FragmentKind::header), s.group,
                                            s.header_version, Bytes(buffer).first(header), now);
    // What else a TLS session cannot be carried on without was published before this.
    NodeSet owners = h.owners;
    if (tls_of(index))
        for (const FragmentKind kind : {FragmentKind::credential, FragmentKind::segment})
            owners = owners | replicator_.owners(id_of(session_key(s), kind).slot());
    const size_t alias = write_alias(s, buffer);
    const Published a = replicator_.publish(id_of(alias_key(s), FragmentKind::alias), s.group,
                                            s.header_version, Bytes(buffer).first(alias), now);
    return {std::max(h.position, a.position), owners, a.owners};
}

void Takeover::publish_header(SessionIndex index, Instant now) {
    Session& s = *forwarder_.sessions().get(index);
    if (s.epoch != replicator_.membership().epoch(s.group) || !publishable(index))
        return;  // not published yet under this epoch
    s.header_version = after(s.header_version);
    std::array<std::byte, kMaxHeaderValue + kRelayStateSize> buffer;
    size_t size = write_header(s, buffer);
    size += append_relay(index, now, MutableBytes(buffer).subspan(size));
    replicator_.publish(id_of(session_key(s), FragmentKind::header), s.group, s.header_version,
                        Bytes(buffer).first(size), now);
}

// Which sides have sent since the last segment fragment. Session::caller keeps the low halves of
// both ends then.
uint16_t Takeover::moved(const Session& s) const {
    const bool client =
        static_cast<uint16_t>(s.caller) != static_cast<uint16_t>(s.from_client.end.value);
    const bool backend =
        static_cast<uint16_t>(s.caller >> 16) != static_cast<uint16_t>(s.from_backend.end.value);
    return static_cast<uint16_t>((client ? takeover_flag::kClientActive : 0) |
                                 (backend ? takeover_flag::kBackendActive : 0));
}

Published Takeover::publish_segment(SessionIndex index, Instant now) {
    Session& s = *forwarder_.sessions().get(index);
    const uint16_t active = moved(s);
    s.caller = static_cast<uint16_t>(s.from_client.end.value) | s.from_backend.end.value << 16;
    if (active != 0) moving_.push_back(index);
    s.segment_version = after(s.segment_version);
    ++counters_.segments;
    std::array<std::byte, kMaxSegmentValue + kRelayStateSize + TlsStream::kMaxProgress> buffer;
    size_t size = write_segment(s, active, buffer);
    size += append_relay(index, now, MutableBytes(buffer).subspan(size));
    if (const TlsStream* tls = tls_of(index))
        size += tls->write_progress(MutableBytes(buffer).subspan(size));
    return replicator_.publish(id_of(session_key(s), FragmentKind::segment), s.group,
                               s.segment_version, Bytes(buffer).first(size), now);
}

// Everything that a TLS session's next record reveals; all of it must be held by all its owners,
// because what is missing cannot be learned from the session's ends.
Published Takeover::publish_tls(SessionIndex index, bool whole, Instant now) {
    const TlsStream& tls = *relay_->tls(index);
    Session& s = *forwarder_.sessions().get(index);
    Published all;
    const auto add = [&](const Published& p) {
        all.position = std::max(all.position, p.position);
        all.owners = all.owners | p.owners | p.also;
    };
    if (whole) {
        add(publish(index, now));
        std::array<std::byte, TlsStream::kMaxCredential> buffer;
        const size_t size = tls.write_credential(buffer);
        add(replicator_.publish(id_of(session_key(s), FragmentKind::credential), s.group,
                                s.header_version, Bytes(buffer).first(size), now));
        wipe(buffer);
    }
    if (TlsPayload* payload = relay_->tls_payload(index)) {
        // Each time the same: one that was cut short leaves what is there whole.
        if (payload->version == 0) payload->version = after(s.segment_version);
        add(replicator_.publish(id_of(session_key(s), kPayloads[payload->turn()]), s.group,
                                payload->version, payload->value(), now));
    }
    add(publish_segment(index, now));
    return all;
}

void Takeover::settle(Instant now) {
    std::vector<SessionIndex> before;
    before.swap(moving_);
    for (const SessionIndex index : before) {
        const Session* s = forwarder_.sessions().get(index);
        if (!s || s->epoch != replicator_.membership().epoch(s->group)) continue;
        if (moved(*s) == 0) publish_segment(index, now);
    }
}

void Takeover::publish_progress(unsigned budget, Instant now) {
    settle(now);
    while (budget-- > 0) {
        const auto index = forwarder_.pop_dirty();
        if (!index) return;
        const Session* s = forwarder_.sessions().get(*index);
        if (s && s->epoch.value != 0 && s->epoch == replicator_.membership().epoch(s->group) &&
            publishable(*index))
            publish_segment(*index, now);
    }
}

void Takeover::publish_application(SessionIndex index, Instant now) {
    Session& s = *forwarder_.sessions().get(index);
    const auto found = attributes_.find(index.slot);
    if (found == attributes_.end()) return;
    s.application_version = after(s.application_version);
    replicator_.publish(id_of(session_key(s), FragmentKind::application), s.group,
                        s.application_version, write_attributes(found->second), now);
}

void Takeover::publish_copies(SessionIndex index, Instant now) {
    const Session& s = *forwarder_.sessions().get(index);
    if (s.epoch.value == 0 || s.epoch != replicator_.membership().epoch(s.group) ||
        !publishable(index))
        return;
    StreamCopies& copies = *relay_->copies(index);
    for (const Direction side : {Direction::from_client, Direction::from_backend}) {
        const Tcb& t = relay_->tcb(index, side);
        copies.sides[static_cast<size_t>(side)].publish(
            [&](unsigned block, SeqNum start, Bytes octets) {
                if (!replicator_.has_room_for_blocks()) {
                    ++counters_.blocks_put_off;
                    return false;
                }
                std::array<std::byte, kMaxFragmentValue> buffer;
                const size_t size = write_stream_block({t.irs, t.iss, start, octets}, buffer);
                copies.version = after(copies.version);
                ++counters_.blocks;
                replicator_.publish(block_id(session_key(s), side, block), s.group, copies.version,
                                    Bytes(buffer).first(size), now);
                return true;
            });
    }
}

void Takeover::erase_copies(SessionIndex index, const Session& s, Instant now) {
    const StreamCopies* copies = relay_ ? relay_->copies(index) : nullptr;
    if (!copies || copies->version == 0) return;
    buried_ = std::max(buried_, copies->version + 1);
    replicator_.erase(id_of(session_key(s), FragmentKind::stream), s.group, copies->version + 1,
                      now);
}

// Once its streams are over that was done already.
void Takeover::erase_secrets(SessionIndex index, const Session& s, Instant now) {
    const TlsStream* tls = relay_ ? relay_->tls(index) : nullptr;
    if (!tls) return;
    const uint32_t version = std::max(s.header_version, s.segment_version) + 1;
    replicator_.erase(id_of(session_key(s), FragmentKind::credential), s.group, version, now);
    for (size_t part = 0; part * kMaxFragmentValue < tls->largest_payload(); ++part)
        for (const FragmentKind kind : kPayloads)
            replicator_.erase({session_key(s), kind, static_cast<uint8_t>(part)}, s.group, version,
                              now);
}

void Takeover::publish_finished(SessionIndex index, Instant now) {
    publish_header(index, now);
    const Session& s = *forwarder_.sessions().get(index);
    if (s.epoch.value == 0 || s.epoch != replicator_.membership().epoch(s.group)) return;
    erase_secrets(index, s, now);
    erase_copies(index, s, now);
}

void Takeover::publish_end(SessionIndex index, const Session& s, Instant now) {
    if (s.epoch.value == 0 || s.epoch != replicator_.membership().epoch(s.group)) return;
    ++counters_.erased;
    erase_copies(index, s, now);
    const uint32_t newest =
        std::max({s.header_version, s.segment_version, s.application_version}) + 1;
    buried_ = std::max(buried_, newest);
    replicator_.erase(id_of(session_key(s), FragmentKind::header), s.group, s.header_version + 1,
                      now);
    replicator_.erase(id_of(alias_key(s), FragmentKind::alias), s.group, s.header_version + 1, now);
    erase_secrets(index, s, now);
    if (s.segment_version > 0)
        replicator_.erase(id_of(session_key(s), FragmentKind::segment), s.group,
                          s.segment_version + 1, now);
    if (s.application_version == 0) return;
    for (uint8_t part = 0; part < kMaxParts; ++part)
        replicator_.erase({session_key(s), FragmentKind::application, part}, s.group,
                          s.application_version + 1, now);
}

uint32_t Takeover::republish(uint32_t cursor, unsigned budget, Instant now) {
    SessionTable& table = forwarder_.sessions();
    for (; budget > 0; --budget) {
        const SessionIndex index = table.next(cursor);
        if (!index) return ReplicatorEvents::kNoMoreSessions;
        cursor = index.slot + 1;
        const Session& s = *table.get(index);
        if (s.epoch.value == 0 || replicator_.membership().role(s.group) != Role::holder) continue;
        if (!publishable(index)) continue;
        publish(index, now);
        if (tls_of(index))
            publish_tls(index, true, now);
        else if (s.segment_version > 0)
            publish_segment(index, now);
        publish_application(index, now);
        if (relay_ && relay_->copies(index)) relay_->copy_again(index);
    }
    return cursor;
}

// ---- Adoption
// ----------------------------------------------------------------------------------------------

std::optional<SessionIndex> Takeover::take(const Fragment& fragment, Instant now) {
    switch (fragment.id.kind) {
        case FragmentKind::header:
            return waits_for_all(fragment) ? std::nullopt : restore(fragment, now);
        case FragmentKind::segment:
            if (const SessionIndex index = find(fragment.id.session))
                apply_segment(index, fragment, now);
            return std::nullopt;
        case FragmentKind::application:
            if (const SessionIndex index = find(fragment.id.session))
                apply_application(index, fragment, now);
            return std::nullopt;
        case FragmentKind::stream:
            apply_stream(fragment, now);
            return std::nullopt;
        case FragmentKind::resumable:  // no live session's: dataplane/takeover/resumption
        case FragmentKind::alias:      // the header says all that it does; the worker follows it
        case FragmentKind::payload:    // of TLS sessions: restore_gathered()
        case FragmentKind::payload_odd:
        case FragmentKind::credential:
            return std::nullopt;
    }
    return std::nullopt;
}

// The mode of a session that can be carried on only from the newest state there is, which is known
// when all has been gathered. Of a TLS session writing goes on from there or not at all, until it
// is over; of a proxied one that went on when one owner of several knew, each other would begin it
// anew.
std::optional<Mode> Takeover::waits_for_all(const Fragment& header) const {
    Bytes rest;
    const auto session = read_header(header, services_, rest);
    if (!session) return std::nullopt;
    const Service& service = services_[session->service];
    if (service.mode == Mode::forward) return std::nullopt;
    const auto state = read_relay_state(rest, {});
    const bool over = state && state->stage == RelayStage::closing;
    if (service.mode == Mode::proxy ? service.commit == Commit::all : over) return std::nullopt;
    return service.mode;
}

SessionIndex Takeover::find(const SessionKey& key) const {
    const auto flow = parse_session_key(key);
    if (!flow) return {};
    return forwarder_.sessions().find_client(flow->source, flow->destination);
}

std::optional<SessionIndex> Takeover::restore(const Fragment& header, Instant now) {
    Bytes rest;
    auto session = read_header(header, services_, rest);
    const auto relay_state = read_relay_state(rest, now + wall_offset_);
    if (!session || relay_state.has_value() == rest.empty()) {
        ++counters_.unreadable;
        return std::nullopt;
    }
    if (const SessionIndex known = find(header.id.session)) {
        Session& s = *forwarder_.sessions().get(known);
        const bool same = backend_key(s) == backend_key(*session);
        if (!s.has(Session::kAdopted) || s.header_version > session->header_version)
            return std::nullopt;
        // Two owners differ: the newer one was told of a change that the other missed.
        ++counters_.restored_newer;
        if (!same) {
            forwarder_.drop(known, now);
        } else {
            if (is_embryonic(s.state) && !is_embryonic(session->state))
                forwarder_.sessions().promote(known.slot);
            s.state = session->state;
            s.from_client = session->from_client;
            s.from_backend = session->from_backend;
            s.header_version = std::max(s.header_version, session->header_version);
            if (relay_state) relay_->restore(known, *relay_state, now);
            publish(known, now);
            return std::nullopt;
        }
    }
    if (!is_embryonic(session->state)) session->set(Session::kCommitted);
    const auto index = forwarder_.restore(*session, now);
    if (!index) {
        ++counters_.refused;
        return std::nullopt;
    }
    ++counters_.restored;
    if (relay_state) relay_->restore(*index, *relay_state, now);
    const FragmentStore& store = replicator_.store();
    if (const auto f = store.find(id_of(header.id.session, FragmentKind::segment)))
        apply_segment(*index, *f, now);
    if (const auto f = store.find(id_of(header.id.session, FragmentKind::application)))
        apply_application(*index, *f, now);
    publish(*index, now);
    return *index;
}

uint32_t Takeover::restore_gathered(GroupId group, uint32_t cursor, unsigned budget,
                                    size_t& restored, Instant now) {
    const FragmentStore& store = replicator_.store();
    std::vector<SessionKey> tls, proxied;
    cursor = store.walk(cursor, [&](const Fragment& f) {
        if (budget-- == 0) return false;
        if (f.group != group) return true;
        if (f.id.kind == FragmentKind::credential) tls.push_back(f.id.session);
        if (f.id.kind == FragmentKind::header && waits_for_all(f) == Mode::proxy)
            proxied.push_back(f.id.session);
        return true;
    });
    for (const SessionKey& key : tls) restored += restore_tls(key, now).has_value();
    for (const SessionKey& key : proxied)
        restored += restore(*store.find(id_of(key, FragmentKind::header)), now).has_value();
    return cursor;
}

std::optional<SessionIndex> Takeover::restore_tls(const SessionKey& key, Instant now) {
    const auto header = replicator_.store().find(id_of(key, FragmentKind::header));
    const auto segment = replicator_.store().find(id_of(key, FragmentKind::segment));
    if (!header || !segment || find(key)) return std::nullopt;
    Bytes rest, moving;
    auto session = read_header(*header, services_, rest);
    if (!session || !session->has(Session::kRelayed) || !read_segment(*segment, *session, moving) ||
        moving.size() < kRelayStateSize) {
        ++counters_.unreadable;
        return std::nullopt;
    }
    auto state = read_relay_state(moving.first(kRelayStateSize), now + wall_offset_);
    const auto agreed = read_relay_state(rest, now + wall_offset_);
    if (state && agreed) state = with_backend_of(*state, *agreed);
    const std::vector<std::byte> progress(moving.begin() + kRelayStateSize, moving.end());
    session->segment_version = segment->version.number;
    session->set(Session::kCommitted);
    const auto index =
        state ? forwarder_.restore(*session, now) : std::unexpected(DropReason::invalid_state);
    if (!index) {
        ++counters_.refused;
        return std::nullopt;
    }
    std::vector<std::byte> credential =
        replicator_.store().whole_value(key, FragmentKind::credential);
    std::array<std::vector<std::byte>, std::size(kPayloads)> payloads;
    for (size_t turn = 0; turn < payloads.size(); ++turn)
        payloads[turn] = replicator_.store().whole_value(key, kPayloads[turn]);
    const bool proven = relay_->restore_tls(*index, *state, credential, progress, payloads, now);
    wipe(credential);
    if (!proven) {
        forwarder_.drop(*index, now);
        ++counters_.refused;
        return std::nullopt;
    }
    ++counters_.restored;
    if (const auto f = replicator_.store().find(id_of(key, FragmentKind::application)))
        apply_application(*index, *f, now);
    publish_tls(*index, true, now);
    return *index;
}

// And the blocks behind it, which may have come before.
void Takeover::apply_stream(const Fragment& first, Instant now) {
    const SessionIndex index = find(first.id.session);
    if (!index || !relay_) return;
    std::optional<Fragment> next = first;
    while (next) {
        const auto block = read_stream_block(next->value);
        if (!block) return void(++counters_.unreadable);
        const unsigned side = next->id.part / StreamCopy::kBlocks;
        if (!relay_->take_copy(index, static_cast<Direction>(side), *block, now)) return;
        const unsigned behind = (next->id.part + 1) % StreamCopy::kBlocks;
        next = replicator_.store().find(
            block_id(first.id.session, static_cast<Direction>(side), behind));
    }
}

void Takeover::apply_segment(SessionIndex index, const Fragment& segment, Instant now) {
    Session& s = *forwarder_.sessions().get(index);
    if (segment.version.number < s.segment_version) return;
    if (services_[s.service].mode == Mode::tls) return;  // it was restored from the newest
    Bytes rest;
    const bool read = read_segment(segment, s, rest);
    const auto relay_state = read_relay_state(rest, now + wall_offset_);
    if (!read || relay_state.has_value() == rest.empty()) {
        ++counters_.unreadable;
        return;
    }
    if (relay_state) relay_->restore(index, *relay_state, now);
    s.segment_version = segment.version.number;
}

void Takeover::apply_application(SessionIndex index, const Fragment& part, Instant now) {
    const std::vector<std::byte> value =
        replicator_.store().whole_value(part.id.session, FragmentKind::application);
    if (value.empty()) return;
    auto attributes = read_attributes(value);
    if (!attributes) {
        ++counters_.unreadable;
        return;
    }
    Session& s = *forwarder_.sessions().get(index);
    s.application_version = std::max(s.application_version, part.version.number);
    attributes_[index.slot] = std::move(*attributes);
    publish_application(index, now);  // under our epoch: owners drop what is of older ones
}

// ---- Attributes
// --------------------------------------------------------------------------------------------

const SessionAttributes* Takeover::attributes(SessionIndex index) const {
    const auto found = attributes_.find(index.slot);
    return found == attributes_.end() ? nullptr : &found->second;
}

bool Takeover::set_attribute(SessionIndex index, const std::string& name, const std::string& value,
                             Instant now) {
    SessionAttributes changed;
    if (const SessionAttributes* have = attributes(index)) changed = *have;
    const auto at =
        std::ranges::lower_bound(changed, name, {}, &SessionAttributes::value_type::first);
    if (at != changed.end() && at->first == name) {
        at->second = value;
    } else {
        changed.insert(at, {name, value});
    }
    if (write_attributes(changed).empty()) return false;
    attributes_[index.slot] = std::move(changed);
    publish_application(index, now);
    return true;
}

}  // namespace holdfast
