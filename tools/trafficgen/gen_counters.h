// What the generator counts; names and sentences serve the prompt, --json and the manual.
#pragma once

#include <cstdint>

#include "base/counters.h"

namespace holdfast::gen {

struct GenCounters {
    uint64_t rx_frames = 0, tx_frames = 0, rx_octets = 0, tx_octets = 0;
    uint64_t tx_no_room = 0, tx_unresolved = 0;
    uint64_t opened = 0, established = 0, finished = 0, no_session_free = 0;
    uint64_t requests = 0, answers = 0, requests_lost = 0;
    uint64_t payload_sent = 0, payload_received = 0, wrong_octets = 0, wrong_old_octets = 0;
    uint64_t resets = 0, resets_ignored = 0, timeouts = 0, sessions_lost = 0;
    uint64_t retransmissions = 0, fast_retransmissions = 0, resent_octets = 0;
    uint64_t out_of_order = 0, repeated = 0;
    uint64_t server_accepted = 0, server_closed = 0, server_full = 0, server_resets = 0,
             server_expired = 0, server_unknown = 0;
    uint64_t stray = 0, icmp_errors = 0, arp_answered = 0, arp_asked = 0, moved = 0;
    uint64_t attack_frames = 0, attack_answers = 0;
    uint64_t own_stalls = 0, own_longest_stall_us = 0;
};

inline constexpr CounterInfo<GenCounters> kGenCounters[] = {
    {"rx_frames", "Frames received.", &GenCounters::rx_frames},
    {"tx_frames", "Frames handed to a port.", &GenCounters::tx_frames},
    {"rx_octets", "Octets in them, without FCS.", &GenCounters::rx_octets},
    {"tx_octets", "Octets in them, without FCS.", &GenCounters::tx_octets},
    {"tx_no_room", "Frames that no buffer was left for, or that a port did not take.",
     &GenCounters::tx_no_room},
    {"tx_unresolved", "Frames whose next hop has not answered yet.", &GenCounters::tx_unresolved},
    {"opened", "Connections begun by clients.", &GenCounters::opened},
    {"established", "Connections whose SYN-ACK came.", &GenCounters::established},
    {"finished", "Connections that were closed as planned.", &GenCounters::finished},
    {"no_session_free", "Connections due, and all session slots in use.",
     &GenCounters::no_session_free},
    {"requests", "Requests due.", &GenCounters::requests},
    {"answers", "Requests answered in full.", &GenCounters::answers},
    {"requests_lost", "Requests due on a session that is lost.", &GenCounters::requests_lost},
    {"payload_sent", "Octets of payload sent, those sent again too; both directions.",
     &GenCounters::payload_sent},
    {"payload_received", "Octets of payload that came in order and were checked.",
     &GenCounters::payload_received},
    {"wrong_octets", "Octets of payload that are not what they should be.",
     &GenCounters::wrong_octets},
    {"wrong_old_octets", "Likewise, but read before and not read again.",
     &GenCounters::wrong_old_octets},
    {"resets", "RSTs that ended a connection.", &GenCounters::resets},
    {"resets_ignored", "RSTs not at the next octet; one near it was challenged (RFC 5961).",
     &GenCounters::resets_ignored},
    {"timeouts", "Connections given up: no answer to seven tries.", &GenCounters::timeouts},
    {"sessions_lost", "Connections that ended otherwise than planned.",
     &GenCounters::sessions_lost},
    {"retransmissions", "Times an end sent again after its timer ran out.",
     &GenCounters::retransmissions},
    {"fast_retransmissions", "Likewise after three duplicate acknowledgements.",
     &GenCounters::fast_retransmissions},
    {"resent_octets", "Octets that these went back.", &GenCounters::resent_octets},
    {"out_of_order", "Segments that came before an earlier one.", &GenCounters::out_of_order},
    {"repeated", "Segments that brought nothing new.", &GenCounters::repeated},
    {"server_accepted", "Connections that reached a server.", &GenCounters::server_accepted},
    {"server_closed", "Of these, closed.", &GenCounters::server_closed},
    {"server_full", "SYNs at a server without room for them.", &GenCounters::server_full},
    {"server_resets", "Connections reset at a server.", &GenCounters::server_resets},
    {"server_expired", "Connections a server gave up.", &GenCounters::server_expired},
    {"server_unknown", "Segments at a server for no connection; answered by RST.",
     &GenCounters::server_unknown},
    {"stray", "Frames for one of our addresses that belong to nothing.", &GenCounters::stray},
    {"icmp_errors", "ICMP errors received.", &GenCounters::icmp_errors},
    {"arp_answered", "ARP requests and neighbour solicitations answered.",
     &GenCounters::arp_answered},
    {"arp_asked", "ARP requests and neighbour solicitations sent.", &GenCounters::arp_asked},
    {"moved", "Times an Ethernet address was seen at another port than before.",
     &GenCounters::moved},
    {"attack_frames", "Frames of an attack sent.", &GenCounters::attack_frames},
    {"attack_answers", "Frames that came back to addresses an attack made up.",
     &GenCounters::attack_answers},
    {"own_stalls", "Times the generator itself was not running for 5 ms or more.",
     &GenCounters::own_stalls},
    {"own_longest_stall_us", "The longest of them.", &GenCounters::own_longest_stall_us},
};

}  // namespace holdfast::gen
