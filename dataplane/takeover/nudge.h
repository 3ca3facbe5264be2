// Wakes senders after an adoption: the path is back, but a sender that lost data in the outage
// would wait for its retransmission timer (200 ms at least in Linux).
//
// In two steps, because an adopter that only forwards does not know exactly how far a stream has
// come:
//   1. the receiver is sent one old octet; it answers with an ACK of what it expects next (RFC 9293
//   section
//      3.10.7.4, first check), which is passed on to the sender as usual;
//   2. the sender is told by ICMP "fragmentation needed" or "packet too big" that exactly that
//   octet was a
//      little too big. RFC 1191 section 6.4 asks TCP to send it again at once, without touching its
//      window; the quoted sequence number is in flight, so RFC 5927 checks let it pass.
// Once per adoption, session and direction, only where the last fragment shows activity, paced and
// counted, and only as long as a sender's own timer may not have fired: gathering a million
// sessions takes seconds, and questions to all of them would stand in the way of their data.
// The price: the sender's path MTU for this peer is a few octets lower for ten minutes.
// Small segments gain nothing.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "base/counters.h"
#include "dataplane/forward/forward.h"

namespace holdfast {

struct NudgeCounters {
    uint64_t probes = 0, woken = 0, unanswered = 0, impossible = 0, late = 0;
};
inline constexpr CounterInfo<NudgeCounters> kNudgeCounters[] = {
    {"probes", "Receivers asked how far they are, after adoptions.", &NudgeCounters::probes},
    {"woken", "Senders told to send again.", &NudgeCounters::woken},
    {"unanswered", "Receivers that did not answer in time.", &NudgeCounters::unanswered},
    {"impossible", "Probes not sent because no next hop was known.", &NudgeCounters::impossible},
    {"late", "Times a session was not asked, as its ends had sent again by themselves by then.",
     &NudgeCounters::late},
};

class Nudge {
public:
    // After an adoption and after a question: later than this nobody would be woken, because the
    // sender's own timer has fired (RFC 6298; 200 ms at least in Linux, and twice that once more).
    static constexpr Duration kPatience = Duration::milliseconds(400);

    Nudge(std::span<const Service> services, Forwarder& forwarder)
        : services_(services), forwarder_(forwarder) {}

    // The group was taken over.
    void begin(GroupId group, Instant now) { useful_until_[group.value] = now + kPatience; }
    // A session was restored, or more became known of it. Queues it at most once.
    void consider(SessionIndex index, Instant now);
    // Sends up to `budget` probes for sessions of groups for which may_transmit(group) is true.
    template <typename MayTransmit>
    void step(Instant now, unsigned budget, MayTransmit&& may_transmit, Outlet& outlet) {
        while (next_ < queue_.size() && budget-- > 0) {
            const Session* s = forwarder_.sessions().get(queue_[next_]);
            if (s && !may_transmit(s->group)) return;
            probe(queue_[next_++], now, outlet);
        }
        expire(now);
    }
    // Whether on_pass() wants to see what passes.
    bool waiting() const { return !queue_.empty(); }
    bool queued() const { return next_ < queue_.size(); }
    // A frame of the session is passed on: perhaps the receiver's answer.
    void on_pass(const Step& step, Bytes frame, Outlet& outlet);
    void forget(GroupId group);

    const NudgeCounters& counters() const { return counters_; }

private:
    bool late(const Session& session, Instant now);
    void probe(SessionIndex index, Instant now, Outlet& outlet);
    bool probe_end(Session& session, Direction receiver, Outlet& outlet);
    bool wake(const Session& session, Direction sender, SeqNum expected, Outlet& outlet);
    void expire(Instant now);

    std::span<const Service> services_;
    Forwarder& forwarder_;
    std::array<Instant, kMaxGroups> useful_until_{};
    std::vector<SessionIndex> queue_;  // probed up to next_; emptied when all of it is over
    size_t next_ = 0;
    Instant last_probe_{};
    NudgeCounters counters_;
};

}  // namespace holdfast
