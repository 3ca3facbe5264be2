// ICMP and ICMPv6 errors about segments that a forwarder has sent: whatever they quote and however
// much of it, what is passed on reaches the end that sent the segment, quotes it as that end sent
// it with checksums as right as they were, and no session is another for it.
//
// Two services, one forwarded and one relayed, and a conversation with each over each family; the
// last segment towards either side is what errors are about. Input: a byte for how far the
// conversations went, then steps of {control, kind, rest, cut, length, that many octets}: which
// segment, type and code, the four octets behind them, how much is quoted, and how it is dressed
// (IPv4 options or IPv6 extension headers in the quote, a VLAN, the wrong side). The octets are
// patches {offset from the IP header, exclusive-or}; then lengths and, if the control byte says so,
// checksums are made right.
#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "dataplane/forward/forward.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/icmp.h"
#include "dataplane/wire/ip.h"
#include "dataplane/wire/tcp_segment.h"
#include "tests/fuzz/require.h"

namespace {

using namespace holdfast;
using Octets = std::vector<std::byte>;

constexpr MacAddress kGroupMac{{0, 0, 0x5e, 0, 1, 0}}, kClientMac{{2, 0, 0, 0, 0, 7}},
    kBackendMac{{2, 0, 0, 0, 0, 9}};
constexpr size_t kPayload = 40, kMaxFrame = 1024;
constexpr uint16_t kForwarded = 80, kRelayed = 81;

Service service(uint16_t port, Mode mode, const char* pool4, const char* pool6) {
    Service s;
    s.mode = mode;
    s.vips = {*parse_ip("192.0.2.80"), *parse_ip("2001:db8:1::80")};
    s.port = port;
    s.backends = {{"a", *parse_endpoint("198.51.100.10:8080"), 1},
                  {"b", *parse_endpoint("[2001:db8:2::10]:8080"), 1}};
    s.pools = {{*parse_ip(pool4), 10000, 10063}, {*parse_ip(pool6), 10000, 10063}};
    s.health.enabled = false;
    return s;
}

ForwardOptions options() {
    ForwardOptions o;
    o.services = {service(kForwarded, Mode::forward, "198.51.100.200", "2001:db8:2::200"),
                  service(kRelayed, Mode::proxy, "198.51.100.201", "2001:db8:2::201")};
    o.groups = {{GroupId{0}, {}, kGroupMac}};
    o.front.mac = {{2, 0, 0, 0, 0, 1}};
    o.back.mac = {{2, 0, 0, 0, 0, 2}};
    o.sessions = {.capacity = 16, .embryonic_limit = 8, .seed = 1};
    o.dirty_limit = 4;
    o.balance_table = 13;
    return o;
}

struct Nothing final : ForwardEvents, Outlet {
    void on_session_closed(SessionIndex, const Session&, CloseReason, Instant) override {}
    void on_neighbor(Side, const IpAddress&, const MacAddress&, Instant) override {}
    void transmit(Side, Bytes) override { ++answers; }
    unsigned answers = 0;
};

// A conversation's own numbers.
constexpr uint32_t kClientIsn = 1000, kBackendIsn = 0xffff'fff0;

struct About {
    SessionIndex session;
    bool v4 = false, relayed = false, to_backend = false;
    Octets packet;  // from the IP header on, as it left
    FlowKey left;   // its ends
};

Octets segment(const FlowKey& flow, uint32_t seq, uint32_t ack, uint8_t flags, size_t payload) {
    const bool v4 = flow.source.address.is_v4();
    TcpEmit tcp{flow.source.address, flow.destination.address, {}, {}, {}};
    tcp.segment.source_port = flow.source.port;
    tcp.segment.destination_port = flow.destination.port;
    tcp.segment.seq = {seq};
    tcp.segment.ack = {ack};
    tcp.segment.flags = flags;
    tcp.segment.window = 0xffff;
    if (flags & tcp_flag::syn) tcp.options.mss = 1460;
    const Octets octets(payload, std::byte{'x'});
    tcp.payload = octets;
    Octets frame(256);
    ByteWriter w(frame);
    emit_ethernet(
        {kGroupMac, v4 ? kClientMac : kBackendMac, 0, v4 ? kEtherTypeIpv4 : kEtherTypeIpv6}, w);
    emit_ip(ip_header(tcp.source, tcp.destination, kProtocolTcp, tcp_size(tcp)), w);
    emit_tcp(tcp, w);
    frame.resize(w.used());
    return frame;
}

struct Told {
    uint8_t control, kind, cut, dress;
    uint32_t rest;
    Bytes patches;
    bool mended() const { return (control & 8) != 0; }
};

class Run {
public:
    explicit Run(uint8_t how_far) {
        f_.set_group(GroupId{0}, {true, Epoch{1}, false});
        for (const char* a : {"198.51.100.10", "2001:db8:2::10"})
            f_.learn_neighbor(Side::back, *parse_ip(a), kBackendMac, now_);
        for (int i = 0; i < 4; ++i)
            converse(i % 2 == 0, i < 2 ? kForwarded : kRelayed, how_far >> i * 2);
    }

    void step(const Told& told) {
        const size_t n = about_.size() / 2 * 2;
        const About& about = about_[(told.control & 7) % n];
        const Octets before = sessions();
        Octets frame = error_about(about, told);
        const Octets was = frame;
        nothing_.answers = 0;
        const Side in = ((told.dress & 16) != 0) == about.to_backend ? Side::front : Side::back;
        Octets memory;
        Frame handed = lay(frame, in, memory);
        const Step s = f_.on_frame(handed, now_, nothing_);
        require((s.verdict == Step::Verdict::drop) == (s.reason != DropReason::none), "a reason");
        const auto ethernet = parse_ethernet(was);
        const Bytes body = Bytes(was).subspan(ethernet->size);
        const auto outer = about.v4 ? parse_ipv4(body) : parse_ipv6(body);
        const bool icmp = outer &&
                          outer->protocol == (about.v4 ? kProtocolIcmp : kProtocolIcmpv6) &&
                          parse_icmp(*outer, body.subspan(outer->header_size, outer->payload_size));
        if (!icmp) {
            require(s.verdict == Step::Verdict::drop || outer->protocol == kProtocolTcp,
                    "a wrong checksum says nothing");
            return;
        }
        require(sessions() == before, "no session is another for an error");
        const auto type = static_cast<uint8_t>(body[outer->header_size]);
        const bool asks = about.v4 ? type == 8 : type == 128 || type == 135;  // by a patch
        require(nothing_.answers == 0 || asks, "errors are answered by nobody");
        if (s.verdict == Step::Verdict::transmit)
            passed_on(s, {handed.data, handed.length}, body, *outer);
        if (s.verdict == Step::Verdict::relay) relayed(s, body.subspan(outer->header_size));
    }

private:
    // A frame in memory that ends with it, so that a sanitizer sees what goes beyond.
    static Frame lay(const Octets& frame, Side in, Octets& memory) {
        memory.resize(kFrameHeadroom);
        memory.insert(memory.end(), frame.begin(), frame.end());
        memory.shrink_to_fit();
        return {memory.data() + kFrameHeadroom, static_cast<uint32_t>(frame.size()), in};
    }

    // A SYN; by two bits of `how_far` also its answer, and segments both ways.
    void converse(bool v4, uint16_t port, int how_far) {
        const FlowKey client{*parse_endpoint(v4 ? "203.0.113.7:40000" : "[2001:db8:9::7]:40000"),
                             {*parse_ip(v4 ? "192.0.2.80" : "2001:db8:1::80"), port}};
        const Step syn = say(Side::front, client, kClientIsn, 0, tcp_flag::syn, 0);
        const Session* session = f_.sessions().get(syn.session);
        require(session != nullptr, "a SYN makes a session");
        const FlowKey backend{session->backend, session->pool};
        if (port == kRelayed) return stand_in(*session, syn.session);
        if (how_far & 1) {
            say(Side::back, backend, kBackendIsn, kClientIsn + 1, tcp_flag::syn | tcp_flag::ack, 0);
            say(Side::front, client, kClientIsn + 1, kBackendIsn + 1, tcp_flag::ack, kPayload);
        }
        note(syn.session, true);
        if ((how_far & 3) == 3)
            say(Side::back, backend, kBackendIsn + 1, kClientIsn + 1 + kPayload, tcp_flag::ack,
                kPayload);
        note(syn.session, false);
    }

    Step say(Side side, const FlowKey& flow, uint32_t seq, uint32_t ack, uint8_t flags,
             size_t payload) {
        const Octets frame = segment(flow, seq, ack, flags, payload);
        Octets memory;
        Frame handed = lay(frame, side, memory);
        const Step s = f_.on_frame(handed, now_, nothing_);
        if (s.verdict == Step::Verdict::transmit || s.verdict == Step::Verdict::gate)
            last_.assign(handed.data, handed.data + handed.length);
        return s;
    }

    // The last segment that left: a SYN also stands for what has not been said to the client yet.
    void note(SessionIndex session, bool to_backend) {
        const auto ethernet = parse_ethernet(last_);
        const Bytes body = Bytes(last_).subspan(ethernet->size);
        const bool v4 = ethernet->type == kEtherTypeIpv4;
        const auto ip = v4 ? parse_ipv4(body) : parse_ipv6(body);
        const std::byte* tcp = body.data() + ip->header_size;
        About a{session, v4, false, to_backend, {body.begin(), body.end()}, {}};
        a.left = {{ip->source, load_be<uint16_t>(tcp)},
                  {ip->destination, load_be<uint16_t>(tcp + 2)}};
        about_.push_back(a);
    }

    // What an endpoint of a relayed session would have sent: it is not the forwarder's to send.
    void stand_in(const Session& s, SessionIndex index) {
        for (const bool to_backend : {true, false}) {
            const FlowKey flow = to_backend ? FlowKey{s.pool, s.backend} : FlowKey{s.vip, s.client};
            const Octets frame = segment(flow, 5000, 6000, tcp_flag::ack, kPayload);
            about_.push_back({index,
                              s.vip.address.is_v4(),
                              true,
                              to_backend,
                              {frame.begin() + 14, frame.end()},
                              flow});
        }
    }

    // The quote, dressed as routers may find it: with options or extension headers, and cut.
    static Octets quote_of(const About& about, const Told& told) {
        Octets quote = about.packet;
        const size_t header = about.v4 ? 20 : 40;
        if ((told.dress & 3) != 0) {
            const size_t more = (told.dress & 3) * (about.v4 ? 4u : 8u);
            quote.insert(quote.begin() + static_cast<ptrdiff_t>(header), more,
                         std::byte{about.v4 ? uint8_t{1} : uint8_t{0}});
            if (about.v4) {
                quote[0] = std::byte(0x40 | ((header + more) / 4));
                fix_header(MutableBytes(quote).first(header + more), quote.size());
            } else {
                quote[header] = quote[6];
                quote[6] = std::byte{60};  // destination options, then TCP
                quote[header + 1] = std::byte(more / 8 - 1);
                store_be(quote.data() + 4, static_cast<uint16_t>(quote.size() - header));
            }
        }
        if (told.cut < quote.size()) quote.resize(told.cut);
        return quote;
    }

    static void fix_header(MutableBytes header, size_t total) {
        store_be(header.data() + 2, static_cast<uint16_t>(total));
        store_checksum(header.data() + 10, 0);
        store_checksum(header.data() + 10, checksum_of(add_to_sum(0, header)));
    }

    static Octets error_about(const About& about, const Told& told) {
        constexpr uint8_t kTypes4[] = {3, 3, 11, 12, 3, 4, 5, 0};
        constexpr uint8_t kTypes6[] = {2, 1, 3, 4, 2, 100, 129, 137};
        const Octets quote = quote_of(about, told);
        const IpAddress router = *parse_ip(about.v4 ? "203.0.113.254" : "2001:db8:9::254");
        IpHeader ip = ip_header(told.dress & 4 ? router : about.left.destination.address,
                                about.left.source.address,
                                about.v4 ? kProtocolIcmp : kProtocolIcmpv6, 8 + quote.size());
        ip.ttl = told.dress & 8 ? 1 : 64;
        Octets frame(kMaxFrame);
        ByteWriter w(frame);
        emit_ethernet({kGroupMac, kClientMac, static_cast<uint16_t>(told.dress & 32 ? 5 : 0),
                       about.v4 ? kEtherTypeIpv4 : kEtherTypeIpv6},
                      w);
        const size_t at = w.used();
        emit_ip(ip, w);
        w.be<uint8_t>(about.v4 ? kTypes4[told.kind & 7] : kTypes6[told.kind & 7]);
        w.be<uint8_t>(told.kind >> 3);
        w.be<uint16_t>(0);
        w.be<uint32_t>(told.rest);
        w.put(quote);
        require(w.ok(), "fits");
        frame.resize(w.used());
        const MutableBytes packet = MutableBytes(frame).subspan(at);
        for (Bytes p = told.patches; p.size() >= 2; p = p.subspan(2))
            if (const auto place = static_cast<size_t>(p[0]); place < packet.size())
                packet[place] ^= p[1];
        if (told.mended()) mend(packet, about.v4);
        return frame;
    }

    // Lengths and checksums of the error itself; the quote is a router's word.
    static void mend(MutableBytes packet, bool v4) {
        const size_t header = v4 ? 20 : 40;
        if (v4) {
            packet[0] = std::byte{0x45};
            fix_header(packet.first(header), packet.size());
        } else {
            store_be(packet.data() + 4, static_cast<uint16_t>(packet.size() - header));
        }
        const auto ip = v4 ? parse_ipv4(packet) : parse_ipv6(packet);
        if (ip && ip->payload_size >= kIcmpHeaderSize)
            finish_icmp(ip->source, ip->destination, packet.subspan(ip->header_size));
    }

    Octets sessions() {
        Octets all;
        for (const About& a : about_) {
            const Session* s = f_.sessions().get(a.session);
            require(s != nullptr, "its session is there");
            const auto* bytes = reinterpret_cast<const std::byte*>(s);
            all.insert(all.end(), bytes, bytes + sizeof *s);
        }
        return all;
    }

    // `was` is the packet that came, its headers in `outer`.
    void passed_on(const Step& s, Bytes frame, Bytes was, const IpHeader& outer) {
        const Session* session = f_.sessions().get(s.session);
        require(session != nullptr && !session->has(Session::kRelayed),
                "it is about a forwarded session");
        const auto ethernet = parse_ethernet(frame);
        require(ethernet.has_value(), "Ethernet");
        const Bytes body = frame.subspan(ethernet->size);
        const auto ip = outer.v4 ? parse_ipv4(body) : parse_ipv6(body);
        require(ip && ip->ttl == outer.ttl - 1, "a hop further");
        const Bytes message = body.subspan(ip->header_size, ip->payload_size);
        require(parse_icmp(*ip, message).has_value(), "its checksum is right");
        const bool to_backend = s.out == Side::back;
        const Endpoint& sender = to_backend ? session->backend : session->client;
        const Endpoint& peer = to_backend ? session->pool : session->vip;
        const Bytes old = was.subspan(outer.header_size, outer.payload_size);
        require(message.size() == old.size() &&
                    std::ranges::equal(message.first(2), old.first(2)) &&
                    std::ranges::equal(message.subspan(4, 4), old.subspan(4, 4)),
                "the same error");
        require(ip->destination == sender.address && ip->source == peer.address,
                "from its peer, to who sent it");
        check_quote(message.subspan(8), old.subspan(8), outer.v4, {sender, peer});
    }

    static void check_quote(Bytes now, Bytes was, bool v4, const FlowKey& flow) {
        const auto ip = parse_quoted(now, v4), before = parse_quoted(was, v4);
        require(ip && before && ip->header_size == before->header_size, "a quote");
        require(ip->source == flow.source.address && ip->destination == flow.destination.address,
                "as its sender knows it");
        const Bytes tcp = now.subspan(ip->header_size), old = was.subspan(ip->header_size);
        require(load_be<uint16_t>(tcp.data()) == flow.source.port &&
                    load_be<uint16_t>(tcp.data() + 2) == flow.destination.port,
                "by its ports too");
        if (v4)
            require(sums(now.first(ip->header_size)) == sums(was.first(ip->header_size)),
                    "the quoted header is as right as it was");
        // All but ports and checksum is what it was.
        for (size_t i = 4; i < tcp.size(); ++i)
            require(i == 16 || i == 17 || tcp[i] == old[i], "the quoted segment is what it was");
        const size_t addresses = v4 ? 12 : 8, end = addresses + 2 * address_size(v4);
        for (size_t i = 0; i < ip->header_size; ++i)
            require((v4 && (i == 10 || i == 11)) || (i >= addresses && i < end) || now[i] == was[i],
                    "the quoted header too");
        if (tcp.size() >= 20)
            require(right(*ip, tcp) == right(*before, old), "its checksum is as right as it was");
    }
    static bool sums(Bytes header) { return fold_sum(add_to_sum(0, header)) == 0xffff; }
    static bool right(const IpHeader& ip, Bytes tcp) {
        return verify_tcp_checksum(ip.source, ip.destination, tcp) == DropReason::none;
    }

    void relayed(const Step& s, Bytes message) {
        const Session* session = f_.sessions().get(s.session);
        require(session != nullptr && session->has(Session::kRelayed),
                "it is about a relayed session");
        require(s.too_big_mtu != 0, "only what is too big is told");
        const uint32_t rest = load_be<uint32_t>(message.data() + 4);
        const bool v4 = session->vip.address.is_v4();
        require(s.too_big_mtu == (v4 ? rest & 0xffff : rest), "the MTU it named");
        require(static_cast<uint8_t>(message[0]) == (v4 ? 3 : 2), "of the right type");
        const auto quoted = parse_quoted(message.subspan(8), v4);
        require(quoted && s.too_big_seq.value ==
                              load_be<uint32_t>(message.data() + 8 + quoted->header_size + 4),
                "about what it quotes");
    }

    Nothing nothing_;
    Instant now_{1'000'000'000};
    Forwarder f_{options(), nothing_, now_};
    std::vector<About> about_;
    Octets last_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    ByteReader r({reinterpret_cast<const std::byte*>(data), size});
    // Conversations take long, and errors change nothing about them: one run for each way they
    // went.
    static std::array<std::unique_ptr<Run>, 16> runs;
    const uint8_t how_far = r.le<uint8_t>() & 15;
    if (!runs[how_far]) runs[how_far] = std::make_unique<Run>(how_far);
    Run& run = *runs[how_far];
    for (int i = 0; i < 64 && !r.rest().empty(); ++i) {
        Told t{};
        t.control = r.le<uint8_t>();
        t.kind = r.le<uint8_t>();
        t.cut = r.le<uint8_t>();
        t.dress = r.le<uint8_t>();
        t.rest = r.be<uint32_t>();
        const size_t length = r.le<uint8_t>();
        t.patches = r.take(std::min(length, r.rest().size()));
        run.step(t);
    }
    return 0;
}
