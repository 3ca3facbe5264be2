#include "dataplane/tls/sessions.h"

#include <algorithm>
#include <cstring>

#include "base/random.h"
#include "base/secret_memory.h"

namespace holdfast {

TlsSession::~TlsSession() { wipe(der); }

// Identifiers are random; those that clients make up are looked up, never stored.
size_t TlsSessionCache::Hash::operator()(const TlsSessionId& id) const {
    return mix64(load_le<uint64_t>(id.bytes.data()));
}

TlsSessionCache::TlsSessionCache(const Options& options) : options_(options) {
    by_id_.reserve(options.sessions);
}

bool TlsSessionCache::store(const TlsSession& session, Instant now) {
    const size_t size = session.der.size();
    if (size == 0 || size > std::min(kMaxTlsSession, options_.bytes) || session.id.size == 0 ||
        options_.sessions == 0) {
        ++counters_.refused;
        return false;
    }
    if (const auto same = by_id_.find(session.id); same != by_id_.end())
        drop(same);  // its place in by_age_ is left to whoever comes by
    while (by_id_.size() >= options_.sessions || bytes_ + size > options_.bytes) {
        give_up(oldest());
        ++counters_.evicted;
    }
    const Duration life =
        std::min(options_.lifetime, Duration::seconds(int64_t{session.lifetime_s}));
    bytes_ += size;
    by_id_.emplace(session.id, Entry{session, now + life, ++numbers_});
    by_age_.emplace_back(numbers_, session.id);
    if (by_age_.size() > 2 * options_.sessions + 64) compact();
    ++counters_.stored;
    return true;
}

TlsSessionAnswer TlsSessionCache::find(const TlsSessionId& id, uint16_t service, Instant now,
                                       TlsSession& session) {
    const auto entry = by_id_.find(id);
    if (entry == by_id_.end() || entry->second.until <= now ||
        entry->second.session.service != service) {
        ++counters_.missed;
        return TlsSessionAnswer::none;
    }
    ++counters_.found;
    session = entry->second.session;
    return TlsSessionAnswer::found;
}

void TlsSessionCache::expire(Instant now, size_t limit) {
    while (limit-- > 0) {
        const auto entry = oldest();
        if (entry == by_id_.end() || entry->second.until > now) return;
        give_up(entry);
        ++counters_.expired;
    }
}

const TlsSessionCache::Entry* TlsSessionCache::next(uint64_t number) const {
    auto place = std::ranges::lower_bound(by_age_, number, {}, &Place::first);
    while (place != by_age_.end() && !is_current(*place)) ++place;
    return place == by_age_.end() ? nullptr : &by_id_.find(place->second)->second;
}

void TlsSessionCache::give_up(Entries::iterator entry) {
    if (options_.on_drop) options_.on_drop(entry->second.session);
    drop(entry);
}

void TlsSessionCache::drop(Entries::iterator entry) {
    bytes_ -= entry->second.session.der.size();
    by_id_.erase(entry);
}

bool TlsSessionCache::is_current(const Place& place) const {
    const auto entry = by_id_.find(place.second);
    return entry != by_id_.end() && entry->second.number == place.first;
}

TlsSessionCache::Entries::iterator TlsSessionCache::oldest() {
    while (!by_age_.empty() && !is_current(by_age_.front())) by_age_.pop_front();
    return by_age_.empty() ? by_id_.end() : by_id_.find(by_age_.front().second);
}

void TlsSessionCache::compact() {
    std::erase_if(by_age_, [this](const auto& place) { return !is_current(place); });
}

}  // namespace holdfast
