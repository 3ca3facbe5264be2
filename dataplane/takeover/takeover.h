// Between live sessions and fragments: publishes what is held, restores what was adopted.
//
// The only part that knows both the forwarder and the replicator, kept small so that the product's
// hardest promise can be reviewed in one sitting. Called by the worker; makes no decision about who
// holds what (replication/membership) nor about when a packet may leave (replication/release_gate).
#pragma once

#include <optional>
#include <span>
#include <unordered_map>

#include "base/counters.h"
#include "dataplane/forward/forward.h"
#include "dataplane/relay/relay.h"
#include "dataplane/takeover/capture.h"
#include "replication/replicator.h"

namespace holdfast {

struct TakeoverCounters {
    uint64_t restored = 0, restored_newer = 0, unreadable = 0, refused = 0, erased = 0,
             segments = 0, blocks = 0, blocks_put_off = 0;
};
inline constexpr CounterInfo<TakeoverCounters> kTakeoverCounters[] = {
    {"sessions_adopted", "Sessions carried on from fragments.", &TakeoverCounters::restored},
    {"sessions_adopted_newer", "Restored sessions replaced by a newer fragment of themselves.",
     &TakeoverCounters::restored_newer},
    {"fragments_unreadable", "Fragments of an adopted group that could not be read.",
     &TakeoverCounters::unreadable},
    {"sessions_adoption_refused",
     "Sessions that could not be carried on: no room, or tuples in use.",
     &TakeoverCounters::refused},
    {"sessions_erased", "Sessions whose end was published.", &TakeoverCounters::erased},
    {"segments_published", "Segment fragments published.", &TakeoverCounters::segments},
    {"blocks_published", "Blocks of octets in flight published.", &TakeoverCounters::blocks},
    {"blocks_put_off", "Blocks of octets in flight that waited: the ring was busy.",
     &TakeoverCounters::blocks_put_off},
};

class Takeover {
public:
    // `relay`: none where no service terminates TCP. `wall_offset`: what makes an Instant of this
    // node a time that all nodes share, more or less.
    Takeover(std::span<const Service> services, Forwarder& forwarder, Relay* relay,
             Replicator& replicator, Duration wall_offset)
        : services_(services),
          forwarder_(forwarder),
          relay_(relay),
          replicator_(replicator),
          wall_offset_(wall_offset) {}

    // Publishes header and alias: what a SYN-ACK reveals. Both are needed to carry the session on.
    Published publish(SessionIndex index, Instant now);
    void publish_header(SessionIndex index, Instant now);
    // How far a TLS session has come; `whole`: and everything else that carries it on.
    Published publish_tls(SessionIndex index, bool whole, Instant now);
    // Publishes the progress of sessions that moved since last time, at most `budget`.
    void publish_progress(unsigned budget, Instant now);
    // Octets in flight, as far as the ring has room beside what sessions cannot do without.
    void publish_copies(SessionIndex index, Instant now);
    // Both streams are over: a header that says so, and nothing else of it, is kept.
    void publish_finished(SessionIndex index, Instant now);
    void publish_end(SessionIndex index, const Session& session, Instant now);
    // All fragments of up to `budget` sessions again, from `cursor` on.
    uint32_t republish(uint32_t cursor, unsigned budget, Instant now);

    // Takes in a fragment of a group just acquired; the session when it was restored by this one.
    std::optional<SessionIndex> take(const Fragment& fragment, Instant now);
    // All fragments of a group just acquired are in the store that there are: carries on the
    // sessions that waited for that, among the next `budget` fragments from `cursor`, and adds how
    // many they were. Returns where to go on, or the store's end.
    uint32_t restore_gathered(GroupId group, uint32_t cursor, unsigned budget, size_t& restored,
                              Instant now);
    // The session that a fragment's key names, if it is here.
    SessionIndex find(const SessionKey& key) const;

    const SessionAttributes* attributes(SessionIndex index) const;
    // False when they would not fit a fragment.
    bool set_attribute(SessionIndex index, const std::string& name, const std::string& value,
                       Instant now);
    void forget_attributes(uint32_t slot) { attributes_.erase(slot); }

    const TakeoverCounters& counters() const { return counters_; }

private:
    std::optional<Mode> waits_for_all(const Fragment& header) const;
    std::optional<SessionIndex> restore(const Fragment& header, Instant now);
    void apply_segment(SessionIndex index, const Fragment& segment, Instant now);
    std::optional<SessionIndex> restore_tls(const SessionKey& key, Instant now);
    const TlsStream* tls_of(SessionIndex index) const;
    bool publishable(SessionIndex index) const;
    size_t append_relay(SessionIndex index, Instant now, MutableBytes to) const;
    void apply_stream(const Fragment& block, Instant now);
    void erase_secrets(SessionIndex index, const Session& session, Instant now);
    void erase_copies(SessionIndex index, const Session& session, Instant now);
    void apply_application(SessionIndex index, const Fragment& part, Instant now);
    void publish_application(SessionIndex index, Instant now);
    Published publish_segment(SessionIndex index, Instant now);
    uint32_t after(uint32_t version) const;
    uint16_t moved(const Session& session) const;
    void settle(Instant now);

    std::span<const Service> services_;
    Forwarder& forwarder_;
    Relay* relay_;
    Replicator& replicator_;
    Duration wall_offset_;
    std::unordered_map<uint32_t, SessionAttributes> attributes_;  // by slot
    // Sessions whose last fragment said that they move: once they do not, that is said too.
    std::vector<SessionIndex> moving_;
    uint32_t buried_ = 0;  // the highest version under which anything was erased
    TakeoverCounters counters_;
};

}  // namespace holdfast
