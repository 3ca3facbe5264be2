// The way of a connection through the forwarder. Every frame that leaves is parsed back with all
// checksums verified (World::parsed).
#include "dataplane/forward/forward.h"

#include <gtest/gtest.h>

#include "dataplane/forward/testing.h"

namespace holdfast {
namespace {

using namespace holdfast::testing;
using V = Step::Verdict;
constexpr uint8_t kAck = tcp_flag::ack, kFin = tcp_flag::fin | tcp_flag::ack;

struct Family {
    const char* name;
    const char* client;
    const char* vip;
    const char* pool;
};

class BothFamilies : public ::testing::TestWithParam<Family> {};
INSTANTIATE_TEST_SUITE_P(Forward, BothFamilies,
                         ::testing::Values(Family{"v4", "203.0.113.7:40000", "192.0.2.80:80",
                                                  "198.51.100.200"},
                                           Family{"v6", "[2001:db8:9::7]:40000",
                                                  "[2001:db8:1::80]:80", "2001:db8:2::200"}),
                         [](const auto& p) { return std::string(p.param.name); });

TEST_P(BothFamilies, AConnectionFromSynToFin) {
    World w;
    Connection c(w, GetParam().client, GetParam().vip);
    TcpOptions offered;
    offered.mss = 1400;
    offered.window_scale = 7;
    offered.sack_permitted = true;
    offered.timestamps = {1, 0};

    Step s = c.syn(offered);
    ASSERT_EQ(s.verdict, V::transmit);
    EXPECT_TRUE(s.created);
    EXPECT_EQ(s.out, Side::back);
    Parsed p = w.parsed();
    EXPECT_EQ(p.ip.source, ip(GetParam().pool));
    EXPECT_EQ(p.tcp.destination_port, 8080);
    EXPECT_EQ(p.ip.ttl, 63);
    EXPECT_EQ(p.options, offered);  // MSS and all else as the client said it
    EXPECT_EQ(p.ethernet.source, kVirtualMac);
    EXPECT_EQ(p.ethernet.destination, backend_mac(c.session().backend_index));

    s = c.syn_ack(offered);
    ASSERT_EQ(s.verdict, V::gate);
    EXPECT_TRUE(s.header_changed);
    EXPECT_EQ(s.out, Side::front);
    p = w.parsed();
    EXPECT_EQ(p.from(), c.vip);
    EXPECT_EQ(p.to(), c.client);
    EXPECT_EQ(p.ethernet.destination, kClientMac);
    EXPECT_EQ(c.session().from_backend.isn.value, c.b0 - 1);
    EXPECT_EQ(c.session().from_backend.window_scale, 7);

    // Retransmitted before it was committed: gated again. After: passed.
    EXPECT_EQ(c.syn_ack(offered).verdict, V::gate);
    c.session().set(Session::kCommitted);
    EXPECT_EQ(c.syn_ack(offered).verdict, V::transmit);

    s = c.from_client(kAck, 0, 0, "GET / HTTP/1.1\r\n\r\n");
    EXPECT_EQ(s.verdict, V::transmit);
    EXPECT_TRUE(s.header_changed);
    EXPECT_EQ(w.parsed().payload, "GET / HTTP/1.1\r\n\r\n");
    EXPECT_EQ(c.session().state, SessionState::established);
    s = c.from_backend(kAck, 0, 18, "odd");
    EXPECT_EQ(s.verdict, V::transmit);
    EXPECT_FALSE(s.header_changed);
    EXPECT_EQ(w.parsed().payload, "odd");

    EXPECT_TRUE(c.from_backend(kFin, 3, 18).header_changed);
    EXPECT_EQ(c.session().state, SessionState::backend_fin);
    EXPECT_TRUE(c.from_client(kFin, 18, 4).ends);
    EXPECT_EQ(c.session().state, SessionState::both_fin);
    s = c.from_backend(kAck, 4, 19);
    EXPECT_TRUE(s.closed);
    EXPECT_EQ(c.session().state, SessionState::time_wait);
    w.advance(Duration::seconds(11));
    EXPECT_FALSE(c.exists());
    ASSERT_EQ(w.closed.size(), 1u);
    EXPECT_EQ(w.closed[0].reason, CloseReason::finished);
    EXPECT_EQ(w.f.sessions().size(), 0u);
}

TEST_P(BothFamilies, VlanTagsAreKeptPerSide) {
    ForwardOptions o = small_options();
    o.back.vlan = 30;
    World w(o);
    const Endpoint client = endpoint(GetParam().client), vip = endpoint(GetParam().vip);
    Seg syn{client, vip, tcp_flag::syn, 1000};
    syn.source_mac = kClientMac;
    syn.vlan = 20;
    ASSERT_EQ(w.hand(frame_of(syn), Side::front).verdict, V::transmit);
    const Parsed to_backend = w.parsed();
    EXPECT_EQ(to_backend.ethernet.vlan, 30);
    Seg answer{to_backend.to(), to_backend.from(), tcp_flag::syn | tcp_flag::ack, 5000, 1001};
    answer.vlan = 30;
    ASSERT_EQ(w.hand(frame_of(answer), Side::back).verdict, V::gate);
    EXPECT_EQ(w.parsed().ethernet.vlan, 20);
    answer.vlan = 0;  // the header grows into the headroom
    ASSERT_EQ(w.hand(frame_of(answer), Side::back).verdict, V::gate);
    EXPECT_EQ(w.parsed().ethernet.vlan, 20);
}

TEST_P(BothFamilies, OneSynIsOneSession) {
    World w;
    Connection c(w, GetParam().client, GetParam().vip);
    ASSERT_TRUE(c.syn().created);
    const Endpoint pool = c.pool;
    const Step again = c.syn();
    EXPECT_EQ(again.verdict, V::transmit);
    EXPECT_FALSE(again.created);
    EXPECT_EQ(c.pool, pool);
    EXPECT_EQ(w.f.sessions().size(), 1u);
}

TEST(Forward, AGroupThatAnotherNodeHoldsIsLeftAlone) {
    World w;
    Connection c(w, "203.0.113.7:40000", "192.0.2.80:80");
    c.establish();
    w.f.set_group(GroupId{0}, {false, Epoch{1}, false});
    Connection fresh(w, "203.0.113.7:40001", "192.0.2.80:80");
    EXPECT_EQ(fresh.syn().reason, DropReason::not_holder);
    EXPECT_EQ(c.from_client(kAck, 0, 0, "x").reason, DropReason::not_holder);
    EXPECT_EQ(c.from_backend(kAck, 0, 0, "x").reason, DropReason::not_holder);
    EXPECT_EQ(w.f.drops().of(DropReason::not_holder), 3u);
}

TEST(Forward, SegmentsWithoutASessionAreUnknownAndUntouched) {
    World w;
    Step s =
        w.front({endpoint("203.0.113.7:40000"), endpoint("192.0.2.80:80"), kAck, 5, 6, "data"});
    EXPECT_EQ(s.verdict, V::unknown);
    EXPECT_EQ(s.direction, Direction::from_client);
    EXPECT_EQ(s.key, (FlowKey{endpoint("203.0.113.7:40000"), endpoint("192.0.2.80:80")}));
    s = w.back({endpoint("198.51.100.10:8080"), endpoint("198.51.100.200:10005"), kAck, 5, 6});
    EXPECT_EQ(s.verdict, V::unknown);
    EXPECT_EQ(s.direction, Direction::from_backend);
    EXPECT_EQ(w.f.counters().unknown, 2u);
}

TEST(Forward, Refusals) {
    World w;
    const Endpoint client = endpoint("203.0.113.7:40000");
    const auto reason = [&](Seg s) { return w.front(s).reason; };
    EXPECT_EQ(reason({client, endpoint("192.0.2.80:81"), tcp_flag::syn}), DropReason::no_service);
    EXPECT_EQ(reason({client, endpoint("192.0.2.99:80"), tcp_flag::syn}), DropReason::not_for_us);
    EXPECT_EQ(reason({client, endpoint("198.51.100.200:10000"), tcp_flag::syn}),
              DropReason::invalid_state);
    Seg late{client, endpoint("192.0.2.80:80"), tcp_flag::syn};
    late.ttl = 1;
    EXPECT_EQ(reason(late), DropReason::ttl_expired);
    Buffer f = frame_of({client, endpoint("192.0.2.80:80"), tcp_flag::syn});
    f.back() ^= std::byte{1};
    EXPECT_EQ(w.hand(f, Side::front).reason, DropReason::tcp_checksum);
    f.resize(20);
    EXPECT_EQ(w.hand(f, Side::front).reason, DropReason::frame_too_short);
    EXPECT_EQ(w.f.sessions().size(), 0u);
}

TEST(Forward, ChecksumsMayBeLeftToTheEnds) {
    ForwardOptions o = small_options();
    o.verify_checksums = false;
    World w(o);
    Buffer f = frame_of({endpoint("203.0.113.7:40000"), endpoint("192.0.2.80:80"), tcp_flag::syn});
    f[f.size() - 3] ^= std::byte{1};  // in the checksum's coverage
    ASSERT_EQ(w.hand(f, Side::front).verdict, V::transmit);
    // Wrong on arrival, wrong on departure: the backend notices.
    const Bytes segment = Bytes(w.out).subspan(34);
    EXPECT_EQ(verify_tcp_checksum(load_address(w.out.data() + 26, true),
                                  load_address(w.out.data() + 30, true), segment),
              DropReason::tcp_checksum);
}

TEST(Forward, LinkPaddingIsNotPayload) {
    World w;
    Connection c(w, "203.0.113.7:40000", "192.0.2.80:80");
    c.establish();
    Buffer f = frame_of({c.client, c.vip, kAck, c.c0, c.b0});
    f.resize(60);
    EXPECT_EQ(w.hand(f, Side::front).verdict, V::transmit);
    EXPECT_EQ(w.parsed().payload, "");
    EXPECT_EQ(c.session().from_client.end.value, c.c0);
}

TEST(Forward, WithoutABackendsMacNothingIsOpened) {
    ForwardOptions o = small_options();
    World w(o);
    Forwarder cold(o, w, w.now);
    cold.set_group(GroupId{0}, {true, Epoch{1}, false});
    Received r(frame_of({endpoint("203.0.113.7:40000"), endpoint("192.0.2.80:80"), tcp_flag::syn}));
    EXPECT_EQ(cold.on_frame(r.frame(), w.now, w.outlet).reason, DropReason::neighbor_unresolved);
    // All four backends are being asked for.
    cold.on_deadline(w.now, w.outlet);
    EXPECT_EQ(w.outlet.sent.size(), 4u);
}

TEST(Forward, AnEmbryonicFloodLeavesEstablishedSessionsAlone) {
    World w;
    std::vector<Connection> good;
    for (int i = 0; i < 20; ++i)
        good.emplace_back(w, "203.0.113.7:" + std::to_string(50000 + i), "192.0.2.80:80");
    for (auto& c : good) c.establish();
    for (uint32_t i = 0; i < 5000; ++i) {
        const Endpoint spoofed{IpAddress::v4(0xcb007200 + i / 200),
                               static_cast<uint16_t>(1024 + i)};
        ASSERT_EQ(w.front({spoofed, endpoint("192.0.2.80:80"), tcp_flag::syn, i}).verdict,
                  V::transmit);
    }
    EXPECT_EQ(w.f.sessions().embryonic(), 100u);
    EXPECT_EQ(w.f.counters().sessions_evicted, 4900u);
    for (auto& c : good) {
        ASSERT_TRUE(c.exists());
        EXPECT_EQ(c.from_client(kAck, 0, 0, "still here").verdict, V::transmit);
    }
    // A client that comes in the middle of it gets through as long as its handshake outruns the
    // limit.
    Connection late(w, "203.0.113.9:40000", "192.0.2.80:80");
    late.establish();
}

TEST(Forward, AFullTableRefusesButKeepsWhatItHas) {
    ForwardOptions o = small_options();
    o.sessions.capacity = 10;
    World w(o);
    std::vector<Connection> good;
    for (int i = 0; i < 10; ++i)
        good.emplace_back(w, "203.0.113.7:" + std::to_string(50000 + i), "192.0.2.80:80");
    for (auto& c : good) c.establish();
    Connection extra(w, "203.0.113.7:60000", "192.0.2.80:80");
    EXPECT_EQ(extra.syn().reason, DropReason::table_full);
    for (auto& c : good) EXPECT_TRUE(c.exists());
}

TEST(Forward, IdleTimeoutsDependOnTheState) {
    ForwardOptions o = small_options();
    World w(o);
    Connection opening(w, "203.0.113.7:1001", "192.0.2.80:80");
    opening.syn();
    Connection open(w, "203.0.113.7:1002", "192.0.2.80:80");
    open.establish();
    Connection half(w, "203.0.113.7:1003", "192.0.2.80:80");
    half.establish();
    half.from_client(kFin, 0, 0);
    Connection closing(w, "203.0.113.7:1004", "192.0.2.80:80");
    closing.establish();
    closing.from_client(kFin, 0, 0);
    closing.from_backend(kFin, 0, 0);
    Connection reset(w, "203.0.113.7:1005", "192.0.2.80:80");
    reset.establish();
    EXPECT_TRUE(reset.from_client(tcp_flag::rst, 0, 0).closed);

    w.advance(Duration::seconds(9));
    EXPECT_TRUE(reset.exists());
    w.advance(Duration::seconds(2));
    EXPECT_FALSE(reset.exists());
    EXPECT_TRUE(opening.exists());
    w.advance(Duration::seconds(20));
    EXPECT_FALSE(opening.exists());
    w.advance(Duration::seconds(200));
    EXPECT_TRUE(closing.exists());
    w.advance(Duration::seconds(10));
    EXPECT_FALSE(closing.exists());
    // Traffic keeps a session alive; a half-closed one counts as established (RFC 6146).
    w.advance(Duration::seconds(6000));
    open.from_client(kAck, 0, 0, "tick");
    w.advance(Duration::seconds(1500));
    EXPECT_FALSE(half.exists());
    EXPECT_TRUE(open.exists());
    w.advance(Duration::seconds(7440));
    EXPECT_FALSE(open.exists());
    EXPECT_EQ(w.closed.size(), 5u);
    EXPECT_EQ(w.f.counters().sessions_idle, 4u);
}

TEST(Forward, AClientThatComesBackFromTheSamePortGetsANewSession) {
    World w;
    Connection c(w, "203.0.113.7:40000", "192.0.2.80:80");
    c.establish();
    EXPECT_TRUE(c.from_client(tcp_flag::rst, 0, 0).closed);
    c.c0 = 777777;
    EXPECT_TRUE(c.syn().created);
    ASSERT_EQ(w.closed.size(), 1u);
    EXPECT_EQ(w.closed[0].reason, CloseReason::replaced);
    EXPECT_EQ(c.session().state, SessionState::syn_sent);
}

TEST(Forward, DirtySessionsAreQueuedOnceUntilPopped) {
    World w;
    Connection c(w, "203.0.113.7:40000", "192.0.2.80:80");
    c.establish();
    while (w.f.pop_dirty()) {
    }
    EXPECT_EQ(w.f.dirty(), 0u);
    c.from_client(kAck, 0, 0, "abc");
    c.from_client(kAck, 3, 0, "def");
    EXPECT_EQ(w.f.dirty(), 1u);
    EXPECT_EQ(w.f.pop_dirty(), c.index());
    EXPECT_EQ(w.f.pop_dirty(), std::nullopt);
    c.from_client(kAck, 3, 0, "def");  // a retransmission moves nothing
    EXPECT_EQ(w.f.dirty(), 0u);
    c.from_backend(kAck, 0, 6);
    EXPECT_EQ(w.f.dirty(), 1u);
}

TEST(Forward, ADroppedGroupLosesItsSessionsInSlices) {
    World w;
    for (int i = 0; i < 20; ++i)
        Connection(w, "203.0.113.7:" + std::to_string(50000 + i), "192.0.2.80:80").syn();
    EXPECT_FALSE(w.f.drop_group(GroupId{0}, 15, w.now));
    EXPECT_EQ(w.f.sessions().size(), 5u);
    EXPECT_TRUE(w.f.drop_group(GroupId{0}, 15, w.now));
    EXPECT_EQ(w.f.sessions().size(), 0u);
    EXPECT_EQ(w.closed.size(), 20u);
}

TEST(Forward, PrefetchChangesNothing) {
    World w;
    Connection c(w, "203.0.113.7:40000", "192.0.2.80:80");
    c.establish();
    Received good(frame_of({c.client, c.vip, kAck, c.c0, c.b0, "x"}));
    Received junk(from_hex("0102030405060708090a0b0c0800ff"));
    const Frame frames[] = {good.frame(), junk.frame()};
    w.f.prefetch(frames);
    EXPECT_EQ(w.f.on_frame(good.frame(), w.now, w.outlet).verdict, V::transmit);
}

}  // namespace
}  // namespace holdfast
