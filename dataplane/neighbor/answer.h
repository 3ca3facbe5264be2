// Frames by which this node answers for addresses: ARP replies, neighbour advertisements, asked for
// or not, and echo replies.
//
// Pure functions; who owns which address is the caller's to say.
#pragma once

#include "dataplane/frame.h"
#include "dataplane/wire/arp.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ip.h"
#include "dataplane/wire/nd.h"

namespace holdfast {

// To a request for arp.target, which is at `mac`. Unicast to the asker, on its VLAN.
void answer_arp(const EthernetHeader& ethernet, const ArpPacket& arp, const MacAddress& mac,
                Side side, Outlet& out);
// To a solicitation for message.target. To all nodes when the asker has no address yet (RFC 4861
// section 7.2.4).
void answer_solicitation(const EthernetHeader& ethernet, const IpHeader& ip,
                         const NdMessage& message, const MacAddress& mac, Side side, Outlet& out);
// Tells everybody on the link where `address` is now: gratuitous ARP as request and as reply
// (hosts differ in which they believe, RFC 5227 section 3), or an unsolicited advertisement with
// the override flag (RFC 4861 section 7.2.6). The source MAC also teaches the switches.
void announce_address(const IpAddress& address, const MacAddress& mac, uint16_t vlan, Side side,
                      Outlet& out);
// Turns an echo request into its reply, in place. `ip_packet` starts at the IP header.
void make_echo_reply(const IpHeader& ip, MutableBytes ip_packet);

}  // namespace holdfast
