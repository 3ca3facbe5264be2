// For tests: a forwarder with two backends a family, a client, and segments in a line each.
#pragma once

#include <gtest/gtest.h>

#include <map>

#include "dataplane/forward/forward.h"
#include "dataplane/wire/arp.h"
#include "dataplane/wire/icmp.h"
#include "dataplane/wire/nd.h"
#include "dataplane/wire/testing.h"

namespace holdfast::testing {

inline constexpr MacAddress kVirtualMac{{0, 0, 0x5e, 0, 1, 0}};
inline constexpr MacAddress kClientMac{{2, 0, 0, 0, 0, 0xc1}};
inline constexpr MacAddress kFrontMac{{2, 0, 0, 0, 0, 0xf0}};
inline constexpr MacAddress kBackMac{{2, 0, 0, 0, 0, 0xb0}};
inline MacAddress backend_mac(int i) { return mac(static_cast<uint8_t>(0xe0 + i)); }

inline ForwardOptions small_options() {
    Service web;
    web.name = "web";
    web.vips = {ip("192.0.2.80"), ip("2001:db8:1::80")};
    web.port = 80;
    web.backends = {{"b0", endpoint("198.51.100.10:8080"), 1},
                    {"b1", endpoint("198.51.100.11:8080"), 1},
                    {"b2", endpoint("[2001:db8:2::10]:8080"), 1},
                    {"b3", endpoint("[2001:db8:2::11]:8080"), 1}};
    web.pools = {{ip("198.51.100.200"), 10000, 19999}, {ip("2001:db8:2::200"), 10000, 19999}};
    web.health.enabled = false;
    ForwardOptions o;
    o.services = {web};
    o.groups = {{GroupId{0}, {}, kVirtualMac}};
    o.front.mac = kFrontMac;
    o.back.mac = kBackMac;
    o.back.own_v4 = ip("198.51.100.2");
    o.back.own_v6 = ip("2001:db8:2::2");
    o.back.prefix_v6 = 64;
    o.sessions.capacity = 1000;
    o.sessions.embryonic_limit = 100;
    o.sessions.seed = 1;
    o.seed = 2;
    return o;
}

struct Closed {
    Session session;
    CloseReason reason;
};

class World : public ForwardEvents {
public:
    explicit World(const ForwardOptions& options = small_options()) : f(options, *this, now) {
        f.set_group(GroupId{0}, {true, Epoch{1}, false});
        for (size_t i = 0; i < options.services[0].backends.size(); ++i)
            f.learn_neighbor(Side::back, options.services[0].backends[i].endpoint.address,
                             backend_mac(static_cast<int>(i)), now);
    }

    // Hands a frame to the forwarder; afterwards `out` is what it was rewritten to.
    Step hand(Bytes frame, Side in) {
        Received r(frame, in);
        Buffer before(frame.begin(), frame.end());
        const Step s = f.on_frame(r.frame(), now, outlet);
        out.assign(r.bytes().begin(), r.bytes().end());
        if (s.verdict == Step::Verdict::unknown) {
            EXPECT_EQ(out, before) << "must be untouched";
        }
        return s;
    }
    Step front(Seg s) {
        s.source_mac = kClientMac;
        s.destination_mac = kVirtualMac;
        return hand(frame_of(s), Side::front);
    }
    Step back(Seg s) {
        s.source_mac = backend_mac(0);
        s.destination_mac = kVirtualMac;
        return hand(frame_of(s), Side::back);
    }
    Parsed parsed() const { return parse_frame(out); }

    // Lets time pass, serving deadlines as the poll loop would.
    void advance(Duration d) {
        const Instant until = now + d;
        while (f.next_deadline() <= until) {
            now = std::max(now, f.next_deadline());
            f.on_deadline(now, outlet);
        }
        now = until;
    }

    void on_session_closed(SessionIndex, const Session& s, CloseReason r, Instant) override {
        closed.push_back({s, r});
    }
    void on_neighbor(Side, const IpAddress& a, const MacAddress& m, Instant) override {
        neighbors[a] = m;
    }

    Instant now{1'000'000'000};
    RecordingOutlet outlet;
    Buffer out;
    std::vector<Closed> closed;
    std::map<IpAddress, MacAddress> neighbors;
    Forwarder f;
};

// One client connection, spoken in relative sequence numbers: 0 is the first data byte of a side.
class Connection {
public:
    Connection(World& world, std::string_view client_text, std::string_view vip_text)
        : w(world), client(endpoint(client_text)), vip(endpoint(vip_text)) {}

    Step syn(const TcpOptions& options = {}) {
        const Step s = w.front({client, vip, tcp_flag::syn, c0 - 1, 0, "", 65535, options});
        if (s.verdict == Step::Verdict::transmit) {
            pool = w.parsed().from();
            backend = w.parsed().to();
        }
        return s;
    }
    Step syn_ack(const TcpOptions& options = {}) {
        return w.back(
            {backend, pool, tcp_flag::syn | tcp_flag::ack, b0 - 1, c0, "", 65535, options});
    }
    Step from_client(uint8_t flags, uint32_t seq, uint32_t ack, std::string payload = "") {
        return w.front({client, vip, flags, c0 + seq, b0 + ack, std::move(payload)});
    }
    Step from_backend(uint8_t flags, uint32_t seq, uint32_t ack, std::string payload = "") {
        return w.back({backend, pool, flags, b0 + seq, c0 + ack, std::move(payload)});
    }
    SessionIndex index() const { return w.f.sessions().find_client(client, vip); }
    Session& session() const { return *w.f.sessions().get(index()); }
    bool exists() const { return static_cast<bool>(index()); }

    // SYN, SYN-ACK, ACK; committed in between.
    void establish(const TcpOptions& options = {}) {
        ASSERT_EQ(syn(options).verdict, Step::Verdict::transmit);
        ASSERT_EQ(syn_ack(options).verdict, Step::Verdict::gate);
        session().set(Session::kCommitted);
        ASSERT_EQ(from_client(tcp_flag::ack, 0, 0).verdict, Step::Verdict::transmit);
        ASSERT_EQ(session().state, SessionState::established);
    }

    World& w;
    Endpoint client, vip, pool, backend;
    uint32_t c0 = 1001, b0 = 0xfffffff0;  // the backend's numbers wrap on the way
};

}  // namespace holdfast::testing
