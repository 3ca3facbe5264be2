#include "tools/trafficgen/neighbors.h"

#include <algorithm>

#include "dataplane/wire/arp.h"
#include "dataplane/wire/icmp.h"
#include "dataplane/wire/nd.h"

namespace holdfast::gen {
namespace {

constexpr size_t kMostStations = 1024;

// What dataplane/neighbor writes, out of one port.
class OnePort final : public Outlet {
public:
    OnePort(FrameOut& out, unsigned port) : out_(out), port_(port) {}
    void transmit(Side, Bytes frame) override {
        const MutableBytes to = out_.compose(port_, std::max(frame.size(), kSmallestFrame));
        if (to.empty()) return;
        std::ranges::copy(frame, to.begin());
        std::ranges::fill(to.subspan(frame.size()), std::byte{0});
    }

private:
    FrameOut& out_;
    unsigned port_;
};

}  // namespace

Neighbors::Neighbors(Link front, Link back, FrameOut& out, GenCounters& counters,
                     std::function<bool(const IpAddress&)> ours)
    : front_(std::move(front)),
      back_(std::move(back)),
      out_(out),
      counters_(counters),
      ours_(std::move(ours)) {
    entries_.reserve(kMost);
    for (const Link* l : {&front_, &back_})
        for (unsigned port : l->ports)
            last_.resize(std::max<size_t>(last_.size(), port + 1), kNone);
}

uint16_t Neighbors::add(const IpAddress& address, Side side) {
    if (const auto found = by_address_.find(address); found != by_address_.end())
        return found->second;
    if (entries_.size() == kMost) return kNone;
    const auto index = static_cast<uint16_t>(entries_.size());
    entries_.push_back({.address = address, .side = side});
    by_address_.emplace(address, index);
    return index;
}

uint16_t Neighbors::learn(const IpAddress& address, Side side, const MacAddress& mac,
                          unsigned port) {
    const uint16_t index = add(address, side);
    if (index != kNone && !entries_[index].known) heard(address, mac, port);
    return index;
}

Side Neighbors::side_of(unsigned port) const {
    return std::ranges::find(front_.ports, port) != front_.ports.end() ? Side::front : Side::back;
}

void Neighbors::station(unsigned port, const MacAddress& mac) {
    if (port >= last_.size() || mac.is_group()) return;
    auto found = std::ranges::find(stations_, mac, &Station::mac);
    if (found == stations_.end()) {
        if (stations_.size() == kMostStations) return;
        found = stations_.insert(found, {mac, port});
    } else if (found->port != port) {
        // Two sides are two switches.
        if (side_of(found->port) != side_of(port)) return;
        found->port = port;
        ++counters_.moved;
        for (Entry& e : entries_)
            if (e.known && e.hop.to == mac) e.hop.port = port;
    }
    last_[port] = static_cast<uint16_t>(found - stations_.begin());
}

void Neighbors::heard(const IpAddress& address, const MacAddress& mac, unsigned port) {
    const auto found = by_address_.find(address);
    if (found == by_address_.end()) return;
    Entry& e = entries_[found->second];
    e.known = true;
    e.hop = {port, link(e.side).mac, mac};
}

void Neighbors::ask(Entry& e, Instant now) {
    if (e.asked.ns != 0 && now - e.asked < kAskAgain) return;
    e.asked = now;
    const Link& from = link(e.side);
    const bool v4 = e.address.is_v4();
    const IpAddress own = v4 ? from.own_v4 : from.own_v6;
    if (own == IpAddress{}) return;
    std::byte buffer[96];
    ByteWriter w(buffer);
    if (v4) {
        emit_ethernet({kBroadcastMac, from.mac, 0, kEtherTypeArp}, w);
        emit_arp({ArpPacket::kRequest, from.mac, own, {}, e.address}, w);
    } else {
        const IpAddress group = solicited_node_multicast(e.address);
        emit_ethernet({multicast_mac(group), from.mac, 0, kEtherTypeIpv6}, w);
        emit_nd({.solicitation = true, .target = e.address, .link_layer = from.mac}, own, group, w);
    }
    for (unsigned port : from.ports) {
        OnePort(out_, port).transmit(e.side, w.written());
        ++counters_.arp_asked;
    }
}

void Neighbors::on_arp(unsigned port, const EthernetHeader& ethernet, Bytes body) {
    const auto arp = parse_arp(body);
    if (!arp) return;
    heard(arp->sender, arp->sender_mac, port);
    if (arp->operation != ArpPacket::kRequest || arp->sender == arp->target || !ours_(arp->target))
        return;
    OnePort out(out_, port);
    answer_arp(ethernet, *arp, link(side_of(port)).mac, side_of(port), out);
    ++counters_.arp_answered;
}

void Neighbors::on_nd(unsigned port, const EthernetHeader& ethernet, const IpHeader& ip,
                      Bytes icmp) {
    const auto message = parse_nd(ip, icmp);
    if (!message) return;
    if (!message->solicitation) {
        if (message->link_layer) heard(message->target, *message->link_layer, port);
        return;
    }
    if (message->link_layer) heard(ip.source, *message->link_layer, port);
    if (!ours_(message->target)) return;
    OnePort out(out_, port);
    answer_solicitation(ethernet, ip, *message, link(side_of(port)).mac, side_of(port), out);
    ++counters_.arp_answered;
}

}  // namespace holdfast::gen
