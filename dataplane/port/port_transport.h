// The replication ring over a DPDK port: the ring's datagrams as UDP in IPv4 or IPv6, with headers
// of our own and no kernel on the way.
//
// Multicast goes to the MAC derived from the group (RFC 1112 section 6.4, RFC 2464 section 7);
// unicast to the MAC a peer's datagrams last came from, or to broadcast while none has come (only
// the addressed node keeps it). Neither ARP nor IGMP is spoken: the ring's link is one link. MACs
// and addresses prove nothing here; the ring's seal does. The IPv4 UDP checksum is left out (RFC
// 768), since the seal covers more. A worker's: it is the poll loop's filter (take) and its ring
// source (receive, later in the same poll). No allocation after construction.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/cluster.h"
#include "base/counters.h"
#include "dataplane/port/poll_loop.h"
#include "replication/transport/transport.h"

namespace holdfast {

struct PortTransportOptions {
    IpAddress local;  // this node's on the ring's link; all addresses are of one family
    IpAddress group;
    std::vector<std::pair<NodeId, IpAddress>> peers{};
    uint16_t port = 0;    // UDP, of this worker: the configured one + worker
    unsigned worker = 0;  // whose queue of the port to sleep on
    unsigned workers = 1;
};

struct PortTransportCounters {
    uint64_t datagrams_sent = 0;
    uint64_t send_dropped = 0;
    uint64_t datagrams_received = 0;
    uint64_t receive_overflows = 0;
    uint64_t sent_to_unknown_mac = 0;
};
inline constexpr CounterInfo<PortTransportCounters> kPortTransportCounters[] = {
    {"datagrams_sent", "Datagrams given to the port.", &PortTransportCounters::datagrams_sent},
    {"send_dropped", "Datagrams for which there was no buffer, or no such peer.",
     &PortTransportCounters::send_dropped},
    {"datagrams_received", "Datagrams received.", &PortTransportCounters::datagrams_received},
    {"receive_overflows", "Datagrams lost because too many came in one poll.",
     &PortTransportCounters::receive_overflows},
    {"sent_to_unknown_mac", "Datagrams to a peer that had not been heard, sent to broadcast.",
     &PortTransportCounters::sent_to_unknown_mac},
};

class PortTransport final : public RingTransport, public FrameFilter {
public:
    PortTransport(const PortTransportOptions& options, Port& port, Transmitter& out);
    ~PortTransport() override;

    void multicast(Bytes datagram) override;
    void unicast(NodeId to, Bytes datagram) override;
    void flush() override {}  // the poll loop sends at the end of the poll
    unsigned receive(DatagramSink& sink, unsigned limit, Instant now) override;
    int fd() const override { return doorbell_; }

    bool take(const Frame& frame, rte_mbuf* buffer) override;

    const PortTransportCounters& counters() const { return counters_; }

private:
    static constexpr uint32_t kQueue = 256;  // several bursts from port and handover
    struct Peer {
        IpAddress address;
        MacAddress mac;
        bool known = false;
        bool heard = false;
    };

    void send(const MacAddress& mac, const IpAddress& to, uint8_t ttl, Bytes datagram);
    void learn(const IpAddress& from, const MacAddress& mac);

    PortTransportOptions options_;
    Port& port_;
    Transmitter& out_;
    MacAddress group_mac_;
    std::array<Peer, kMaxNodes> peers_{};
    struct Waiting {
        rte_mbuf* buffer;
        Bytes datagram;
    };
    std::array<Waiting, kQueue> queue_{};
    uint32_t head_ = 0, tail_ = 0;  // positions; their difference is what waits
    int never_ = -1;                // a descriptor that never rings, for a worker without a queue
    int doorbell_ = -1;
    PortTransportCounters counters_;
};

}  // namespace holdfast
