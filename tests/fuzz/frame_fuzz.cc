// Raw frames into a forwarder, a whole conversation in one input: whatever arrives, every frame
// that leaves is well-formed, checksums are right, and the table stays consistent.
//
// Input: records of {control byte, length byte pair, bytes}. The control byte chooses the side,
// whether checksums are mended first (else hardly anything would get past them), whether time
// passes, and whether the forwarder's last output is answered with addresses swapped, which leads
// into handshakes without the fuzzer having to guess ports.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "dataplane/forward/forward.h"
#include "dataplane/wire/arp.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/icmp.h"
#include "dataplane/wire/ip.h"
#include "dataplane/wire/tcp_segment.h"

namespace {

using namespace holdfast;

void require(bool condition, const char* what) {
    if (condition) return;
    std::fprintf(stderr, "violated: %s\n", what);
    std::abort();
}

ForwardOptions options() {
    Service s;
    s.vips = {*parse_ip("192.0.2.80"), *parse_ip("2001:db8:1::80")};
    s.port = 80;
    s.backends = {{"a", *parse_endpoint("198.51.100.10:8080"), 1},
                  {"b", *parse_endpoint("[2001:db8:2::10]:8080"), 1}};
    s.pools = {{*parse_ip("198.51.100.200"), 10000, 10063},
               {*parse_ip("2001:db8:2::200"), 10000, 10063}};
    ForwardOptions o;
    o.services = {s};
    o.groups = {{GroupId{0}, {}, {{0, 0, 0x5e, 0, 1, 0}}}};
    o.back.own_v4 = parse_ip("198.51.100.2");
    o.back.own_v6 = parse_ip("2001:db8:2::2");
    o.front.mac = {{2, 0, 0, 0, 0, 1}};
    o.back.mac = {{2, 0, 0, 0, 0, 2}};
    o.sessions = {.capacity = 16, .embryonic_limit = 4, .seed = 1};
    o.dirty_limit = 4;
    o.balance_table = 13;
    return o;
}

struct Nothing final : ForwardEvents, Outlet {
    void on_session_closed(SessionIndex, const Session&, CloseReason, Instant) override {}
    void on_neighbor(Side, const IpAddress&, const MacAddress&, Instant) override {}
    void transmit(Side, Bytes frame) override { check(frame); }

    static void check(Bytes frame) {
        const auto ethernet = parse_ethernet(frame);
        require(ethernet.has_value(), "ethernet");
        const Bytes body = frame.subspan(ethernet->size);
        if (ethernet->type == kEtherTypeArp) {
            require(parse_arp(body).has_value(), "arp");
            return;
        }
        const auto ip = ethernet->type == kEtherTypeIpv4 ? parse_ipv4(body) : parse_ipv6(body);
        require(ip.has_value(), "ip");
        const Bytes payload = body.subspan(ip->header_size, ip->payload_size);
        if (ip->protocol == kProtocolTcp) {
            require(parse_tcp(payload).has_value(), "tcp");
            require(verify_tcp_checksum(ip->source, ip->destination, payload) == DropReason::none,
                    "tcp checksum");
        } else {
            require(parse_icmp(*ip, payload).has_value(), "icmp");
        }
    }
};

// Makes lengths and checksums right where the headers can be found at all.
void mend(MutableBytes frame) {
    const auto ethernet = parse_ethernet(frame);
    if (!ethernet) return;
    const MutableBytes body = frame.subspan(ethernet->size);
    std::byte* p = body.data();
    const bool v4 = ethernet->type == kEtherTypeIpv4;
    if (v4 && body.size() >= 20) {
        const size_t header = (static_cast<size_t>(p[0]) & 15) * 4;
        if (header < 20 || header > body.size()) return;
        store_be(p + 2, static_cast<uint16_t>(body.size()));
        store_checksum(p + 10, 0);
        store_checksum(p + 10, checksum_of(add_to_sum(0, body.first(header))));
    } else if (ethernet->type == kEtherTypeIpv6 && body.size() >= 40) {
        store_be(p + 4, static_cast<uint16_t>(body.size() - 40));
    }
    const auto ip = v4 ? parse_ipv4(body) : parse_ipv6(body);
    if (!ip) return;
    const MutableBytes payload = body.subspan(ip->header_size, ip->payload_size);
    if (ip->protocol == kProtocolTcp && payload.size() >= 20) {
        std::byte* field = payload.data() + kTcpChecksumOffset;
        store_checksum(field, 0);
        const uint64_t sum = pseudo_header_sum(ip->source, ip->destination, kProtocolTcp,
                                               static_cast<uint32_t>(payload.size()));
        store_checksum(field, checksum_of(add_to_sum(sum, payload)));
    } else if (payload.size() >= kIcmpHeaderSize) {
        finish_icmp(ip->source, ip->destination, payload);
    }
}

// Turns a frame that left into one that could come back: addresses and ports swapped, the
// acknowledgement taken from the sequence number.
void swap_ends(MutableBytes frame) {
    const auto ethernet = parse_ethernet(frame);
    const MutableBytes body = frame.subspan(ethernet->size);
    const bool v4 = ethernet->type == kEtherTypeIpv4;
    const auto ip = v4 ? parse_ipv4(body) : parse_ipv6(body);
    if (!ip || ip->protocol != kProtocolTcp) return;
    const size_t at = v4 ? kIpv4SourceOffset : kIpv6SourceOffset, n = address_size(v4);
    std::swap_ranges(body.begin() + at, body.begin() + at + n, body.begin() + at + n);
    std::byte* tcp = body.data() + ip->header_size;
    std::swap_ranges(tcp, tcp + 2, tcp + 2);
    const auto segment = parse_tcp(body.subspan(ip->header_size, ip->payload_size));
    if (!segment) return;
    store_be(tcp + 4, segment->ack.value);
    store_be(tcp + 8, segment->end().value);
}

constexpr size_t kMaxFrame = 2048;

struct Run {
    Nothing nothing;
    Instant now{1'000'000'000};
    Forwarder f{options(), nothing, now};
    std::byte memory[kFrameHeadroom + kMaxFrame];
    std::byte last[kMaxFrame];
    uint32_t last_length = 0;
    Side last_side = Side::front;

    Run() {
        f.set_group(GroupId{0}, {true, Epoch{1}, false});
        for (const char* a : {"198.51.100.10", "2001:db8:2::10"})
            f.learn_neighbor(Side::back, *parse_ip(a), {{2, 0, 0, 0, 0, 9}}, now);
    }

    void step(uint8_t control, Bytes bytes) {
        std::byte* data = memory + kFrameHeadroom;
        uint32_t length = static_cast<uint32_t>(bytes.size());
        Side side = control & 1 ? Side::back : Side::front;
        if (control & 8 && last_length > 0) {  // answer, patched by the input's bytes
            length = last_length;
            side = last_side;
            std::memcpy(data, last, length);
            swap_ends({data, length});
            const size_t tcp_flags = length < 60 ? 47 : 67;
            if (!bytes.empty() && tcp_flags < length) data[tcp_flags] = bytes[0];
        } else if (!bytes.empty()) {
            std::memcpy(data, bytes.data(), bytes.size());
        }
        if (control & 2) mend({data, length});
        if (control & 4) now = now + Duration::milliseconds(500 * (control >> 4));
        while (f.next_deadline() <= now) f.on_deadline(now, nothing);

        Frame frame{data, length, side};
        f.prefetch({&frame, 1});
        const Step s = f.on_frame(frame, now, nothing);
        after(s, frame);
    }

    void after(const Step& s, const Frame& frame) {
        using V = Step::Verdict;
        require((s.verdict == V::drop) == (s.reason != DropReason::none), "reason");
        if (s.verdict == V::unknown) {
            std::byte rst[100];
            const size_t n = f.make_reset(Bytes(frame.data, frame.length), rst);
            if (n > 0) Nothing::check(Bytes(rst).first(n));
        }
        if (s.verdict == V::transmit || s.verdict == V::gate) {
            require(frame.data >= memory && frame.data + frame.length <= memory + sizeof memory,
                    "frame within its memory");
            Nothing::check({frame.data, frame.length});
            Session* session = f.sessions().get(s.session);
            require(session != nullptr, "transmit names its session");
            if (s.verdict == V::gate) session->set(Session::kCommitted);
            std::byte rst[100];
            const size_t n = f.make_reset(*session, Direction::from_client, rst);
            if (n > 0) Nothing::check(Bytes(rst).first(n));
            last_length = std::min<uint32_t>(frame.length, kMaxFrame);
            std::memcpy(last, frame.data, last_length);
            last_side = s.out;
        }
        f.pop_dirty();
        require(f.sessions().size() <= 16 && f.sessions().embryonic() <= 4, "bounds");
    }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    ByteReader r({reinterpret_cast<const std::byte*>(data), size});
    Run run;
    for (int i = 0; i < 64 && !r.rest().empty(); ++i) {
        const auto control = r.le<uint8_t>();
        const size_t length = std::min<size_t>(r.be<uint16_t>(), kMaxFrame);
        run.step(control, r.take(std::min(length, r.rest().size())));
    }
    // What is left must come apart cleanly.
    run.f.drop_group(holdfast::GroupId{0}, 16, run.now);
    require(run.f.sessions().size() == 0, "all sessions removed");
    return 0;
}
