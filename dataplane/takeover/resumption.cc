#include "dataplane/takeover/resumption.h"

#include "base/secret_memory.h"
#include "dataplane/takeover/resumption_capture.h"

namespace holdfast {
namespace {

// A microsecond each, about; a worker looks again within a millisecond or so. Guess.
constexpr unsigned kCopiesAtOnce = 256;

}  // namespace

Resumption::Resumption(const TlsSessionCache::Options& bounds, std::span<const Service> services,
                       Replicator& replicator, Siblings siblings, Duration wall_offset)
    : services_(services),
      replicator_(replicator),
      siblings_(siblings),
      wall_offset_(wall_offset),
      cache_(with_erasure(bounds)) {}

TlsSessionCache::Options Resumption::with_erasure(TlsSessionCache::Options bounds) {
    bounds.on_drop = [this](const TlsSession& session) { erase(session); };
    return bounds;
}

// A copy's fragments are another shard's.
bool Resumption::holds(const TlsSession& session) const {
    return !session.copied && session.service < services_.size() &&
           replicator_.membership().role(services_[session.service].group) == Role::holder;
}

void Resumption::on_new_session(const TlsSession& session, Instant now) {
    now_ = now;
    if (!cache_.store(session, now)) return;
    if (siblings_.exchange) counters_.unshared += siblings_.exchange->give(siblings_.self, session);
    publish(session, now + Duration::seconds(int64_t{session.lifetime_s}), now);
}

void Resumption::publish(const TlsSession& session, Instant until, Instant now) {
    if (!holds(session)) return;
    std::vector<std::byte> value = write_resumable(session, until + wall_offset_);
    replicator_.publish({resumption_key(session.id), FragmentKind::resumable, 0},
                        services_[session.service].group, ++version_, value, now);
    ++counters_.published;
    wipe(value);
}

void Resumption::erase(const TlsSession& session) {
    if (!holds(session)) return;
    ++version_;
    const size_t size = kResumableHead + session.der.size();
    const size_t parts = (size + kMaxFragmentValue - 1) / kMaxFragmentValue;
    for (uint8_t part = 0; part < parts; ++part)
        replicator_.erase({resumption_key(session.id), FragmentKind::resumable, part},
                          services_[session.service].group, version_, now_);
}

TlsSessionAnswer Resumption::find(const TlsSessionId& id, uint16_t service, Instant now,
                                  TlsSession& session) {
    take_copies(now);
    const TlsSessionAnswer answer = cache_.find(id, service, now, session);
    if (answer == TlsSessionAnswer::found || service >= services_.size()) return answer;
    return complete(services_[service].group) ? answer : TlsSessionAnswer::pending;
}

void Resumption::ask_peers(const TlsSessionId& id, uint16_t service, Instant now) {
    ++counters_.asked;
    replicator_.pull(services_[service].group, resumption_key(id), FragmentKind::resumable, now);
}

std::optional<TlsSessionId> Resumption::take(const Fragment& fragment, Instant now) {
    const auto id = parse_resumption_key(fragment.id.session);
    if (!id) return std::nullopt;
    now_ = now;
    std::vector<std::byte> value =
        replicator_.store().whole_value(fragment.id.session, FragmentKind::resumable);
    if (value.empty()) return std::nullopt;  // more parts are to come
    const auto session = read_resumable(*id, value, now + wall_offset_);
    wipe(value);
    if (!session || !holds(*session) || services_[session->service].group != fragment.group) {
        ++counters_.unusable;
        return std::nullopt;
    }
    ++counters_.adopted;
    on_new_session(*session, now);
    return id;
}

bool Resumption::republish(unsigned budget, Instant now) {
    const TlsSessionCache::Entry* entry = nullptr;
    while ((entry = cache_.next(next_)) && budget-- > 0) {
        publish(entry->session, entry->until, now);
        next_ = entry->number + 1;
    }
    return entry != nullptr;
}

bool Resumption::complete(GroupId group) const {
    return siblings_.exchange ? siblings_.exchange->complete(group)
                              : !replicator_.gathering_late(group);
}

void Resumption::set_complete(GroupId group, bool complete) {
    if (siblings_.exchange) siblings_.exchange->set_complete(siblings_.self, group, complete);
}

void Resumption::take_copies(Instant now) {
    now_ = now;
    if (!siblings_.exchange) return;
    for (unsigned n = 0; n < kCopiesAtOnce; ++n) {
        const auto copy = siblings_.exchange->take(siblings_.self);
        if (!copy) return;
        counters_.copied += cache_.store(*copy, now);
    }
}

void Resumption::on_deadline(Instant now) {
    take_copies(now);
    cache_.expire(now);
}

}  // namespace holdfast
