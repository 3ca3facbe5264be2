#include "dataplane/neighbor/neighbor_cache.h"

#include "dataplane/wire/arp.h"
#include "dataplane/wire/nd.h"

namespace holdfast {
namespace {

bool same_prefix(const IpAddress& a, const IpAddress& b, unsigned bits) {
    for (unsigned i = 0; i < bits; ++i) {
        const unsigned shift = 7 - i % 8;
        if ((a.bytes[i / 8] ^ b.bytes[i / 8]) >> shift & 1) return false;
    }
    return true;
}

// 50, 100, 200 ms, then a second: a backend that is there answers the first, and a session waits.
Duration retry_after(uint8_t tries) {
    return tries < 4 ? Duration::milliseconds(25 << tries) : Duration::seconds(1);
}

}  // namespace

IpAddress next_hop(const PortOptions& port, const IpAddress& destination) {
    const bool v4 = destination.is_v4();
    const auto& gateway = v4 ? port.gateway_v4 : port.gateway_v6;
    if (!gateway) return destination;
    const auto& own = v4 ? port.own_v4 : port.own_v6;
    if (own && same_prefix(*own, destination, v4 ? 96u + port.prefix_v4 : port.prefix_v6))
        return destination;
    return *gateway;
}

NeighborCache::NeighborCache(const PortOptions& port, Side side, uint32_t dynamic)
    : port_(port), side_(side), dynamic_left_(dynamic) {
    entries_.reserve(dynamic);
}

uint32_t NeighborCache::index_of(const IpAddress& address) const {
    for (uint32_t i = 0; i < entries_.size(); ++i)
        if (entries_[i].used && entries_[i].address == address) return i;
    return kNone;
}

uint32_t NeighborCache::start(uint32_t handle, const IpAddress& address, bool pinned, Instant now) {
    Entry& e = entries_[handle];
    e = {};
    e.address = address;
    e.used = true;
    e.pinned = pinned;
    e.due = now;
    next_ = earlier(next_, now);
    return handle;
}

uint32_t NeighborCache::pin(const IpAddress& address, Instant now) {
    if (uint32_t i = index_of(address); i != kNone) {
        entries_[i].pinned = true;
        return i;
    }
    entries_.reserve(entries_.size() + 1 + dynamic_left_);
    entries_.emplace_back();
    return start(static_cast<uint32_t>(entries_.size() - 1), address, true, now);
}

uint32_t NeighborCache::find_or_add(const IpAddress& address, Instant now) {
    if (uint32_t i = index_of(address); i != kNone) return i;
    for (uint32_t i = 0; i < entries_.size(); ++i)
        if (!entries_[i].used) return start(i, address, false, now);
    if (dynamic_left_ == 0) {
        ++counters_.full;
        return kNone;
    }
    --dynamic_left_;
    entries_.emplace_back();
    return start(static_cast<uint32_t>(entries_.size() - 1), address, false, now);
}

const MacAddress* NeighborCache::mac_of(const IpAddress& address) const {
    return mac(index_of(address));
}

bool NeighborCache::learn(const IpAddress& address, const MacAddress& mac, Instant now) {
    const uint32_t i = index_of(address);
    if (i == kNone || mac.is_group()) return false;
    Entry& e = entries_[i];
    if (e.resolved && e.mac != mac) ++counters_.moved;
    ++counters_.learned;
    e.mac = mac;
    e.resolved = true;
    e.tries = 0;
    e.confirmed = now;
    e.due = now + (kReachable - kRefreshBefore);
    next_ = earlier(next_, e.due);
    return true;
}

void NeighborCache::give_up(Entry& e, Instant now) {
    ++counters_.failed;
    e.tries = 0;
    if (e.pinned) {
        e.due = now + kCoolDown;
        return;
    }
    e.used = false;
    e.resolved = false;
    e.due = Instant::max();
}

void NeighborCache::on_deadline(Instant now, Outlet& out) {
    next_ = Instant::max();
    for (Entry& e : entries_) {
        if (e.used && e.due <= now) {
            if (e.tries == kTries) {
                give_up(e, now);
            } else {
                request(e, out);
                e.due = now + retry_after(++e.tries);
            }
        }
        if (e.used) next_ = earlier(next_, e.due);
    }
}

// Asked from the node's own address; without one, as an ARP probe (RFC 5227), which is answered
// without being remembered, or from the link-local address.
void NeighborCache::request(const Entry& e, Outlet& out) {
    ++counters_.requests;
    std::byte buffer[96];
    ByteWriter w(buffer);
    if (e.address.is_v4()) {
        emit_ethernet({kBroadcastMac, port_.mac, port_.vlan, kEtherTypeArp}, w);
        emit_arp({ArpPacket::kRequest,
                  port_.mac,
                  port_.own_v4.value_or(IpAddress::v4(0)),
                  {},
                  e.address},
                 w);
    } else {
        const IpAddress to = solicited_node_multicast(e.address);
        emit_ethernet({multicast_mac(to), port_.mac, port_.vlan, kEtherTypeIpv6}, w);
        NdMessage m;
        m.solicitation = true;
        m.target = e.address;
        m.link_layer = port_.mac;
        emit_nd(m, port_.own_v6.value_or(link_local(port_.mac)), to, w);
    }
    out.transmit(side_, w.written());
}

}  // namespace holdfast
