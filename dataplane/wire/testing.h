// For tests: packets built and taken apart in a line each, with every checksum verified.
//
// A segment is written as tests read it: {from, to, flags, seq, ack, payload}. Everything that
// leaves is parsed back by the wire formats and checked, so a wrong checksum fails any test.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "dataplane/frame.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ip.h"
#include "dataplane/wire/tcp_segment.h"

namespace holdfast::testing {

using Buffer = std::vector<std::byte>;

inline Endpoint endpoint(std::string_view text) { return parse_endpoint(text).value(); }
inline IpAddress ip(std::string_view text) { return parse_ip(text).value(); }
inline MacAddress mac(uint8_t last) { return {{2, 0, 0, 0, 0, last}}; }
inline Bytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

inline Buffer from_hex(std::string_view hex) {
    Buffer out;
    int high = -1;
    for (char c : hex) {
        const int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (v < 0) continue;
        if (high < 0) {
            high = v;
        } else {
            out.push_back(static_cast<std::byte>(high << 4 | v));
            high = -1;
        }
    }
    return out;
}

struct Seg {
    Endpoint from, to;
    uint8_t flags = tcp_flag::ack;
    uint32_t seq = 0, ack = 0;
    std::string payload{};
    uint16_t window = 65535;
    TcpOptions options{};
    uint8_t ttl = 64;
    MacAddress source_mac = mac(1), destination_mac = mac(2);
    uint16_t vlan = 0;
};

inline Buffer frame_of(const Seg& s) {
    Buffer out(2048);
    ByteWriter w(out);
    IpHeader h;
    h.v4 = s.from.address.is_v4();
    h.source = s.from.address;
    h.destination = s.to.address;
    h.protocol = kProtocolTcp;
    h.ttl = s.ttl;
    TcpSegment t;
    t.source_port = s.from.port;
    t.destination_port = s.to.port;
    t.seq = {s.seq};
    t.ack = {s.ack};
    t.flags = s.flags;
    t.window = s.window;
    const TcpEmit emit{h.source, h.destination, t, s.options, bytes_of(s.payload)};
    h.payload_size = static_cast<uint32_t>(tcp_size(emit));
    emit_ethernet({s.destination_mac, s.source_mac, s.vlan, h.v4 ? kEtherTypeIpv4 : kEtherTypeIpv6},
                  w);
    emit_ip(h, w);
    emit_tcp(emit, w);
    EXPECT_TRUE(w.ok());
    out.resize(w.used());
    return out;
}

// A TCP frame taken apart; fails the test when anything in it is wrong.
struct Parsed {
    EthernetHeader ethernet;
    IpHeader ip;
    TcpSegment tcp;
    TcpOptions options;
    std::string payload;
    Endpoint from() const { return {ip.source, tcp.source_port}; }
    Endpoint to() const { return {ip.destination, tcp.destination_port}; }
};

inline Parsed parse_frame(Bytes frame) {
    Parsed p;
    const auto ethernet = parse_ethernet(frame);
    if (!ethernet) {
        ADD_FAILURE() << "ethernet: " << to_string(ethernet.error());
        return p;
    }
    p.ethernet = *ethernet;
    const Bytes body = frame.subspan(ethernet->size);
    const auto ip = ethernet->type == kEtherTypeIpv4 ? parse_ipv4(body) : parse_ipv6(body);
    if (!ip) {
        ADD_FAILURE() << "ip: " << to_string(ip.error());
        return p;
    }
    p.ip = *ip;
    const Bytes segment = body.subspan(ip->header_size, ip->payload_size);
    const auto tcp = parse_tcp(segment);
    if (!tcp) {
        ADD_FAILURE() << "tcp: " << to_string(tcp.error());
        return p;
    }
    p.tcp = *tcp;
    EXPECT_EQ(verify_tcp_checksum(ip->source, ip->destination, segment), DropReason::none);
    const auto options = parse_tcp_options(segment.subspan(20, tcp->header_size - 20u));
    EXPECT_TRUE(options.has_value());
    if (options) p.options = *options;
    const Bytes data = segment.subspan(tcp->header_size);
    p.payload.assign(reinterpret_cast<const char*>(data.data()), data.size());
    return p;
}

// A received frame with the headroom the port promises.
class Received {
public:
    explicit Received(Bytes bytes, Side in = Side::front) {
        CHECK(bytes.size() <= memory_.size() - kFrameHeadroom);
        std::ranges::copy(bytes, memory_.begin() + kFrameHeadroom);
        frame_ = {memory_.data() + kFrameHeadroom, static_cast<uint32_t>(bytes.size()), in};
    }
    Received(const Received&) = delete;
    Received& operator=(const Received&) = delete;
    Frame& frame() { return frame_; }
    Bytes bytes() const { return {frame_.data, frame_.length}; }

private:
    std::array<std::byte, kFrameHeadroom + 4096> memory_{};
    Frame frame_;
};

struct Sent {
    Side side;
    Buffer frame;
};

class RecordingOutlet final : public Outlet {
public:
    void transmit(Side side, Bytes frame) override {
        sent.push_back({side, Buffer(frame.begin(), frame.end())});
    }
    std::vector<Sent> sent;
};

}  // namespace holdfast::testing
