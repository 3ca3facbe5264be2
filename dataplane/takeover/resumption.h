// TLS sessions that clients resume by their identifier (TLS 1.2 without tickets), at whichever node
// holds the service's group.
//
// The holder keeps them (tls/sessions.h) and publishes each as a `resumable` fragment under its
// identifier: R copies, over all standbys, and nobody waits for it. Whoever adopts the group gets
// them with all other fragments of it, and publishes them again. So a holder knows every session
// there is, but while it gathers: a client that names one then has it pulled. Bounded by the
// cache's options; what goes from there is erased at its owners. With several workers, each has
// copies of the others' sessions. A pure machine; called by the worker.
#pragma once

#include <optional>
#include <span>

#include "dataplane/service/service.h"
#include "dataplane/tls/session_exchange.h"
#include "replication/replicator.h"

namespace holdfast {

struct ResumptionCounters {
    uint64_t published = 0, adopted = 0, unusable = 0, asked = 0, copied = 0, unshared = 0;
};
inline constexpr CounterInfo<ResumptionCounters> kResumptionCounters[] = {
    {"sessions_published", "Resumable sessions put on this node's ring.",
     &ResumptionCounters::published},
    {"sessions_adopted", "Resumable sessions had from fragments of an adopted group.",
     &ResumptionCounters::adopted},
    {"sessions_unusable", "Such fragments that were over, or made no sense.",
     &ResumptionCounters::unusable},
    {"sessions_asked", "Resumable sessions asked of the peers because a client waited.",
     &ResumptionCounters::asked},
    {"sessions_copied", "Resumable sessions had from other workers of this node.",
     &ResumptionCounters::copied},
    {"sessions_unshared", "Copies for other workers of this node that found no room.",
     &ResumptionCounters::unshared},
};

class Resumption final : public TlsSessionSource {
public:
    struct Siblings {
        TlsSessionExchange* exchange = nullptr;  // none: this is the only worker
        unsigned self = 0;
    };
    // `wall_offset`: what makes an Instant of this node a time that all nodes share, more or less.
    Resumption(const TlsSessionCache::Options& bounds, std::span<const Service> services,
               Replicator& replicator, Siblings siblings, Duration wall_offset);

    void on_new_session(const TlsSession& session, Instant now) override;
    TlsSessionAnswer find(const TlsSessionId& id, uint16_t service, Instant now,
                          TlsSession& session) override;
    void ask_peers(const TlsSessionId& id, uint16_t service, Instant now) override;

    // Takes in a fragment of a group just acquired; the session that is whole with it.
    std::optional<TlsSessionId> take(const Fragment& fragment, Instant now);
    // All again, up to `budget` at a time: false when there are no more.
    void begin_republish() { next_ = 0; }
    bool republish(unsigned budget, Instant now);
    // Whether all there is of a group has been gathered.
    void set_complete(GroupId group, bool complete);
    void on_deadline(Instant now);

    size_t size() const { return cache_.size(); }
    const TlsSessionCounters& cache_counters() const { return cache_.counters(); }
    const ResumptionCounters& counters() const { return counters_; }

private:
    TlsSessionCache::Options with_erasure(TlsSessionCache::Options bounds);
    bool holds(const TlsSession& session) const;
    bool complete(GroupId group) const;
    void take_copies(Instant now);
    void publish(const TlsSession& session, Instant until, Instant now);
    void erase(const TlsSession& session);

    std::span<const Service> services_;
    Replicator& replicator_;
    Siblings siblings_;
    Duration wall_offset_;
    TlsSessionCache cache_;
    Instant now_{};      // of the call, for what it drops
    uint64_t next_ = 0;  // to be published again
    // Of the last fragment. A session never changes, but its owners do, and records may overtake
    // each other: the newest must be known.
    uint32_t version_ = 0;
    ResumptionCounters counters_;
};

}  // namespace holdfast
