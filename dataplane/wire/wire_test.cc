#include <gtest/gtest.h>

#include "base/random.h"
#include "dataplane/wire/arp.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/icmp.h"
#include "dataplane/wire/nd.h"
#include "dataplane/wire/testing.h"

namespace holdfast {
namespace {

using namespace holdfast::testing;

TEST(Address, TextFormsRoundTrip) {
    for (const char* text : {"192.0.2.1", "2001:db8::1", "::1", "203.0.113.255", "fe80::1:2"})
        EXPECT_EQ(to_string(ip(text)), text);
    for (const char* text : {"192.0.2.1:80", "[2001:db8::1]:443"})
        EXPECT_EQ(to_string(endpoint(text)), text);
    EXPECT_EQ(to_string(parse_mac("00:00:5e:00:01:0a").value()), "00:00:5e:00:01:0a");
}

TEST(Address, WhatIsNoAddressIsRefused) {
    for (const char* text : {"", "192.0.2", "192.0.2.256", "2001:db8", "192.0.2.1 ", "::g"})
        EXPECT_FALSE(parse_ip(text)) << text;
    for (const char* text : {"192.0.2.1", "192.0.2.1:", "192.0.2.1:65536", "2001:db8::1:80",
                             "[192.0.2.1]:80", ":80", "192.0.2.1:8x"})
        EXPECT_FALSE(parse_endpoint(text)) << text;
    for (const char* text : {"00:00:5e:00:01", "00-00-5e-00-01-0a", "00:00:5e:00:01:0g"})
        EXPECT_FALSE(parse_mac(text)) << text;
}

TEST(Checksum, ExampleOfRfc1071) {
    // Section 3: the words 0001 f203 f4f5 f6f7 sum to ddf2 (carry added).
    const Buffer words = from_hex("0001 f203 f4f5 f6f7");
    EXPECT_EQ(big(fold_sum(add_to_sum(0, words))), 0xddf2);
}

TEST(Checksum, OddLengthsArePadded) {
    for (size_t n = 0; n < 40; ++n) {
        Buffer b(n), padded(n + n % 2);
        for (size_t i = 0; i < n; ++i) b[i] = padded[i] = static_cast<std::byte>(i * 37 + 11);
        uint32_t expected = 0;
        for (size_t i = 0; i < padded.size(); i += 2) {
            expected += load_be<uint16_t>(padded.data() + i);
            expected = (expected & 0xffff) + (expected >> 16);
        }
        EXPECT_EQ(big(fold_sum(add_to_sum(0, b))), expected) << n;
    }
}

TEST(Checksum, ExampleOfRfc1624) {
    // Section 4: HC = DD2F, m = 5555, m' = 3285 gives 0000 by equation 3.
    std::byte field[2], was[2], is[2];
    store_be(field, uint16_t{0xdd2f});
    store_be(was, uint16_t{0x5555});
    store_be(is, uint16_t{0x3285});
    ChecksumDelta delta;
    delta.replace(was, is, 2);
    delta.apply(field);
    EXPECT_EQ(load_be<uint16_t>(field), 0x0000);
}

TEST(Checksum, DifferenceEqualsRecomputation) {
    Random random(7);
    for (int round = 0; round < 2000; ++round) {
        Buffer b(40);
        for (auto& x : b) x = static_cast<std::byte>(random.chance(0.3) ? 0xff : random.next());
        std::byte field[2];
        store_checksum(field, checksum_of(add_to_sum(0, b)));
        const size_t at = random.below(9) * 4, n = random.chance(0.5) ? 4 : 2;
        Buffer old(b.begin() + at, b.begin() + at + n);
        for (size_t i = 0; i < n; ++i) b[at + i] = static_cast<std::byte>(random.next());
        ChecksumDelta delta;
        delta.replace(old.data(), b.data() + at, n);
        delta.apply(field);
        uint16_t sum;
        std::memcpy(&sum, field, 2);
        EXPECT_EQ(fold_sum(add_to_sum(sum, b)), 0xffff);
    }
}

TEST(Ethernet, TaggedAndUntagged) {
    for (const uint16_t vlan : std::initializer_list<uint16_t>{0, 1, 4094}) {
        std::byte buffer[18];
        ByteWriter w(buffer);
        emit_ethernet({mac(1), mac(2), vlan, kEtherTypeIpv4}, w);
        const auto h = parse_ethernet(w.written());
        ASSERT_TRUE(h);
        EXPECT_EQ(h->vlan, vlan);
        EXPECT_EQ(h->type, kEtherTypeIpv4);
        EXPECT_EQ(h->size, ethernet_size(vlan));
        EXPECT_FALSE(parse_ethernet(w.written().first(w.used() - 1)));
    }
}

Buffer ipv4_packet(uint16_t fragment_word = 0, uint8_t protocol = kProtocolTcp) {
    IpHeader h;
    h.source = ip("192.0.2.1");
    h.destination = ip("198.51.100.2");
    h.protocol = protocol;
    h.payload_size = 4;
    Buffer b(24);
    ByteWriter w(b);
    emit_ip(h, w);
    store_be(b.data() + 6, fragment_word);
    store_checksum(b.data() + 10, 0);
    store_checksum(b.data() + 10, checksum_of(add_to_sum(0, Bytes(b).first(20))));
    return b;
}

TEST(Ipv4, Refusals) {
    EXPECT_TRUE(parse_ipv4(ipv4_packet()));
    EXPECT_TRUE(parse_ipv4(ipv4_packet(0x4000)));
    EXPECT_EQ(parse_ipv4(ipv4_packet(0x2000)).error(), DropReason::fragment);
    EXPECT_EQ(parse_ipv4(ipv4_packet(0x0001)).error(), DropReason::fragment);
    Buffer b = ipv4_packet();
    EXPECT_EQ(parse_ipv4(Bytes(b).first(19)).error(), DropReason::frame_too_short);
    EXPECT_EQ(parse_ipv4(Bytes(b).first(23)).error(), DropReason::ip_malformed);
    b[8] ^= std::byte{1};
    EXPECT_EQ(parse_ipv4(b).error(), DropReason::ip_checksum);
    b = ipv4_packet();
    b[0] = std::byte{0x44};
    EXPECT_EQ(parse_ipv4(b).error(), DropReason::ip_malformed);
}

Buffer ipv6_packet(std::string_view extensions, uint8_t first) {
    const Buffer ext = from_hex(extensions);
    IpHeader h;
    h.v4 = false;
    h.source = ip("2001:db8::1");
    h.destination = ip("2001:db8::2");
    h.protocol = first;
    h.payload_size = static_cast<uint32_t>(ext.size() + 4);
    Buffer b(40 + ext.size() + 4);
    ByteWriter w(b);
    emit_ip(h, w);
    w.put(ext);
    return b;
}

TEST(Ipv6, ExtensionHeadersAreSkippedOrRefused) {
    const auto plain = parse_ipv6(ipv6_packet("", kProtocolTcp));
    ASSERT_TRUE(plain);
    EXPECT_EQ(plain->header_size, 40);
    // Hop-by-hop, then destination options of 16 bytes, then TCP.
    const auto two =
        parse_ipv6(ipv6_packet("3c00 0104 0000 0000  0601 010c 0000 0000 0000 0000 0000 0000", 0));
    ASSERT_TRUE(two);
    EXPECT_EQ(two->header_size, 40 + 8 + 16);
    EXPECT_EQ(two->protocol, kProtocolTcp);
    EXPECT_EQ(two->payload_size, 4u);
    EXPECT_EQ(parse_ipv6(ipv6_packet("0600 0000 0000 0001", 44)).error(), DropReason::fragment);
    EXPECT_EQ(parse_ipv6(ipv6_packet("0600 0000 0000 0000", 43)).error(),
              DropReason::ipv6_extension);
    EXPECT_EQ(parse_ipv6(ipv6_packet("06ff 0000 0000 0000", 0)).error(), DropReason::ip_malformed);
    std::string many;
    for (int i = 0; i < 5; ++i) many += "3c00 0104 0000 0000 ";
    EXPECT_EQ(parse_ipv6(ipv6_packet(many, 60)).error(), DropReason::ipv6_extension);
}

TEST(Tcp, OptionsRoundTrip) {
    TcpOptions o;
    o.mss = 1460;
    o.window_scale = 7;
    o.sack_permitted = true;
    o.timestamps = {1, 2};
    std::byte buffer[40];
    ByteWriter w(buffer);
    EXPECT_EQ(emit_tcp_options(o, w) % 4, 0u);
    EXPECT_EQ(parse_tcp_options(w.written()).value(), o);
}

TEST(Tcp, BadOptionsEndTheParse) {
    EXPECT_FALSE(parse_tcp_options(from_hex("02 00 05 b4")));  // length 0 never loops
    EXPECT_FALSE(parse_tcp_options(from_hex("02 01 05 b4")));
    EXPECT_FALSE(parse_tcp_options(from_hex("01 01 01 02")));
    EXPECT_FALSE(parse_tcp_options(from_hex("08 0a 00 00")));
    EXPECT_TRUE(parse_tcp_options(from_hex("fe 04 00 00")));  // unknown: skipped
    EXPECT_TRUE(parse_tcp_options(from_hex("00 02 00 00")));  // nothing after the end counts
    EXPECT_EQ(parse_tcp_options(from_hex("03 03 ff 01"))->window_scale, 14);
}

TEST(Tcp, HeaderRefusals) {
    Buffer b = from_hex("0050 c000 00000001 00000002 5010 ffff 0000 0000");
    EXPECT_TRUE(parse_tcp(b));
    EXPECT_FALSE(parse_tcp(Bytes(b).first(19)));
    Buffer bad = b;
    bad[12] = std::byte{0x40};
    EXPECT_FALSE(parse_tcp(bad));
    bad[12] = std::byte{0x60};
    EXPECT_FALSE(parse_tcp(bad));
    bad = b;
    bad[13] = std::byte{tcp_flag::syn | tcp_flag::fin};
    EXPECT_FALSE(parse_tcp(bad));
    bad = b;
    bad[0] = bad[1] = std::byte{0};
    EXPECT_FALSE(parse_tcp(bad));
}

TEST(Tcp, ChecksumOfThePseudoHeaderAloneIsSuspected) {
    Buffer f = frame_of(
        {endpoint("192.0.2.1:1000"), endpoint("198.51.100.2:80"), tcp_flag::ack, 1, 2, "hello"});
    const MutableBytes segment = MutableBytes(f).subspan(34);
    const IpAddress from = ip("192.0.2.1"), to = ip("198.51.100.2");
    EXPECT_EQ(verify_tcp_checksum(from, to, segment), DropReason::none);
    const uint16_t partial =
        fold_sum(pseudo_header_sum(from, to, kProtocolTcp, static_cast<uint32_t>(segment.size())));
    store_checksum(segment.data() + kTcpChecksumOffset, partial);
    EXPECT_EQ(verify_tcp_checksum(from, to, segment), DropReason::checksum_partial_suspected);
    store_checksum(segment.data() + kTcpChecksumOffset, static_cast<uint16_t>(partial + 1));
    EXPECT_EQ(verify_tcp_checksum(from, to, segment), DropReason::tcp_checksum);
}

TEST(Arp, RoundTripAndRefusals) {
    const ArpPacket a{ArpPacket::kReply, mac(1), ip("192.0.2.1"), mac(2), ip("192.0.2.2")};
    std::byte buffer[kArpSize];
    ByteWriter w(buffer);
    emit_arp(a, w);
    EXPECT_EQ(parse_arp(w.written()).value(), a);
    EXPECT_FALSE(parse_arp(w.written().first(27)));
    buffer[7] = std::byte{3};
    EXPECT_FALSE(parse_arp(w.written()));
}

TEST(Nd, RoundTripAndRefusals) {
    for (bool solicitation : {true, false}) {
        NdMessage m;
        m.solicitation = solicitation;
        m.flags = solicitation ? 0 : NdMessage::kOverride | NdMessage::kSolicited;
        m.target = ip("2001:db8::7");
        m.link_layer = mac(9);
        std::byte buffer[80];
        ByteWriter w(buffer);
        emit_nd(m, ip("2001:db8::1"), solicited_node_multicast(m.target), w);
        auto h = parse_ipv6(w.written());
        ASSERT_TRUE(h);
        const Bytes body = w.written().subspan(40);
        EXPECT_TRUE(parse_icmp(*h, body));
        EXPECT_EQ(parse_nd(*h, body).value(), m);
        h->ttl = 254;
        EXPECT_FALSE(parse_nd(*h, body));
        h->ttl = 255;
        buffer[40 + 25] = std::byte{0};  // option of length 0
        EXPECT_FALSE(parse_nd(*h, body));
    }
}

TEST(Nd, DerivedAddresses) {
    EXPECT_EQ(solicited_node_multicast(ip("2001:db8::12:3456")), ip("ff02::1:ff12:3456"));
    EXPECT_EQ(to_string(multicast_mac(ip("ff02::1:ff12:3456"))), "33:33:ff:12:34:56");
    EXPECT_EQ(link_local({{0x02, 0, 0, 0, 0, 0x05}}), ip("fe80::ff:fe00:5"));
}

}  // namespace
}  // namespace holdfast
