// One DPDK Ethernet device, opened by its devargs: a PCI address, net_af_xdp, net_af_packet,
// net_memif, net_ring, net_pcap, or the name of a device that exists already.
//
// Queue q is read by worker q mod W; a worker sends on tx queue w, or shares one under a lock when
// the device has fewer. open() and everything but receive() and transmit() belong to the control
// thread; those two may be called by the queue's worker only, except that transmit() on a shared
// queue may be called by all. Nothing allocates after open(). What the device can offload is not
// used: checksums are computed by whoever rewrites a frame.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/service/steering.h"
#include "dataplane/wire/address.h"

struct rte_mbuf;
struct rte_mempool;

namespace holdfast {

using RssKey = std::array<uint8_t, 40>;

// Buffers for all ports of the process. Shared, so that a frame goes from one port to another
// without a copy (AF_XDP registers this memory with the kernel).
class FramePool {
public:
    // About 2.4 KB a frame. AF_XDP takes 4096 for each queue; a ring of descriptors as many as it
    // has.
    static std::expected<std::unique_ptr<FramePool>, std::string> create(uint32_t frames);
    ~FramePool();
    FramePool(const FramePool&) = delete;
    FramePool& operator=(const FramePool&) = delete;
    rte_mempool* handle() const { return pool_; }
    uint32_t available() const;

private:
    explicit FramePool(rte_mempool* pool) : pool_(pool) {}
    rte_mempool* pool_;
};

struct DeviceOptions {
    std::string name;          // what logs and metrics call it: "front"
    std::string device{};      // DPDK devargs
    std::string xdp_object{};  // net_af_xdp: path of the steering program, see dataplane/steer
    unsigned workers = 1;      // wanted queue pairs; a device may have fewer
    uint16_t descriptors = 1024;
    uint16_t mtu = 1500;      // bytes of IP datagram; room for two VLAN tags is added
    bool promiscuous = true;  // virtual MACs need it where a device takes no further addresses
    RssKey rss_key = kDefaultRssKey;  // for devices that can spread frames over queues themselves
};

// What the driver counts. The kernel's own drops are in `missed` where the driver tells.
struct PortStats {
    uint64_t rx_packets, rx_bytes, rx_missed, rx_errors, rx_no_buffer;
    uint64_t tx_packets, tx_bytes, tx_errors;
};

class Port {
public:
    static std::expected<std::unique_ptr<Port>, std::string> open(const DeviceOptions& options,
                                                                  FramePool& pool);
    ~Port();
    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;

    unsigned receive(unsigned queue, std::span<rte_mbuf*> to);
    // Returns how many were taken from the front of `frames`; the rest is still the caller's.
    // `still_good` is asked when the queue is ours and nothing but the driver comes any more:
    // false sends nothing.
    template <typename StillGood>
    unsigned transmit(unsigned queue, std::span<rte_mbuf*> frames, StillGood&& still_good) {
        SharedQueue lock(*this, queue);
        return still_good() ? send(queue, frames) : 0;
    }

    uint16_t id() const { return id_; }
    const std::string& name() const { return name_; }
    std::string driver() const;
    MacAddress mac() const { return mac_; }
    unsigned rx_queues() const { return rx_queues_; }
    unsigned tx_queues() const { return tx_queues_; }
    unsigned tx_queue_of(unsigned worker) const { return worker % tx_queues_; }
    // The device was given our key and table: what its queues deliver should be sorted by worker.
    bool spreads() const { return spreads_; }
    // File descriptors that become readable when frames wait on that queue; none where the driver
    // has no such thing.
    const std::vector<int>& doorbells(unsigned rx_queue) const { return doorbells_[rx_queue]; }
    bool link_up() const;
    PortStats stats() const;
    void reset_stats();  // and the extended ones
    std::vector<std::pair<std::string, uint64_t>> extended_stats() const;

private:
    // Holds a tx queue that several workers use.
    class SharedQueue {
    public:
        SharedQueue(Port& port, unsigned queue);
        ~SharedQueue();

    private:
        struct QueueLock* lock_;
    };

    Port() = default;
    std::expected<void, std::string> probe(const DeviceOptions& options);
    std::expected<void, std::string> configure(const DeviceOptions& options, FramePool& pool);
    std::expected<void, std::string> set_up_queues(const DeviceOptions& options, FramePool& pool);
    void spread(const DeviceOptions& options);
    unsigned send(unsigned queue, std::span<rte_mbuf*> frames);

    std::string name_;
    std::string devargs_;
    uint16_t id_ = 0;
    bool probed_ = false;  // by us, so it is ours to remove
    bool started_ = false;
    bool spreads_ = false;
    unsigned rx_queues_ = 0;
    unsigned tx_queues_ = 0;
    MacAddress mac_;
    std::vector<std::vector<int>> doorbells_;
    std::vector<struct QueueLock*> locks_;
};

}  // namespace holdfast
