// Raw frames into a forwarder, a whole conversation in one input: whatever arrives, every frame
// that leaves is well-formed, checksums are right, and the table stays consistent.
//
// Input: records of {control byte, length, bytes}. The control byte chooses the side, whether
// checksums are mended first (else hardly anything would get past them), whether time passes, and
// what the frame is: the bytes themselves, a client's SYN, the answer to what the forwarder last
// sent out of that side, or an ICMP error about it. To made frames the bytes are TCP flags, steps
// of sequence and acknowledgement, then patches {offset, exclusive-or}: whole connections need
// little guessing.
#include <algorithm>

#include "dataplane/forward/forward.h"
#include "dataplane/wire/arp.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/icmp.h"
#include "dataplane/wire/ip.h"
#include "dataplane/wire/tcp_segment.h"
#include "tests/fuzz/require.h"

namespace {

using namespace holdfast;

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
void swap_ends(MutableBytes frame, Bytes say) {
    const auto ethernet = parse_ethernet(frame);
    const MutableBytes body = frame.subspan(ethernet->size);
    const bool v4 = ethernet->type == kEtherTypeIpv4;
    const auto ip = v4 ? parse_ipv4(body) : parse_ipv6(body);
    if (!ip || ip->protocol != kProtocolTcp) return;
    const size_t at = v4 ? kIpv4SourceOffset : kIpv6SourceOffset, n = address_size(v4);
    std::byte* p = body.data() + at;
    std::swap_ranges(p, p + n, p + n);
    std::byte* tcp = body.data() + ip->header_size;
    std::swap_ranges(tcp, tcp + 2, tcp + 2);
    const auto segment = parse_tcp(body.subspan(ip->header_size, ip->payload_size));
    if (!segment || say.size() < 3) return;
    const auto step = [](std::byte b) { return uint32_t(int8_t(b)) * 64; };
    store_be(tcp + 4, segment->ack.value + step(say[1]));
    store_be(tcp + 8, segment->end().value + step(say[2]));
    tcp[13] = say[0];
}

constexpr size_t kMaxFrame = 2048;

struct Run {
    Nothing nothing;
    Instant now{1'000'000'000};
    Forwarder f{options(), nothing, now};
    std::byte memory[kFrameHeadroom + kMaxFrame];
    struct Last {
        std::byte bytes[kMaxFrame];
        uint32_t length = 0;
    } last[2];  // by side it left from

    Run() {
        f.set_group(GroupId{0}, {true, Epoch{1}, false});
        for (const char* a : {"198.51.100.10", "2001:db8:2::10"})
            f.learn_neighbor(Side::back, *parse_ip(a), {{2, 0, 0, 0, 0, 9}}, now);
    }

    void step(uint8_t control, Bytes bytes) {
        std::byte* data = memory + kFrameHeadroom;
        const Side side = control & 1 ? Side::back : Side::front;
        const size_t length = make(control >> 3 & 7, side, {data, kMaxFrame}, bytes);
        if (control & 2) mend({data, length});
        if (control & 4) now = now + Duration::milliseconds(500 << (control >> 6) * 4);
        while (f.next_deadline() <= now) f.on_deadline(now, nothing);

        Frame frame{data, static_cast<uint32_t>(length), side};
        f.prefetch({&frame, 1});
        const Step s = f.on_frame(frame, now, nothing);
        after(s, frame);
    }

    size_t make(int kind, Side side, MutableBytes to, Bytes bytes) {
        const Last& about = last[side == Side::back];
        size_t length = about.length;
        if (kind < 2) {
            if (!bytes.empty()) std::memcpy(to.data(), bytes.data(), bytes.size());
            return bytes.size();
        }
        if (kind < 4) {
            length = client_syn(kind == 2, to);
        } else if (length > 0 && kind < 6) {
            std::memcpy(to.data(), about.bytes, length);
            swap_ends(to.first(length), bytes);
            bytes = bytes.subspan(std::min<size_t>(bytes.size(), 3));
        } else if (length > 0) {
            length = icmp_error({about.bytes, length}, to);
        }
        for (; bytes.size() >= 2; bytes = bytes.subspan(2))
            if (static_cast<size_t>(bytes[0]) < length)
                to[static_cast<size_t>(bytes[0])] ^= bytes[1];
        return length;
    }

    static size_t icmp_error(Bytes about, MutableBytes to) {
        const bool v4 = load_be<uint16_t>(about.data() + 12) == kEtherTypeIpv4;
        const Bytes quote = about.subspan(14, std::min<size_t>(about.size() - 14, v4 ? 28 : 60));
        IpHeader ip;
        ip.v4 = v4;
        ip.source = *parse_ip(v4 ? "203.0.113.254" : "2001:db8:9::fe");
        ip.destination = load_address(quote.data() + (v4 ? 12 : 8), v4);
        ip.protocol = v4 ? kProtocolIcmp : kProtocolIcmpv6;
        ip.payload_size = static_cast<uint32_t>(8 + quote.size());
        ByteWriter w(to);
        emit_ethernet({{}, {{2, 0, 0, 0, 0, 7}}, 0, v4 ? kEtherTypeIpv4 : kEtherTypeIpv6}, w);
        emit_ip(ip, w);
        w.be<uint32_t>(v4 ? 0x03040000 : 0x02000000);
        w.be<uint32_t>(1280);
        w.put(quote);
        return w.used();
    }

    static size_t client_syn(bool v4, MutableBytes to) {
        IpHeader ip;
        ip.v4 = v4;
        ip.source = *parse_ip(v4 ? "203.0.113.7" : "2001:db8:9::7");
        ip.destination = *parse_ip(v4 ? "192.0.2.80" : "2001:db8:1::80");
        ip.protocol = kProtocolTcp;
        ip.payload_size = 24;
        TcpEmit tcp{ip.source, ip.destination, {}, {}, {}};
        tcp.segment.source_port = 40000;
        tcp.segment.destination_port = 80;
        tcp.segment.flags = tcp_flag::syn;
        tcp.options.mss = 1460;
        ByteWriter w(to);
        emit_ethernet({{}, {{2, 0, 0, 0, 0, 7}}, 0, v4 ? kEtherTypeIpv4 : kEtherTypeIpv6}, w);
        emit_ip(ip, w);
        emit_tcp(tcp, w);
        return w.used();
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
            Last& l = last[s.out == Side::back];
            l.length = std::min<uint32_t>(frame.length, kMaxFrame);
            std::memcpy(l.bytes, frame.data, l.length);
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
