// Who counts and who holds: the view of this node's own ring, and for each takeover group its epoch
// and holder.
//
// Safety rests on epochs and on sets that intersect, never on clocks (docs/invariants.md, I4 and
// I5): a group is adopted only with the votes of a quorum of its holder's view, each voter refusing
// the old epoch from then on and saying so in every status; a view shrinks only with the word of
// all that remain, and never to a set that an adopter's quorum could miss. Time decides only when
// to try, and when a holder that hears nothing falls silent. A pure machine: it is told what was
// heard and when, and speaks through MembershipOutput.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/cluster.h"
#include "base/counters.h"
#include "base/time.h"
#include "replication/membership/messages.h"

namespace holdfast {

struct GroupOrder {
    GroupId id;
    std::vector<NodeId> order;  // first alive holds
};

struct MembershipOptions {
    NodeId self;
    Incarnation incarnation;
    NodeSet nodes;  // all configured ones, self too
    unsigned copies = 2;
    Duration heartbeat = Duration::milliseconds(20);
    unsigned misses = 5;
    bool solo = false;  // a holder without standbys goes on alone
    // Holds only what follow() allows: all workers of a node must hold the same groups.
    bool follower = false;
    std::vector<GroupOrder> groups;
    std::array<Promise, kMaxGroups> remembered{};  // what remember() was told in earlier lives

    Duration detection() const { return heartbeat * misses; }
};

enum class Role : uint8_t { standby, adopting, holder };
const char* to_string(Role role);

struct MembershipCounters {
    uint64_t adoptions = 0, adoptions_tried = 0, fenced = 0, handovers = 0;
    uint64_t votes_given = 0, votes_refused = 0, views = 0, shrinks_denied = 0, bad_messages = 0;
};
inline constexpr CounterInfo<MembershipCounters> kMembershipCounters[] = {
    {"adoptions", "Groups this node became the holder of.", &MembershipCounters::adoptions},
    {"adoptions_tried", "Rounds of votes begun for a group.", &MembershipCounters::adoptions_tried},
    {"fenced", "Groups lost because a newer epoch was seen.", &MembershipCounters::fenced},
    {"handovers", "Groups given away on purpose.", &MembershipCounters::handovers},
    {"votes_given", "Votes for another node's adoption.", &MembershipCounters::votes_given},
    {"votes_refused", "Votes refused to another node.", &MembershipCounters::votes_refused},
    {"views", "Views of this node's ring that became active.", &MembershipCounters::views},
    {"shrinks_denied", "Times a view could not shrink safely.",
     &MembershipCounters::shrinks_denied},
    {"bad_messages", "Membership messages that made no sense.", &MembershipCounters::bad_messages},
};

class MembershipOutput {
public:
    virtual ~MembershipOutput() = default;
    virtual void broadcast_membership(Bytes message, Instant now) = 0;
    virtual void send_membership(NodeId to, Bytes message, Instant now) = 0;
    virtual void heartbeat_now(Instant now) = 0;
    // Must outlive this process: a vote is a promise, and a holder that we voted away must not find
    // us having forgotten it after a restart, nor may an adopter hear from us of an older claim
    // than the last we knew. Called before the promise is made, a few times an adoption and once a
    // view.
    virtual void remember(GroupId group, const Promise& promise) = 0;
    // This node holds the group under `epoch`; nothing may leave before may_transmit().
    virtual void on_acquired(GroupId group, Epoch epoch, NodeId previous, Instant now) = 0;
    // Another node does, or may: everything about the group's sessions must be dropped silently.
    virtual void on_lost(GroupId group, Instant now) = 0;
    // The set of nodes that count for commit changed.
    virtual void on_view(NodeSet members, Instant now) = 0;
};

struct View {
    uint64_t number = 0;
    NodeSet members;
};

class Membership {
public:
    Membership(const MembershipOptions& options, MembershipOutput& output);

    // Inputs.
    void start(Instant now);
    void on_heard(NodeId peer, Instant now) { peers_[peer.value].heard = now; }
    void on_peer_started(NodeId peer, Incarnation incarnation, Instant now);
    void on_heartbeat(NodeId peer, Bytes body, Instant now);
    void on_status(NodeId peer, Instant heard_at, Bytes body, Instant now);
    void on_message(NodeId peer, Bytes body, Instant now);
    // Whether the peer has all that a member of the view must have (it follows, and was resynced).
    void set_synced(NodeId peer, bool synced, Instant now);
    // Whether this group's fragments have been gathered: owners may then drop what is older.
    void set_swept(GroupId group, bool swept) { groups_[group.value].swept = swept; }
    // The groups that a follower may hold, one bit each.
    void follow(uint16_t groups) { allowed_ = groups; }
    // This process was not running for `gap`, or its clock jumped by as much. All confirmations are
    // void, and who was not listened to has not been silent.
    void on_stall(Duration gap, Instant now);
    // Gives up a group, or all and for good: the next in order may take it at once.
    void release(GroupId group, Instant now);
    void leave(Instant now);

    Instant next_deadline() const { return next_tick_; }
    void on_deadline(Instant now);

    size_t heartbeat_body(MutableBytes to);
    size_t status_body(NodeId to_node, MutableBytes to) const;

    // State.
    const View& view() const { return active_; }
    // The newest view announced: it counts once all its members know it.
    const View& announced() const { return pending_; }
    bool view_settled() const { return pending_.number == active_.number; }
    Role role(GroupId group) const;
    Epoch epoch(GroupId group) const { return groups_[group.value].epoch; }
    bool swept(GroupId group) const { return groups_[group.value].swept; }
    // The last holder that was heard of; its epoch is 0 where there was none.
    const LastClaim& claim(GroupId group) const { return groups_[group.value].claim; }
    bool alive(NodeId peer, Instant now) const;
    NodeSet alive_nodes(Instant now) const;  // without self
    // The view a peer announced last, and whether it says that a group's fragments are gathered.
    const View& view_of(NodeId peer) const { return peers_[peer.value].view; }
    bool peer_swept(NodeId peer, GroupId group) const;
    // When what the newest confirmations of enough members answered was sent. Output of a holder
    // may leave while this is at most silence_bound() ago.
    Instant confirmed_at(Instant now) const;
    Duration silence_bound() const { return options_.detection() * 3 / 4; }
    bool may_transmit(GroupId group, Instant now) const {
        return may_transmit(group, confirmed_at(now), now);
    }
    // The same, for many packets at one time: `confirmed` is what confirmed_at(now) says.
    bool may_transmit(GroupId group, Instant confirmed, Instant now) const;
    // When the last holder was heard for the last time.
    Instant heard_holder(GroupId group) const { return groups_[group.value].heard_holder; }

    const MembershipCounters& counters() const { return counters_; }
    const MembershipOptions& options() const { return options_; }

private:
    static constexpr Instant kNever{INT64_MIN};
    struct Peer {
        Incarnation incarnation;
        Instant heard = kNever;
        Instant confirmed = kNever;  // sent by us then, heard by it, under our epochs
        View view, base;             // of its ring: the newest it announced, and what it changes
        std::array<uint32_t, kMaxNodes> member_incarnation{};
        uint64_t serial = 0;      // of its last heartbeat
        uint64_t knows_view = 0;  // of ours, under our incarnation
        std::array<GroupClaim, kMaxGroups> claims{};
        bool synced = false, leaving = false;
    };
    // An attempt at a group: first everyone is asked, then, if that could win, everyone is bound.
    enum class Attempt : uint8_t { none, probing, voting };
    struct Group {
        bool configured = false;
        std::vector<NodeId> order;
        bool held = false;  // by this node
        bool swept = false;
        Epoch epoch;               // highest seen or promised
        LastClaim claim;           // with the highest view of that holder that anybody told us
        bool claim_heard = false;  // in this life; else only remembered
        Instant heard_holder = kNever;
        Instant vacant_since = Instant::max();
        Attempt attempt = Attempt::none;
        Epoch wanted;
        NodeSet votes;
        Instant next_try = kNever, attempt_since = kNever;
    };

    static unsigned tolerated(size_t members, unsigned copies);
    bool holds_any() const;
    bool allowed(GroupId group) const {
        return !options_.follower || (allowed_ >> group.value & 1);
    }
    Incarnation current(NodeId node) const;
    bool vacant(GroupId id, Instant now, Duration silence) const;
    bool all_restarted(const LastClaim& claim, Instant now) const;
    bool may_adopt_from(const LastClaim& claim, NodeId candidate, Instant now) const;
    bool eligible(const Group& group, Instant now) const;
    unsigned rank(const Group& group, Instant now) const;
    void consider(GroupId id, Instant now);
    void begin(GroupId id, Attempt attempt, Instant now);
    void ask(GroupId id, Instant now);
    void count_votes(GroupId id, Instant now);
    bool enough(NodeSet members, NodeSet votes) const;
    bool quorum(const Group& group, Instant now) const;
    void acquire(GroupId id, Instant now);
    void lose(GroupId id, Instant now);
    void record_own_view(LastClaim& claim) const;
    void remember(GroupId id);
    void learn_epoch(GroupId id, Epoch epoch, Instant now);
    void learn_claim(GroupId id, NodeId peer, const GroupClaim& claim, Instant now);
    void on_adopt(NodeId from, const Adopt& adopt, Instant now);
    void on_vote(NodeId from, const Vote& vote, Instant now);
    VoteAnswer judge(NodeId from, const Adopt& adopt, Instant now) const;
    void reconsider_view(Instant now);
    bool meets_quorums(NodeSet view, NodeSet stay) const;
    bool may_shrink(NodeSet to) const;
    void activate_if_confirmed(Instant now);

    MembershipOptions options_;
    MembershipOutput& output_;
    std::array<Peer, kMaxNodes> peers_;
    std::array<Group, kMaxGroups> groups_;
    View active_;   // counts for commit; number 0 after an adoption, until its first view is known
                    // to all in it
    View pending_;  // the newest announced; becomes active when all its members have said that they
                    // know it
    View base_;     // what an adopter may still rest on: the active view, or an adoption's first
    bool leaving_ = false;
    uint16_t allowed_ = 0;
    uint64_t serial_ = 0;
    Instant started_{};
    Instant next_tick_ = Instant::max();
    MembershipCounters counters_;
};

}  // namespace holdfast
