// What the forwarder answers itself: ARP, neighbour discovery, echo, health checks, announcements.
#include <gtest/gtest.h>

#include "dataplane/forward/testing.h"

namespace holdfast {
namespace {

using namespace holdfast::testing;
using V = Step::Verdict;

Buffer arp_request(const IpAddress& target, const IpAddress& sender, uint16_t vlan = 0) {
    Buffer out(64);
    ByteWriter w(out);
    emit_ethernet({kBroadcastMac, mac(0x44), vlan, kEtherTypeArp}, w);
    emit_arp({ArpPacket::kRequest, mac(0x44), sender, {}, target}, w);
    out.resize(w.used());
    return out;
}

Buffer solicitation(const IpAddress& target, const IpAddress& sender) {
    Buffer out(128);
    ByteWriter w(out);
    const IpAddress to = solicited_node_multicast(target);
    emit_ethernet({multicast_mac(to), mac(0x44), 0, kEtherTypeIpv6}, w);
    NdMessage m;
    m.solicitation = true;
    m.target = target;
    m.link_layer = mac(0x44);
    emit_nd(m, sender, to, w);
    out.resize(w.used());
    return out;
}

ArpPacket arp_of(const Sent& s) {
    const auto ethernet = parse_ethernet(s.frame);
    return parse_arp(Bytes(s.frame).subspan(ethernet->size)).value();
}

struct Advertised {
    NdMessage message;
    IpAddress to;
    EthernetHeader ethernet;
};
Advertised nd_of(const Sent& s) {
    const auto ethernet = parse_ethernet(s.frame);
    const Bytes body = Bytes(s.frame).subspan(ethernet->size);
    const auto h = parse_ipv6(body);
    EXPECT_TRUE(parse_icmp(*h, body.subspan(40)));
    return {parse_nd(*h, body.subspan(40)).value(), h->destination, *ethernet};
}

TEST(Local, ArpIsAnsweredForWhatWeHold) {
    World w;
    w.hand(arp_request(ip("192.0.2.80"), ip("192.0.2.1"), 20), Side::front);
    ASSERT_EQ(w.outlet.sent.size(), 1u);
    EXPECT_EQ(w.outlet.sent[0].side, Side::front);
    EXPECT_EQ(parse_ethernet(w.outlet.sent[0].frame)->vlan, 20);
    EXPECT_EQ(parse_ethernet(w.outlet.sent[0].frame)->source, kVirtualMac);
    EXPECT_EQ(arp_of(w.outlet.sent[0]).sender_mac, kVirtualMac);
    EXPECT_EQ(arp_of(w.outlet.sent[0]).sender, ip("192.0.2.80"));
    w.hand(arp_request(ip("198.51.100.200"), ip("198.51.100.10")), Side::back);
    ASSERT_EQ(w.outlet.sent.size(), 2u);
    EXPECT_EQ(arp_of(w.outlet.sent[1]).sender_mac, kVirtualMac);
    w.hand(arp_request(ip("198.51.100.2"), ip("198.51.100.10")), Side::back);
    ASSERT_EQ(w.outlet.sent.size(), 3u);
    EXPECT_EQ(arp_of(w.outlet.sent[2]).sender_mac, kBackMac);
    // Not ours, or not on this side.
    w.hand(arp_request(ip("192.0.2.81"), ip("192.0.2.1")), Side::front);
    w.hand(arp_request(ip("192.0.2.80"), ip("198.51.100.10")), Side::back);
    w.hand(arp_request(ip("198.51.100.200"), ip("192.0.2.1")), Side::front);
    EXPECT_EQ(w.outlet.sent.size(), 3u);
}

TEST(Local, AStandbyKeepsQuietAboutTheGroupButNotAboutItself) {
    World w;
    w.f.set_group(GroupId{0}, {});
    w.hand(arp_request(ip("192.0.2.80"), ip("192.0.2.1")), Side::front);
    w.hand(solicitation(ip("2001:db8:1::80"), ip("2001:db8:1::1")), Side::front);
    EXPECT_EQ(w.outlet.sent.size(), 0u);
    w.hand(arp_request(ip("198.51.100.2"), ip("198.51.100.10")), Side::back);
    EXPECT_EQ(w.outlet.sent.size(), 1u);
}

TEST(Local, SolicitationsAreAnswered) {
    World w;
    w.hand(solicitation(ip("2001:db8:1::80"), ip("2001:db8:1::1")), Side::front);
    ASSERT_EQ(w.outlet.sent.size(), 1u);
    Advertised a = nd_of(w.outlet.sent[0]);
    EXPECT_EQ(a.to, ip("2001:db8:1::1"));
    EXPECT_EQ(a.message.link_layer, kVirtualMac);
    EXPECT_EQ(a.message.flags, NdMessage::kSolicited | NdMessage::kOverride);
    // Duplicate address detection has no source: everybody hears the answer.
    w.hand(solicitation(ip("2001:db8:2::200"), IpAddress{}), Side::back);
    ASSERT_EQ(w.outlet.sent.size(), 2u);
    a = nd_of(w.outlet.sent[1]);
    EXPECT_EQ(a.to, kAllNodes);
    EXPECT_EQ(a.message.flags, NdMessage::kOverride);
}

TEST(Local, AnnouncementsAreRepeatedAndThenStop) {
    World w;
    w.f.announce(GroupId{0}, w.now);
    w.advance(Duration::milliseconds(0));
    // VIP v4 twice, VIP v6, pool v4 twice, pool v6.
    ASSERT_EQ(w.outlet.sent.size(), 6u);
    int gratuitous = 0, advertisements = 0;
    for (const Sent& s : w.outlet.sent) {
        EXPECT_EQ(parse_ethernet(s.frame)->source, kVirtualMac);
        if (parse_ethernet(s.frame)->type == kEtherTypeArp) {
            EXPECT_EQ(arp_of(s).sender, arp_of(s).target);
            EXPECT_EQ(s.side, arp_of(s).sender == ip("192.0.2.80") ? Side::front : Side::back);
            ++gratuitous;
        } else {
            EXPECT_EQ(nd_of(s).to, kAllNodes);
            EXPECT_EQ(nd_of(s).message.flags, NdMessage::kOverride);
            ++advertisements;
        }
    }
    EXPECT_EQ(gratuitous, 4);
    EXPECT_EQ(advertisements, 2);
    w.advance(Duration::milliseconds(10));
    EXPECT_EQ(w.outlet.sent.size(), 12u);
    w.advance(Duration::milliseconds(90));
    EXPECT_EQ(w.outlet.sent.size(), 18u);
    w.advance(Duration::milliseconds(900));
    EXPECT_EQ(w.outlet.sent.size(), 24u);
    w.advance(Duration::seconds(10));
    EXPECT_EQ(w.outlet.sent.size(), 24u);
}

TEST(Local, AnnouncementsStopWhenTheGroupIsLost) {
    World w;
    w.f.announce(GroupId{0}, w.now);
    w.f.set_group(GroupId{0}, {});
    w.advance(Duration::seconds(2));
    EXPECT_EQ(w.outlet.sent.size(), 0u);
}

TEST(Local, EchoIsAnsweredForVips) {
    for (const bool v4 : {true, false}) {
        World w;
        const IpAddress client = ip(v4 ? "203.0.113.7" : "2001:db8:9::7");
        const IpAddress vip = ip(v4 ? "192.0.2.80" : "2001:db8:1::80");
        Buffer f(128);
        ByteWriter writer(f);
        emit_ethernet({kVirtualMac, kClientMac, 0, v4 ? kEtherTypeIpv4 : kEtherTypeIpv6}, writer);
        emit_ip(ip_header(client, vip, v4 ? kProtocolIcmp : kProtocolIcmpv6, 13), writer);
        std::byte* icmp = writer.reserve(13);
        std::memset(icmp, 0x5a, 13);
        icmp[0] = std::byte{v4 ? icmp_type::echo_request : icmpv6_type::echo_request};
        icmp[1] = std::byte{0};
        finish_icmp(client, vip, {icmp, 13});
        f.resize(writer.used());

        EXPECT_EQ(w.hand(f, Side::front).verdict, V::consumed);
        ASSERT_EQ(w.outlet.sent.size(), 1u);
        const Bytes reply = Bytes(w.outlet.sent[0].frame).subspan(14);
        const auto ip = v4 ? parse_ipv4(reply) : parse_ipv6(reply);
        ASSERT_TRUE(ip);
        EXPECT_EQ(ip->source, vip);
        EXPECT_EQ(ip->destination, client);
        const auto message = parse_icmp(*ip, reply.subspan(ip->header_size, ip->payload_size));
        ASSERT_TRUE(message);
        EXPECT_EQ(message->type, v4 ? icmp_type::echo_reply : icmpv6_type::echo_reply);
        EXPECT_EQ(message->rest, 0x5a5a5a5au);

        w.f.set_group(GroupId{0}, {});
        EXPECT_EQ(w.hand(f, Side::front).reason, DropReason::not_holder);
    }
}

TEST(Local, WhatNeighboursSayIsLearnedAndTold) {
    World w;
    w.hand(arp_request(ip("198.51.100.2"), ip("198.51.100.10")), Side::back);
    EXPECT_EQ(w.neighbors[ip("198.51.100.10")], mac(0x44));
    w.hand(arp_request(ip("198.51.100.2"), ip("198.51.100.99")), Side::back);  // nobody of ours
    EXPECT_EQ(w.neighbors.count(ip("198.51.100.99")), 0u);
    w.hand(solicitation(ip("2001:db8:2::2"), ip("2001:db8:2::10")), Side::back);
    EXPECT_EQ(w.neighbors[ip("2001:db8:2::10")], mac(0x44));
}

TEST(Local, ABackendThatStopsAnsweringGetsNoNewSessions) {
    ForwardOptions o = small_options();
    o.services[0].health.enabled = true;
    World w(o);
    const IpAddress own = ip("198.51.100.2");
    const Endpoint dead = endpoint("198.51.100.10:8080");
    int answered = 0;
    size_t handled = 0;
    const auto serve = [&](Duration d, bool all) {
        const Instant until = w.now + d;
        while (w.now < until) {
            w.advance(Duration::milliseconds(50));
            for (; handled < w.outlet.sent.size(); ++handled) {
                const Buffer frame = w.outlet.sent[handled].frame;
                const auto e = parse_ethernet(frame);
                if (e->type == kEtherTypeArp) continue;
                const auto next = Bytes(frame).subspan(e->size);
                const auto h = e->type == kEtherTypeIpv4 ? parse_ipv4(next) : parse_ipv6(next);
                if (!h || h->protocol != kProtocolTcp) continue;
                const Parsed p = parse_frame(frame);
                if (p.tcp.has(tcp_flag::rst)) {
                    ++answered;  // the probe is cleared away
                    continue;
                }
                EXPECT_EQ(p.ethernet.source, kBackMac);
                if (p.to() == dead && !all) continue;
                w.back({p.to(), p.from(), tcp_flag::syn | tcp_flag::ack, 7, p.tcp.seq.value + 1});
            }
        }
    };
    serve(Duration::seconds(12), false);
    EXPECT_GT(answered, 8);
    EXPECT_FALSE(w.f.backend_up(0, 0));
    EXPECT_TRUE(w.f.backend_up(0, 1));
    for (int i = 0; i < 50; ++i) {
        Connection c(w, "203.0.113.7:" + std::to_string(50000 + i), "192.0.2.80:80");
        ASSERT_EQ(c.syn().verdict, V::transmit);
        EXPECT_NE(c.backend, dead);
    }
    serve(Duration::seconds(12), true);
    EXPECT_TRUE(w.f.backend_up(0, 0));
    (void)own;
}

TEST(Local, ADrainedBackendKeepsWhatItHas) {
    World w;
    std::vector<Connection> old;
    for (int i = 0; i < 40; ++i)
        old.emplace_back(w, "203.0.113.7:" + std::to_string(50000 + i), "192.0.2.80:80");
    for (auto& c : old) c.establish();
    w.f.set_weight(0, 0, 0);
    for (auto& c : old) EXPECT_EQ(c.from_client(tcp_flag::ack, 0, 0, "x").verdict, V::transmit);
    for (int i = 0; i < 40; ++i) {
        Connection c(w, "203.0.113.8:" + std::to_string(50000 + i), "192.0.2.80:80");
        ASSERT_EQ(c.syn().verdict, V::transmit);
        EXPECT_EQ(c.backend, endpoint("198.51.100.11:8080"));
    }
    w.f.set_weight(0, 1, 0);
    EXPECT_EQ(Connection(w, "203.0.113.9:50000", "192.0.2.80:80").syn().reason,
              DropReason::no_backend);
}

}  // namespace
}  // namespace holdfast
