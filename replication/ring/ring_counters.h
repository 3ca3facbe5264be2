// What a ring counts, and the list of reasons for which a datagram is refused: one counter each.
//
// A refused datagram changes nothing but its counter.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/counters.h"

namespace holdfast {

// In the order in which a datagram meets them. The first block needs only its clear header.
enum class RingDrop : uint8_t {
    too_short,
    too_long,
    magic,
    version,
    type,
    foreign_cluster,
    other_worker,
    own,
    unknown_sender,
    not_for_us,
    stale_incarnation,
    unproven,
    not_following,
    beyond_window,
    duplicate,
    replayed,
    forged,
    malformed,
    stale,
    other_subject,
    impossible,
    limited,
};

struct RingCounters {
    uint64_t records_published = 0;
    uint64_t datagrams_published = 0;
    uint64_t bytes_published = 0;
    uint64_t records_delivered = 0;
    uint64_t datagrams_delivered = 0;
    uint64_t messages_sent = 0;
    uint64_t messages_delivered = 0;
    uint64_t heartbeats_sent = 0;
    uint64_t heartbeats_received = 0;
    uint64_t statuses_sent = 0;
    uint64_t statuses_received = 0;
    uint64_t naks_sent = 0;
    uint64_t naks_received = 0;
    uint64_t repairs_unicast = 0;
    uint64_t repairs_multicast = 0;
    uint64_t repairs_held_off = 0;
    uint64_t repairs_over_budget = 0;
    uint64_t gaps_seen = 0;
    uint64_t gone_sent = 0;
    uint64_t gone_received = 0;
    uint64_t hellos_sent = 0;
    uint64_t hello_replies_sent = 0;
    uint64_t peers_started = 0;
    uint64_t follows_sent = 0;
    uint64_t follows_refused = 0;
    uint64_t followers_admitted = 0;
    uint64_t followers_lagging = 0;
    uint64_t keys_derived = 0;

    uint64_t drop_too_short = 0;
    uint64_t drop_too_long = 0;
    uint64_t drop_magic = 0;
    uint64_t drop_version = 0;
    uint64_t drop_type = 0;
    uint64_t drop_foreign_cluster = 0;
    uint64_t drop_other_worker = 0;
    uint64_t drop_own = 0;
    uint64_t drop_unknown_sender = 0;
    uint64_t drop_not_for_us = 0;
    uint64_t drop_stale_incarnation = 0;
    uint64_t drop_unproven = 0;
    uint64_t drop_not_following = 0;
    uint64_t drop_beyond_window = 0;
    uint64_t drop_duplicate = 0;
    uint64_t drop_replayed = 0;
    uint64_t drop_forged = 0;
    uint64_t drop_malformed = 0;
    uint64_t drop_stale = 0;
    uint64_t drop_other_subject = 0;
    uint64_t drop_impossible = 0;
    uint64_t drop_limited = 0;
};

inline constexpr auto kRingCounters = std::to_array<CounterInfo<RingCounters>>({
    {"records_published", "Records added to our ring.", &RingCounters::records_published},
    {"datagrams_published", "DATA datagrams of our ring, first sending.",
     &RingCounters::datagrams_published},
    {"bytes_published", "Bytes in them, headers and tags included.",
     &RingCounters::bytes_published},
    {"records_delivered", "Records received from peers' rings.", &RingCounters::records_delivered},
    {"datagrams_delivered", "DATA datagrams received, each once.",
     &RingCounters::datagrams_delivered},
    {"messages_sent", "Unreliable messages sent.", &RingCounters::messages_sent},
    {"messages_delivered", "Unreliable messages received.", &RingCounters::messages_delivered},
    {"heartbeats_sent", "Heartbeats sent.", &RingCounters::heartbeats_sent},
    {"heartbeats_received", "Heartbeats received.", &RingCounters::heartbeats_received},
    {"statuses_sent", "Statuses sent.", &RingCounters::statuses_sent},
    {"statuses_received", "Statuses received.", &RingCounters::statuses_received},
    {"naks_sent", "Requests for repair sent.", &RingCounters::naks_sent},
    {"naks_received", "Requests for repair received.", &RingCounters::naks_received},
    {"repairs_unicast", "Datagrams repeated to the one who asked.", &RingCounters::repairs_unicast},
    {"repairs_multicast", "Datagrams repeated to all, because two asked.",
     &RingCounters::repairs_multicast},
    {"repairs_held_off", "Repairs not made because one was in flight.",
     &RingCounters::repairs_held_off},
    {"repairs_over_budget", "Requests cut short by the repair budget.",
     &RingCounters::repairs_over_budget},
    {"gaps_seen", "Gaps noticed in peers' rings.", &RingCounters::gaps_seen},
    {"gone_sent", "Followers told that what they miss is gone.", &RingCounters::gone_sent},
    {"gone_received", "Times we were told so.", &RingCounters::gone_received},
    {"hellos_sent", "Challenges to unproven incarnations.", &RingCounters::hellos_sent},
    {"hello_replies_sent", "Challenges answered.", &RingCounters::hello_replies_sent},
    {"peers_started", "Incarnations of peers proven to be alive.", &RingCounters::peers_started},
    {"follows_sent", "Requests to follow a peer's ring.", &RingCounters::follows_sent},
    {"follows_refused", "Requests to follow ours refused, because the asker lagged.",
     &RingCounters::follows_refused},
    {"followers_admitted", "Times a peer began to follow our ring.",
     &RingCounters::followers_admitted},
    {"followers_lagging", "Times a follower was dropped for silence or lag.",
     &RingCounters::followers_lagging},
    {"keys_derived", "Keys derived for peers and for rotation.", &RingCounters::keys_derived},

    {"drop_too_short", "Shorter than a header and a tag.", &RingCounters::drop_too_short},
    {"drop_too_long", "Longer than the ring's MTU allows.", &RingCounters::drop_too_long},
    {"drop_magic", "Not a ring frame.", &RingCounters::drop_magic},
    {"drop_version", "A ring frame of another version.", &RingCounters::drop_version},
    {"drop_type", "Of an unknown type.", &RingCounters::drop_type},
    {"drop_foreign_cluster", "Made with another cluster's secret.",
     &RingCounters::drop_foreign_cluster},
    {"drop_other_worker", "For another worker's ring.", &RingCounters::drop_other_worker},
    {"drop_own", "Our own, looped back.", &RingCounters::drop_own},
    {"drop_unknown_sender", "From a node that is not configured.",
     &RingCounters::drop_unknown_sender},
    {"drop_not_for_us", "Unicast for another node.", &RingCounters::drop_not_for_us},
    {"drop_stale_incarnation", "From an earlier start of the sender.",
     &RingCounters::drop_stale_incarnation},
    {"drop_unproven", "From a start of the sender not yet proven to be alive.",
     &RingCounters::drop_unproven},
    {"drop_not_following", "DATA of a ring we do not follow yet.",
     &RingCounters::drop_not_following},
    {"drop_beyond_window", "DATA too far ahead of what we have.",
     &RingCounters::drop_beyond_window},
    {"drop_duplicate", "DATA that we have.", &RingCounters::drop_duplicate},
    {"drop_replayed", "A control frame seen before, or too old to tell.",
     &RingCounters::drop_replayed},
    {"drop_forged", "The tag does not match.", &RingCounters::drop_forged},
    {"drop_malformed", "Authentic, but its body makes no sense.", &RingCounters::drop_malformed},
    {"drop_stale", "Overtaken by a later frame, or by our own progress.",
     &RingCounters::drop_stale},
    {"drop_other_subject", "About an earlier start of this node.",
     &RingCounters::drop_other_subject},
    {"drop_impossible", "Speaks of something we never sent.", &RingCounters::drop_impossible},
    {"drop_limited", "A challenge above the rate we answer.", &RingCounters::drop_limited},
});
static_assert(sizeof(RingCounters) == kRingCounters.size() * sizeof(uint64_t));

// The counter of a reason: the drop_ members are in the enum's order.
inline uint64_t& drop_counter(RingCounters& counters, RingDrop reason) {
    constexpr size_t kFirst = kRingCounters.size() - static_cast<size_t>(RingDrop::limited) - 1;
    return counters.*kRingCounters[kFirst + static_cast<size_t>(reason)].member;
}

}  // namespace holdfast
