// ICMP errors reach the end that caused them, with a quote it recognises.
#include <gtest/gtest.h>

#include "dataplane/forward/testing.h"
#include "dataplane/wire/checksum.h"

namespace holdfast {
namespace {

using namespace holdfast::testing;
using V = Step::Verdict;

// An error about `about` (an IP packet), quoting `quoted_bytes` of it.
Buffer error_frame(const IpAddress& from, const IpAddress& to, uint8_t type, Bytes about,
                   size_t quoted_bytes) {
    const bool v4 = to.is_v4();
    Buffer out(14 + 40 + 8 + quoted_bytes);
    ByteWriter w(out);
    emit_ethernet({kVirtualMac, mac(0x33), 0, v4 ? kEtherTypeIpv4 : kEtherTypeIpv6}, w);
    emit_ip(ip_header(from, to, v4 ? kProtocolIcmp : kProtocolIcmpv6, 8 + quoted_bytes), w);
    const size_t at = w.used();
    w.be<uint8_t>(type);
    w.be<uint8_t>(v4 ? 4 : 0);
    w.be<uint16_t>(0);
    w.be<uint32_t>(1280);
    w.put(about.first(quoted_bytes));
    finish_icmp(from, to, MutableBytes(out).subspan(at, 8 + quoted_bytes));
    out.resize(w.used());
    return out;
}

struct Quoted {
    IpHeader outer;
    IcmpHeader icmp;
    IpHeader ip;
    Endpoint from, to;
    SeqNum seq;
};

Quoted take_apart(Bytes frame, bool whole_quote) {
    Quoted q;
    const auto ethernet = parse_ethernet(frame);
    const Bytes body = frame.subspan(ethernet->size);
    const auto outer = ethernet->type == kEtherTypeIpv4 ? parse_ipv4(body) : parse_ipv6(body);
    EXPECT_TRUE(outer);
    q.outer = *outer;
    const Bytes message = body.subspan(outer->header_size, outer->payload_size);
    const auto icmp = parse_icmp(*outer, message);
    EXPECT_TRUE(icmp) << "checksum";
    q.icmp = icmp.value_or(IcmpHeader{});
    const Bytes quote = message.subspan(8);
    q.ip = parse_quoted(quote, outer->v4).value();
    if (outer->v4) {
        EXPECT_EQ(fold_sum(add_to_sum(0, quote.first(20))), 0xffff);
    }
    const Bytes tcp = quote.subspan(q.ip.header_size);
    q.from = {q.ip.source, load_be<uint16_t>(tcp.data())};
    q.to = {q.ip.destination, load_be<uint16_t>(tcp.data() + 2)};
    q.seq = {load_be<uint32_t>(tcp.data() + 4)};
    if (whole_quote) {
        EXPECT_EQ(verify_tcp_checksum(q.ip.source, q.ip.destination, tcp), DropReason::none);
    }
    return q;
}

class IcmpError : public ::testing::TestWithParam<bool> {
protected:
    bool v4() const { return GetParam(); }
    World w;
    Connection c{w, v4() ? "203.0.113.7:40000" : "[2001:db8:9::7]:40000",
                 v4() ? "192.0.2.80:80" : "[2001:db8:1::80]:80"};
    IpAddress router = ip(v4() ? "203.0.113.254" : "2001:db8:9::254");
    uint8_t too_big = v4() ? icmp_type::unreachable : icmpv6_type::packet_too_big;
};
INSTANTIATE_TEST_SUITE_P(Forward, IcmpError, ::testing::Bool(),
                         [](const auto& p) { return p.param ? "v4" : "v6"; });

TEST_P(IcmpError, TooBigReachesTheBackend) {
    c.establish();
    c.from_backend(tcp_flag::ack, 0, 0, std::string(1001, 'x'));
    const Buffer on_front = w.out;
    for (const bool whole : {false, true}) {
        const size_t n = whole ? on_front.size() - 14 : (v4() ? 28 : 48);
        const Step s =
            w.hand(error_frame(router, c.vip.address, too_big, Bytes(on_front).subspan(14), n),
                   Side::front);
        ASSERT_EQ(s.verdict, V::transmit) << to_string(s.reason);
        EXPECT_EQ(s.out, Side::back);
        const Quoted q = take_apart(w.out, whole);
        EXPECT_EQ(q.outer.source, c.pool.address);
        EXPECT_EQ(q.outer.destination, c.backend.address);
        EXPECT_EQ(q.outer.ttl, 63);
        EXPECT_EQ(q.icmp.rest, 1280u);
        EXPECT_EQ(q.from, c.backend);  // as the backend sent it
        EXPECT_EQ(q.to, c.pool);
        EXPECT_EQ(q.seq.value, c.b0);
    }
    EXPECT_EQ(w.f.counters().icmp_translated, 2u);
}

TEST_P(IcmpError, FromTheBackSideItReachesTheClient) {
    c.establish();
    c.from_client(tcp_flag::ack, 0, 0, std::string(1000, 'x'));
    const Step s = w.hand(error_frame(c.backend.address, c.pool.address, too_big,
                                      Bytes(w.out).subspan(14), w.out.size() - 14),
                          Side::back);
    ASSERT_EQ(s.verdict, V::transmit) << to_string(s.reason);
    EXPECT_EQ(s.out, Side::front);
    const Quoted q = take_apart(w.out, true);
    EXPECT_EQ(q.outer.source, c.vip.address);
    EXPECT_EQ(q.outer.destination, c.client.address);
    EXPECT_EQ(q.from, c.client);
    EXPECT_EQ(q.to, c.vip);
}

TEST_P(IcmpError, ARefusedSynReachesTheClient) {
    c.syn();
    const uint8_t unreachable = v4() ? icmp_type::unreachable : icmpv6_type::unreachable;
    const Step s = w.hand(error_frame(c.backend.address, c.pool.address, unreachable,
                                      Bytes(w.out).subspan(14), w.out.size() - 14),
                          Side::back);
    EXPECT_EQ(s.verdict, V::transmit) << to_string(s.reason);
}

TEST_P(IcmpError, ForgedOnesAreDropped) {
    c.establish();
    c.from_backend(tcp_flag::ack, 0, 0, "in flight");
    const Buffer on_front = w.out;
    const size_t n = v4() ? 28 : 48;
    const auto hand = [&](Seg about) {
        return w.hand(
            error_frame(router, c.vip.address, too_big, Bytes(frame_of(about)).subspan(14), n),
            Side::front);
    };
    EXPECT_EQ(hand({c.vip, c.client, tcp_flag::ack, c.b0 + 5000}).reason,
              DropReason::icmp_out_of_window);
    EXPECT_EQ(hand({c.vip, c.client, tcp_flag::ack, c.b0 - 5000}).reason,
              DropReason::icmp_out_of_window);
    Endpoint other = c.client;
    ++other.port;
    EXPECT_EQ(hand({c.vip, other, tcp_flag::ack, c.b0}).reason, DropReason::icmp_no_session);
    EXPECT_EQ(hand({c.client, c.vip, tcp_flag::ack, c.c0}).reason, DropReason::icmp_no_session);
    // Cut off inside the ports.
    EXPECT_EQ(
        w.hand(error_frame(router, c.vip.address, too_big, Bytes(on_front).subspan(14), n - 5),
               Side::front)
            .reason,
        DropReason::icmp_malformed);
}

}  // namespace
}  // namespace holdfast
