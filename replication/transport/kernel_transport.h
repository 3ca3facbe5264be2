// Ring datagrams over kernel UDP: multicast to a group, or a copy to each peer where the network
// carries no multicast (most clouds). IPv4 or IPv6.
//
// Two sockets with a group: DATA arrives on the group's, and cannot crowd out requests and answers,
// which come by unicast on the other (read first). Only this group is heard (IP_MULTICAST_ALL off),
// only on this interface; nothing is fragmented. A full socket buffer drops and counts. Bursts are
// handed to the kernel as one where it can cut them (UDP_SEGMENT).
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/cluster.h"
#include "base/counters.h"
#include "replication/transport/transport.h"

namespace holdfast {

struct KernelTransportOptions {
    std::string interface;  // empty: any (then no group)
    std::string local;      // our address on the ring link
    std::string group;      // empty: unicast fan-out
    uint16_t port = 0;
    std::vector<std::pair<NodeId, std::string>> peers;  // their addresses, same port
    bool loop = false;  // hear multicast of this host's own nodes: several on one host
    uint32_t mtu = 1500;
    // 4 MB is 15 ms of a full 2 Gbit/s stream; a worker that sleeps longer repairs or skips.
    uint32_t socket_buffer = 4u << 20;
};

struct TransportCounters {
    uint64_t datagrams_sent = 0;
    uint64_t send_dropped = 0;
    uint64_t datagrams_received = 0;
    uint64_t truncated = 0;
    uint64_t socket_overflows = 0;
};
inline constexpr auto kTransportCounters = std::to_array<CounterInfo<TransportCounters>>({
    {"datagrams_sent", "Datagrams given to the kernel; each copy of a fan-out counts.",
     &TransportCounters::datagrams_sent},
    {"send_dropped", "Datagrams the kernel did not take.", &TransportCounters::send_dropped},
    {"datagrams_received", "Datagrams received.", &TransportCounters::datagrams_received},
    {"truncated", "Datagrams longer than the MTU, dropped.", &TransportCounters::truncated},
    {"socket_overflows", "Datagrams lost because our socket buffer was full.",
     &TransportCounters::socket_overflows},
});

class KernelTransport : public RingTransport {
public:
    // The error says which call failed and why, for a person.
    static std::expected<std::unique_ptr<KernelTransport>, std::string> open(
        const KernelTransportOptions& options);
    ~KernelTransport() override;

    void multicast(Bytes datagram) override;
    void unicast(NodeId to, Bytes datagram) override;
    void flush() override;
    unsigned receive(DatagramSink& sink, unsigned limit, Instant now) override;
    int fd() const override { return epoll_; }

    // Asks the kernel for its overflow counts: not for the hot path.
    TransportCounters counters() const;

private:
    static constexpr unsigned kBatch = 64;
    static constexpr size_t kTrain = 60'000;  // bytes; a UDP datagram cannot be longer than 65,507

    struct Address {
        sockaddr_storage bytes{};
        socklen_t size = 0;  // 0: none
    };

    explicit KernelTransport(const KernelTransportOptions& options);
    std::string start(const KernelTransportOptions& options);  // empty: all well
    std::string open_unicast(const KernelTransportOptions& options);
    std::string open_group(const KernelTransportOptions& options);
    static std::string parse(const std::string& text, uint16_t port, Address& address);

    std::byte* buffer(unsigned i) { return memory_.get() + i * stride_; }
    bool copy_in(Bytes datagram);
    void queue(const Address& to, size_t size);
    bool joins_train(const Address& to, size_t size) const;
    void send_singly(const msghdr& train);
    unsigned receive_from(int socket, DatagramSink& sink, unsigned limit, Instant now);

    size_t stride_;
    int unicast_ = -1;
    int group_ = -1;
    int epoll_ = -1;
    Address group_address_;
    std::array<Address, kMaxNodes> peers_{};
    NodeSet known_;

    std::unique_ptr<std::byte[]> memory_;  // kBatch to send, kBatch to receive into
    unsigned buffers_used_ = 0;
    // Datagrams of one size to one address go to the kernel as one (UDP_SEGMENT), and are cut apart
    // by it or by the NIC: a train.
    struct alignas(cmsghdr) Control {
        std::array<std::byte, 32> bytes;
    };
    bool trains_work_ = true;
    unsigned queued_ = 0;     // datagrams
    unsigned trains_ = 0;     // of one datagram at least
    size_t train_bytes_ = 0;  // of the last one
    std::array<mmsghdr, kBatch> out_{};
    std::array<Control, kBatch> controls_{};
    std::array<iovec, kBatch> out_bytes_{};
    std::array<mmsghdr, kBatch> in_{};
    std::array<iovec, kBatch> in_bytes_{};
    TransportCounters counters_;
};

}  // namespace holdfast
