// Neighbour solicitations, advertisements and ARP packets at a forwarder, and a neighbour cache
// that hears the same: what is answered, learned and asked is what a second reading of RFC 4861 and
// RFC 826, below, says of the very octets of the frame.
//
// Input: steps of {control, who, odd, flags, length, that many octets}. The control byte chooses
// the side, what it is (a solicitation, an advertisement, ARP, or the group's state and time) and
// whether the checksum is right; `who` chooses sender and target from those there are; `odd` what
// is unusual. The octets are options, whose lengths are made right unless `odd` says otherwise;
// behind them, patches of the message {offset, exclusive-or}.
#include <algorithm>
#include <vector>

#include "dataplane/forward/forward.h"
#include "dataplane/neighbor/neighbor_cache.h"
#include "dataplane/wire/arp.h"
#include "dataplane/wire/icmp.h"
#include "dataplane/wire/nd.h"
#include "tests/fuzz/require.h"

namespace {

using namespace holdfast;

constexpr MacAddress kGroupMac{{0, 0, 0x5e, 0, 1, 0}}, kFrontMac{{2, 0, 0, 0, 0, 1}},
    kBackMac{{2, 0, 0, 0, 0, 2}}, kSenderMac{{2, 0, 0, 0, 0, 9}}, kMulticastMac{{3, 0, 0, 0, 0, 9}};
constexpr uint16_t kVlan = 7;
constexpr size_t kNdFixed = 24, kMaxFrame = 1024;

const IpAddress kVip4 = *parse_ip("192.0.2.80"), kVip6 = *parse_ip("2001:db8:1::80"),
                kPool4 = *parse_ip("198.51.100.200"), kPool6 = *parse_ip("2001:db8:2::200"),
                kOwn4 = *parse_ip("198.51.100.2"), kOwn6 = *parse_ip("2001:db8:2::2"),
                kBackend4 = *parse_ip("198.51.100.10"), kBackend6 = *parse_ip("2001:db8:2::10");
// By four bits of `who`.
const IpAddress kSix[] = {{},
                          kVip6,
                          kPool6,
                          kOwn6,
                          kBackend6,
                          link_local(kFrontMac),
                          link_local(kBackMac),
                          link_local(kSenderMac),
                          *parse_ip("2001:db8:9::7"),
                          kAllNodes,
                          *parse_ip("2001:db8:2::11"),
                          *parse_ip("::2"),
                          kVip6,
                          kPool6,
                          kOwn6,
                          kBackend6};
const IpAddress kFour[] = {IpAddress::v4(0),
                           kVip4,
                           kPool4,
                           kOwn4,
                           kBackend4,
                           *parse_ip("203.0.113.7"),
                           *parse_ip("198.51.100.11"),
                           *parse_ip("255.255.255.255")};

ForwardOptions options() {
    Service s;
    s.vips = {kVip4, kVip6};
    s.port = 80;
    s.backends = {{"a", {kBackend4, 8080}, 1}, {"b", {kBackend6, 8080}, 1}};
    s.pools = {{kPool4, 10000, 10063}, {kPool6, 10000, 10063}};
    s.health.enabled = false;
    ForwardOptions o;
    o.services = {s};
    o.groups = {{GroupId{0}, {}, kGroupMac}};
    o.front.mac = kFrontMac;
    o.back.mac = kBackMac;
    o.back.own_v4 = kOwn4;
    o.back.own_v6 = kOwn6;
    o.sessions = {.capacity = 16, .embryonic_limit = 4, .seed = 1};
    o.dirty_limit = 4;
    o.balance_table = 13;
    return o;
}

struct Sent {
    Side side;
    std::vector<std::byte> frame;
};

// Takes frames that leave, and what was learned.
struct Ear final : ForwardEvents, Outlet {
    void on_session_closed(SessionIndex, const Session&, CloseReason, Instant) override {}
    void on_neighbor(Side side, const IpAddress& address, const MacAddress& mac, Instant) override {
        learned.push_back({side, address, mac});
    }
    void transmit(Side side, Bytes frame) override {
        sent.push_back({side, {frame.begin(), frame.end()}});
    }
    void clear() { sent.clear(), learned.clear(); }
    struct Learned {
        Side side;
        IpAddress address;
        MacAddress mac;
    };
    std::vector<Sent> sent;
    std::vector<Learned> learned;
};

struct Nd {
    EthernetHeader ethernet;
    IpHeader ip;
    IcmpHeader icmp;
    NdMessage message;
};

// A frame of ours: whole, its checksum right, nothing behind it.
Nd take_nd(Bytes frame) {
    const auto ethernet = parse_ethernet(frame);
    require(ethernet && ethernet->type == kEtherTypeIpv6, "IPv6");
    const Bytes body = frame.subspan(ethernet->size);
    const auto ip = parse_ipv6(body);
    require(ip && ip->protocol == kProtocolIcmpv6, "ICMPv6");
    require(ip->header_size + ip->payload_size == body.size(), "nothing behind it");
    const Bytes message = body.subspan(ip->header_size);
    const auto icmp = parse_icmp(*ip, message);
    require(icmp.has_value(), "checksum");
    const auto nd = parse_nd(*ip, message);
    require(nd.has_value(), "what we send is right");
    return {*ethernet, *ip, *icmp, *nd};
}

ArpPacket take_arp(Bytes frame, EthernetHeader& ethernet) {
    const auto header = parse_ethernet(frame);
    require(header && header->type == kEtherTypeArp, "ARP");
    const auto arp = parse_arp(frame.subspan(header->size));
    require(arp.has_value(), "what we send is right");
    ethernet = *header;
    return *arp;
}

// RFC 4861 section 7.1 of a message's octets, as far as it is checked: the link-layer address it
// names (all zero: none) in `mac`.
bool acceptable(const std::vector<std::byte>& m, uint8_t hop_limit, MacAddress& mac, bool& named) {
    named = false;
    const auto at = [&](size_t i) { return static_cast<uint8_t>(m[i]); };
    if (hop_limit != 255 || m.size() < kNdFixed || at(1) != 0 || at(8) == 0xff) return false;
    if (std::all_of(m.begin() + 8, m.begin() + 18, [](std::byte b) { return b == std::byte{}; }) &&
        at(18) == 0xff && at(19) == 0xff)
        return false;  // v4-mapped
    const uint8_t kind = at(0) == 135 ? 1 : 2;
    size_t i = kNdFixed;
    while (i < m.size()) {
        if (i + 8 > m.size() || at(i + 1) == 0 || i + at(i + 1) * 8u > m.size()) return false;
        if (at(i) == kind && at(i + 1) == 1) {
            if (at(i + 2) & 1) return false;
            std::memcpy(mac.bytes.data(), &m[i + 2], 6);
            named = true;
        }
        i += at(i + 1) * 8u;
    }
    return true;
}

struct Told {
    uint8_t control, who, odd, flags;
    Bytes octets;
    Side side() const { return control & 1 ? Side::back : Side::front; }
    int kind() const { return control >> 1 & 3; }
    bool mended() const { return (control & 8) != 0; }
};

class Run {
public:
    Run() { f_.set_group(GroupId{0}, state_); }

    void step(const Told& s) {
        ear_.clear();
        if (s.kind() == 2) return arp(s);
        if (s.kind() == 3) return pass(s);
        nd(s);
    }

private:
    // Whose an address is, by its configuration and the group's state.
    const MacAddress* owner(const IpAddress& a, Side side) const {
        const bool back = side == Side::back;
        if (back && (a == kOwn4 || a == kOwn6)) return &kBackMac;
        if (a == link_local(back ? kBackMac : kFrontMac)) return back ? &kBackMac : &kFrontMac;
        const bool ours = back ? a == kPool4 || a == kPool6 : a == kVip4 || a == kVip6;
        return ours && state_.active && state_.confirmed ? &kGroupMac : nullptr;
    }

    void expect_learned(Side side, const IpAddress& a, const MacAddress& mac) {
        const bool known = side == Side::back && (a == kBackend4 || a == kBackend6);
        require(ear_.learned.size() == size_t{known && !mac.is_group()},
                "learns what it asked for");
        if (ear_.learned.empty()) return;
        const Ear::Learned& l = ear_.learned[0];
        require(l.side == side && l.address == a && l.mac == mac, "what it was told");
    }

    // The message's octets, checksum not yet right.
    static std::vector<std::byte> message_of(const Told& s) {
        std::vector<std::byte> m(kNdFixed);
        m[0] = std::byte(s.kind() == 0 ? 135 : 136);
        m[1] = std::byte(s.odd >> 1 & 1);
        m[4] = std::byte(s.flags);
        const IpAddress& target = kSix[s.who & 15];
        std::memcpy(&m[8], target.bytes.data(), 16);
        size_t i = 0;
        while (i + 8 <= s.octets.size()) {
            size_t units = static_cast<size_t>(s.octets[i + 1]) % 3 + 1;
            if (i + units * 8 > s.octets.size()) units = 1;
            m.insert(m.end(), s.octets.begin() + static_cast<ptrdiff_t>(i),
                     s.octets.begin() + static_cast<ptrdiff_t>(i + units * 8));
            if (!(s.odd & 4)) m[m.size() - units * 8 + 1] = std::byte(units);
            i += units * 8;
        }
        for (; i + 2 <= s.octets.size(); i += 2)
            if (const auto at = static_cast<size_t>(s.octets[i]); at < m.size())
                m[at] ^= s.octets[i + 1];
        if (s.odd & 8) m.resize(m.size() - std::min<size_t>(m.size() - 8, s.flags & 31));
        return m;
    }

    void nd(const Told& s) {
        std::vector<std::byte> m = message_of(s);
        IpHeader ip =
            ip_header(kSix[s.who >> 4], s.odd & 16 ? kAllNodes : kVip6, kProtocolIcmpv6, m.size());
        if (is_multicast(ip.source)) ip.source = {};
        ip.ttl = s.odd & 1 ? 254 : 255;
        EthernetHeader ethernet{kGroupMac, s.odd & 32 ? kMulticastMac : kSenderMac,
                                static_cast<uint16_t>(s.odd & 64 ? kVlan : 0), kEtherTypeIpv6};
        if (s.mended()) finish_icmp(ip.source, ip.destination, m);
        emit(ethernet, [&](ByteWriter& w) {
            emit_ip(ip, w);
            w.put(m);
        });
        const Step did = hand(s.side());
        const auto type = static_cast<uint8_t>(m[0]);
        if (type != 135 && type != 136) return;
        if (!parse_icmp(ip, m)) {
            require(did.verdict == Step::Verdict::drop && ear_.sent.empty() && ear_.learned.empty(),
                    "a wrong checksum says nothing");
            return;
        }
        MacAddress mac = ethernet.source;
        bool named = false;
        const bool good = acceptable(m, ip.ttl, mac, named);
        require(good == (did.verdict == Step::Verdict::consumed), "taken when it is acceptable");
        require(good || did.reason == DropReason::nd_malformed, "refused for a reason");
        if (!good) {
            require(ear_.sent.empty() && ear_.learned.empty(), "what is refused says nothing");
            return;
        }
        round_trip(ip, m);
        const IpAddress target = load_address(m.data() + 8, false);
        const bool asks = type == 135;
        expect_learned(s.side(), asks ? ip.source : target, mac);
        expect_answer(s, asks ? owner(target, s.side()) : nullptr, ethernet, ip, target);
        hear(asks ? ip.source : target, mac);
    }

    void expect_answer(const Told& s, const MacAddress* mac, const EthernetHeader& asker,
                       const IpHeader& ip, const IpAddress& target) {
        require(ear_.sent.size() == size_t{mac != nullptr}, "answered when it is ours");
        if (mac == nullptr) return;
        require(ear_.sent[0].side == s.side(), "where it was asked");
        const Nd a = take_nd(ear_.sent[0].frame);
        const bool nameless = ip.source == IpAddress{};
        require(a.ethernet.source == *mac && a.ethernet.vlan == asker.vlan, "from who has it");
        require(a.ethernet.destination == (nameless ? multicast_mac(kAllNodes) : asker.source),
                "to who asked");
        require(a.ip.destination == (nameless ? kAllNodes : ip.source), "to who asked, by address");
        require(a.ip.source == target && a.message.target == target, "of what was asked");
        require(!a.message.solicitation && a.message.link_layer == *mac, "where it is");
        require(a.message.flags == (NdMessage::kOverride | (nameless ? 0u : NdMessage::kSolicited)),
                "flags of an answer");
    }

    static void round_trip(const IpHeader& ip, Bytes m) {
        const auto first = parse_nd(ip, m);
        require(first.has_value(), "parses as it did");
        std::byte buffer[128];
        ByteWriter w(buffer);
        emit_nd(*first, ip.source, ip.destination, w);
        require(w.ok(), "fits");
        const auto header = parse_ipv6(w.written());
        require(header.has_value(), "a packet");
        const Bytes again = w.written().subspan(header->header_size);
        require(parse_icmp(*header, again).has_value(), "its checksum");
        require(parse_nd(*header, again) == first, "the same after a round trip");
    }

    void arp(const Told& s) {
        const EthernetHeader ethernet{kBroadcastMac, s.odd & 32 ? kMulticastMac : kSenderMac,
                                      static_cast<uint16_t>(s.odd & 64 ? kVlan : 0), kEtherTypeArp};
        ArpPacket a{static_cast<uint16_t>(s.odd & 1 ? ArpPacket::kReply : ArpPacket::kRequest),
                    ethernet.source,
                    kFour[s.who >> 4 & 7],
                    {},
                    kFour[s.who & 7]};
        std::byte body[kArpSize];
        ByteWriter w(body);
        emit_arp(a, w);
        for (size_t i = 0; i + 2 <= s.octets.size(); i += 2)
            body[static_cast<size_t>(s.octets[i]) % kArpSize] ^= s.octets[i + 1];
        emit(ethernet, [&](ByteWriter& to) { to.put(body); });
        const Step did = hand(s.side());
        const uint16_t operation = load_be<uint16_t>(body + 6);
        const bool good =
            load_be<uint32_t>(body) == 0x0001'0800 && load_be<uint16_t>(body + 4) == 0x0604 &&
            (operation == 1 || operation == 2) && (body[8] & std::byte{1}) == std::byte{};
        require(good == (did.verdict == Step::Verdict::consumed), "taken when it is acceptable");
        if (!good) {
            require(ear_.sent.empty() && ear_.learned.empty(), "what is refused says nothing");
            return;
        }
        std::memcpy(a.sender_mac.bytes.data(), body + 8, 6);
        a.sender = IpAddress::v4(load_be<uint32_t>(body + 14));
        a.target = IpAddress::v4(load_be<uint32_t>(body + 24));
        expect_learned(s.side(), a.sender, a.sender_mac);
        const MacAddress* mac =
            operation == 1 && a.sender != a.target ? owner(a.target, s.side()) : nullptr;
        require(ear_.sent.size() == size_t{mac != nullptr}, "answered when it is ours");
        if (mac != nullptr) {
            EthernetHeader header;
            const ArpPacket said = take_arp(ear_.sent[0].frame, header);
            require(said == ArpPacket{ArpPacket::kReply, *mac, a.target, a.sender_mac, a.sender},
                    "an answer to who asked");
            require(header.destination == ethernet.source && header.source == *mac, "by its way");
        }
        hear(a.sender, a.sender_mac);
    }

    // The cache alone: what it asks for is well made, and it remembers what it was told.
    void hear(const IpAddress& a, const MacAddress& mac) {
        const bool known = cache_.learn(a, mac, now_);
        require(!known || (cache_.mac_of(a) && *cache_.mac_of(a) == mac), "remembers");
        require(!(known && mac.is_group()), "nobody is a group");
    }

    void pass(const Told& s) {
        if (s.odd & 1) {
            state_.active = (s.flags & 1) != 0;
            state_.confirmed = (s.flags & 2) != 0;
            f_.set_group(GroupId{0}, state_);
        }
        if (s.odd & 2) f_.announce(GroupId{0}, now_);
        const IpAddress& other = s.odd & 8 ? kFour[s.who & 7] : kSix[s.who & 15];
        if ((s.odd & 4) && !is_multicast(other)) cache_.find_or_add(other, now_);
        now_ = now_ + Duration::milliseconds(int64_t{s.flags} * s.flags);
        const bool kept = cache_.mac_of(kBackend6) != nullptr;
        for (int i = 0; i < 64 && f_.next_deadline() <= now_; ++i) f_.on_deadline(now_, ear_);
        require(f_.next_deadline() > now_, "deadlines are met");
        cache_.on_deadline(now_, ear_);
        require(cache_.next_deadline() > now_, "the cache's too");
        require(!kept || cache_.mac_of(kBackend6) != nullptr, "what is pinned is not forgotten");
        for (const Sent& sent : ear_.sent) {
            EthernetHeader ethernet;
            if (load_be<uint16_t>(sent.frame.data() + 12) == kEtherTypeArp) {
                take_arp(sent.frame, ethernet);
                continue;
            }
            const Nd n = take_nd(sent.frame);
            require(n.ethernet.destination == multicast_mac(n.ip.destination), "to its group");
            require(n.ip.destination == (n.message.solicitation
                                             ? solicited_node_multicast(n.message.target)
                                             : kAllNodes),
                    "asked of who may have it, told to all");
        }
    }

    template <typename Write>
    void emit(const EthernetHeader& ethernet, Write write) {
        memory_.resize(kFrameHeadroom + kMaxFrame);
        ByteWriter w(MutableBytes(memory_).subspan(kFrameHeadroom));
        emit_ethernet(ethernet, w);
        write(w);
        require(w.ok(), "fits");
        memory_.resize(kFrameHeadroom + w.used());
        memory_.shrink_to_fit();
    }
    Step hand(Side side) {
        Frame frame{memory_.data() + kFrameHeadroom,
                    static_cast<uint32_t>(memory_.size() - kFrameHeadroom), side};
        const Step s = f_.on_frame(frame, now_, ear_);
        require((s.verdict == Step::Verdict::drop) == (s.reason != DropReason::none), "a reason");
        return s;
    }

    Ear ear_;
    Instant now_{1'000'000'000};
    Forwarder f_{options(), ear_, now_};
    GroupState state_{true, Epoch{1}, false};
    NeighborCache cache_ = [&] {
        NeighborCache c(options().back, Side::back, 2);
        c.pin(kBackend6, now_);
        c.pin(kBackend4, now_);
        return c;
    }();
    std::vector<std::byte>
        memory_;  // ends with its frame, so that a sanitizer sees what goes beyond
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    ByteReader r({reinterpret_cast<const std::byte*>(data), size});
    Run run;
    for (int i = 0; i < 64 && !r.rest().empty(); ++i) {
        Told s{};
        s.control = r.le<uint8_t>();
        s.who = r.le<uint8_t>();
        s.odd = r.le<uint8_t>();
        s.flags = r.le<uint8_t>();
        const size_t length = r.le<uint8_t>();
        s.octets = r.take(std::min(length, r.rest().size()));
        run.step(s);
    }
    return 0;
}
