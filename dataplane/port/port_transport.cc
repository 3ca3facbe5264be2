#include "dataplane/port/port_transport.h"

#include <rte_mbuf.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <optional>

#include "base/check.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ip.h"

namespace holdfast {
namespace {

constexpr size_t kUdpHeader = 8;

MacAddress mac_of_group(const IpAddress& group) {
    const auto& b = group.bytes;
    if (group.is_v4())
        return {{0x01, 0x00, 0x5e, static_cast<uint8_t>(b[13] & 0x7f), b[14], b[15]}};
    return {{0x33, 0x33, b[12], b[13], b[14], b[15]}};
}

struct Received {
    EthernetHeader ethernet;
    IpHeader ip;
    uint16_t port = 0;
    Bytes datagram;
};

// Nothing when it is not a whole UDP datagram; the caller looks whether it is ours.
std::optional<Received> parse_udp(Bytes frame) {
    auto ethernet = parse_ethernet(frame);
    if (!ethernet) return std::nullopt;
    Bytes packet = frame.subspan(ethernet->size);
    if (ethernet->type != kEtherTypeIpv4 && ethernet->type != kEtherTypeIpv6) return std::nullopt;
    auto ip = ethernet->type == kEtherTypeIpv4 ? parse_ipv4(packet) : parse_ipv6(packet);
    if (!ip || ip->protocol != kProtocolUdp || ip->payload_size < kUdpHeader) return std::nullopt;
    Bytes udp = packet.subspan(ip->header_size, ip->payload_size);
    uint16_t length = load_be<uint16_t>(udp.data() + 4);
    if (length < kUdpHeader || length > udp.size()) return std::nullopt;
    return Received{*ethernet, *ip, load_be<uint16_t>(udp.data() + 2),
                    udp.subspan(kUdpHeader, length - kUdpHeader)};
}

}  // namespace

PortTransport::PortTransport(const PortTransportOptions& options, Port& port, Transmitter& out)
    : options_(options), port_(port), out_(out), group_mac_(mac_of_group(options.group)) {
    CHECK(options.local.is_v4() == options.group.is_v4());
    for (const auto& [node, address] : options.peers) {
        CHECK(address.is_v4() == options.local.is_v4());
        peers_[node.value] = {.address = address, .mac = {}, .known = true};
    }
    if (options.worker < port.rx_queues()) {
        const std::vector<int>& own = port.doorbells(options.worker);
        if (!own.empty()) doorbell_ = own.front();
    } else {
        // Another worker reads the port and wakes us through the handover.
        doorbell_ = never_ = eventfd(0, EFD_CLOEXEC);
    }
}

PortTransport::~PortTransport() {
    for (; head_ != tail_; ++head_) rte_pktmbuf_free(queue_[head_ % kQueue].buffer);
    if (never_ >= 0) close(never_);
}

void PortTransport::multicast(Bytes datagram) {
    send(group_mac_, options_.group, 1, datagram);  // never routed
}

void PortTransport::unicast(NodeId to, Bytes datagram) {
    const Peer& peer = peers_[to.value];
    if (!peer.known) {
        ++counters_.send_dropped;
        return;
    }
    if (!peer.heard) ++counters_.sent_to_unknown_mac;
    send(peer.heard ? peer.mac : kBroadcastMac, peer.address, 64, datagram);
}

void PortTransport::send(const MacAddress& mac, const IpAddress& to, uint8_t ttl, Bytes datagram) {
    bool v4 = to.is_v4();
    size_t udp_size = kUdpHeader + datagram.size();
    MutableBytes frame = out_.compose(Side::ring, 14 + (v4 ? 20 : 40) + udp_size);
    if (frame.empty()) {
        ++counters_.send_dropped;
        return;
    }
    ByteWriter w(frame);
    emit_ethernet(
        {.destination = mac, .source = port_.mac(), .type = v4 ? kEtherTypeIpv4 : kEtherTypeIpv6},
        w);
    emit_ip({.source = options_.local,
             .destination = to,
             .payload_size = static_cast<uint32_t>(udp_size),
             .protocol = kProtocolUdp,
             .ttl = ttl,
             .v4 = v4},
            w);
    std::byte* udp = frame.data() + w.used();
    w.be<uint16_t>(options_.port);
    w.be<uint16_t>(options_.port);
    w.be<uint16_t>(static_cast<uint16_t>(udp_size));
    w.be<uint16_t>(0);
    w.put(datagram);
    if (!v4) {
        uint16_t sum = checksum_of(add_to_sum(
            pseudo_header_sum(options_.local, to, kProtocolUdp, static_cast<uint32_t>(udp_size)),
            Bytes(udp, udp_size)));
        store_checksum(udp + 6, sum != 0 ? sum : 0xffff);  // RFC 8200 section 8.1
    }
    ++counters_.datagrams_sent;
}

bool PortTransport::take(const Frame& frame, rte_mbuf* buffer) {
    auto got = parse_udp({frame.data, frame.length});
    if (!got || got->port != options_.port) return false;
    if (got->ip.destination != options_.group && got->ip.destination != options_.local)
        return false;
    learn(got->ip.source, got->ethernet.source);
    if (tail_ - head_ == kQueue) {
        ++counters_.receive_overflows;
        rte_pktmbuf_free(buffer);
        return true;
    }
    queue_[tail_++ % kQueue] = {buffer, got->datagram};
    return true;
}

void PortTransport::learn(const IpAddress& from, const MacAddress& mac) {
    for (Peer& peer : peers_)
        if (peer.known && peer.address == from) {
            peer.mac = mac;
            peer.heard = !mac.is_group();
        }
}

unsigned PortTransport::receive(DatagramSink& sink, unsigned limit, Instant now) {
    unsigned n = 0;
    for (; n < limit && head_ != tail_; ++n) {
        Waiting waiting = queue_[head_++ % kQueue];
        sink.on_datagram(waiting.datagram, now);
        rte_pktmbuf_free(waiting.buffer);
    }
    counters_.datagrams_received += n;
    return n;
}

}  // namespace holdfast
