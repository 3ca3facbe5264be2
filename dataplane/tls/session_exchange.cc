#include "dataplane/tls/session_exchange.h"

#include <algorithm>

namespace holdfast {

TlsSessionExchange::TlsSessionExchange(unsigned workers, size_t queue)
    : workers_(workers), groups_(workers) {
    for (unsigned pair = 0; pair < workers * workers; ++pair)
        queues_.push_back(pair / workers == pair % workers ? nullptr
                                                           : std::make_unique<Queue>(queue));
}

unsigned TlsSessionExchange::give(unsigned from, const TlsSession& session) {
    unsigned refused = 0;
    for (unsigned to = 0; to < workers_; ++to) {
        if (to == from) continue;
        if (between(from, to).full()) {
            ++refused;
            continue;
        }
        auto copy = std::make_unique<TlsSession>(session);
        copy->copied = true;
        between(from, to).push(std::move(copy));
    }
    return refused;
}

std::unique_ptr<TlsSession> TlsSessionExchange::take(unsigned worker) {
    for (unsigned from = 0; from < workers_; ++from)
        if (from != worker)
            if (auto session = between(from, worker).pop()) return session;
    return nullptr;
}

void TlsSessionExchange::set_complete(unsigned worker, GroupId group, bool complete) {
    const auto bit = static_cast<uint16_t>(1u << group.value);
    std::atomic<uint16_t>& groups = groups_[worker].complete;
    complete ? groups.fetch_or(bit) : groups.fetch_and(static_cast<uint16_t>(~bit));
}

bool TlsSessionExchange::complete(GroupId group) const {
    return std::ranges::all_of(
        groups_, [&](const Groups& g) { return (g.complete.load() >> group.value & 1) != 0; });
}

}  // namespace holdfast
