#include "dataplane/port/port.h"

#include <fmt/format.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <algorithm>
#include <mutex>
#include <string_view>

#include "base/check.h"
#include "dataplane/port/doorbell.h"

namespace holdfast {

// A mutex and not a spinlock: sending is a system call on the devices that have one queue only, and
// on a small machine the thread that holds the queue may not be running. The only lock in the data
// plane; a device with a queue for each worker never takes it.
struct QueueLock {
    std::mutex mutex;
};

namespace {

constexpr unsigned kMempoolCache = 128;  // guess; a few bursts
constexpr uint64_t kRssTypes = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_IPV6 | RTE_ETH_RSS_NONFRAG_IPV4_TCP |
                               RTE_ETH_RSS_NONFRAG_IPV6_TCP;

std::string error(const DeviceOptions& o, std::string_view what, int code) {
    return fmt::format("port {}: {}: {} ({})", o.name, what, rte_strerror(code < 0 ? -code : code),
                       o.device);
}

std::string_view device_name(std::string_view devargs) {
    return devargs.substr(0, devargs.find(','));
}

// What a device needs to be told besides what the operator wrote.
std::string complete_devargs(const DeviceOptions& o) {
    std::string args = o.device;
    if (!args.starts_with("net_af_xdp")) return args;
    if (!o.xdp_object.empty()) args += ",xdp_prog=" + o.xdp_object;
    return args;
}

// rte_pktmbuf_pool_create() with a say in how the frames lie. Without huge pages it lets none cross
// a page of 4 KB and so leaves a gap after each; net_af_xdp believes that they lie close together
// and registers only the first part of such a pool with the kernel, which then drops every frame
// that is received into the rest.
rte_mempool* make_pool(const std::string& name, uint32_t frames) {
    const bool pages_matter = rte_eal_has_hugepages() && rte_eal_iova_mode() != RTE_IOVA_VA;
    rte_pktmbuf_pool_private room{};
    room.mbuf_data_room_size = RTE_MBUF_DEFAULT_BUF_SIZE;
    rte_mempool* pool =
        rte_mempool_create_empty(name.c_str(), frames, sizeof(rte_mbuf) + RTE_MBUF_DEFAULT_BUF_SIZE,
                                 kMempoolCache, sizeof(room), static_cast<int>(rte_socket_id()),
                                 pages_matter ? 0 : RTE_MEMPOOL_F_NO_IOVA_CONTIG);
    if (pool == nullptr) return nullptr;
    rte_pktmbuf_pool_init(pool, &room);
    if (rte_mempool_populate_default(pool) < 0) {
        rte_mempool_free(pool);
        return nullptr;
    }
    rte_mempool_obj_iter(pool, rte_pktmbuf_init, nullptr);
    return pool;
}

}  // namespace

std::expected<std::unique_ptr<FramePool>, std::string> FramePool::create(uint32_t frames) {
    static unsigned serial = 0;
    std::string name = fmt::format("frames{}", serial++);
    rte_mempool* pool = make_pool(name, frames);
    if (pool == nullptr)
        return std::unexpected(fmt::format("no memory for {} frames ({}): raise memory_mb", frames,
                                           rte_strerror(rte_errno)));
    return std::unique_ptr<FramePool>(new FramePool(pool));
}

FramePool::~FramePool() { rte_mempool_free(pool_); }
uint32_t FramePool::available() const { return rte_mempool_avail_count(pool_); }

std::expected<std::unique_ptr<Port>, std::string> Port::open(const DeviceOptions& options,
                                                             FramePool& pool) {
    std::unique_ptr<Port> port(new Port());
    port->name_ = options.name;
    if (auto done = port->probe(options); !done) return std::unexpected(done.error());
    if (auto done = port->configure(options, pool); !done) return std::unexpected(done.error());
    if (auto done = port->set_up_queues(options, pool); !done) return std::unexpected(done.error());
    if (int e = rte_eth_dev_start(port->id_); e != 0)
        return std::unexpected(error(options, "does not start", e));
    port->started_ = true;
    port->spread(options);
    if (options.promiscuous) {
        // Not all drivers have it (net_ring, net_memif): those have no address filter either.
        int e = rte_eth_promiscuous_enable(port->id_);
        if (e != 0 && e != -ENOTSUP) return std::unexpected(error(options, "promiscuous", e));
    }
    return port;
}

std::expected<void, std::string> Port::probe(const DeviceOptions& options) {
    devargs_ = complete_devargs(options);
    std::string device(device_name(devargs_));
    if (rte_eth_dev_get_port_by_name(device.c_str(), &id_) == 0) return {};
    std::vector<int> before = packet_sockets();
    if (int e = rte_dev_probe(devargs_.c_str()); e != 0)
        return std::unexpected(error(options, "no such device, or its driver refuses it", e));
    probed_ = true;
    if (int e = rte_eth_dev_get_port_by_name(device.c_str(), &id_); e != 0)
        return std::unexpected(error(options, "not an Ethernet device", e));
    // net_af_packet opens its queues' sockets here, in order; net_af_xdp later.
    for (int fd : opened_between(before, packet_sockets())) {
        doorbells_.push_back({fd});
        ignore_outgoing(fd);
    }
    return {};
}

std::expected<void, std::string> Port::configure(const DeviceOptions& options, FramePool&) {
    rte_eth_dev_info info;
    if (int e = rte_eth_dev_info_get(id_, &info); e != 0)
        return std::unexpected(error(options, "no information", e));
    // A device made by the kernel spreads frames over all its queues, wanted or not; a NIC over
    // those that we configure.
    bool virtual_device = info.max_rx_queues <= 64 && info.reta_size == 0;
    unsigned most = std::max<unsigned>(1, std::min(info.max_rx_queues, info.max_tx_queues));
    rx_queues_ = tx_queues_ = virtual_device ? most : std::min(most, options.workers);

    rte_eth_conf conf{};
    RssKey key = options.rss_key;
    uint64_t types = info.flow_type_rss_offloads & kRssTypes;
    spreads_ = rx_queues_ > 1 && info.reta_size > 0 && info.hash_key_size == key.size() &&
               (types & RTE_ETH_RSS_NONFRAG_IPV4_TCP) && (types & RTE_ETH_RSS_NONFRAG_IPV6_TCP);
    if (spreads_) {
        conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf.rx_adv_conf.rss_conf = {.rss_key = key.data(),
                                     .rss_key_len = static_cast<uint8_t>(key.size()),
                                     .rss_hf = types};
        conf.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_RSS_HASH;
    }
    if (int e = rte_eth_dev_configure(id_, static_cast<uint16_t>(rx_queues_),
                                      static_cast<uint16_t>(tx_queues_), &conf);
        e != 0)
        return std::unexpected(error(options, "does not take our configuration", e));
    rte_ether_addr mac;
    if (rte_eth_macaddr_get(id_, &mac) == 0) std::ranges::copy(mac.addr_bytes, mac_.bytes.begin());
    // Drivers without an MTU of their own say so or invent one; both are fine.
    uint16_t mtu = 0;
    if (rte_eth_dev_get_mtu(id_, &mtu) == 0 && mtu != options.mtu) {
        int e = rte_eth_dev_set_mtu(id_, options.mtu);
        if (e != 0 && e != -ENOTSUP && mtu < options.mtu)
            return std::unexpected(error(options, fmt::format("MTU {}", options.mtu), e));
    }
    return {};
}

std::expected<void, std::string> Port::set_up_queues(const DeviceOptions& options,
                                                     FramePool& pool) {
    uint16_t rx = options.descriptors, tx = options.descriptors;
    rte_eth_dev_adjust_nb_rx_tx_desc(id_, &rx, &tx);
    int socket = std::max(0, rte_eth_dev_socket_id(id_));
    doorbells_.resize(rx_queues_);
    for (uint16_t q = 0; q < tx_queues_; ++q)
        if (int e = rte_eth_tx_queue_setup(id_, q, tx, socket, nullptr); e != 0)
            return std::unexpected(error(options, fmt::format("tx queue {}", q), e));
    for (uint16_t q = 0; q < rx_queues_; ++q) {
        std::vector<int> before = packet_sockets();
        if (int e = rte_eth_rx_queue_setup(id_, q, rx, socket, nullptr, pool.handle()); e != 0)
            return std::unexpected(error(options, fmt::format("rx queue {}", q), e));
        std::ranges::copy(opened_between(before, packet_sockets()),
                          std::back_inserter(doorbells_[q]));
    }
    locks_.assign(tx_queues_, nullptr);
    if (tx_queues_ < options.workers)
        for (QueueLock*& lock : locks_) lock = new QueueLock();
    return {};
}

// Entry i of the device's indirection table leads to the queue of the worker that owns hash i (see
// rss.h). A device that refuses is treated as one that cannot.
void Port::spread(const DeviceOptions& options) {
    rte_eth_dev_info info;
    if (!spreads_ || rte_eth_dev_info_get(id_, &info) != 0) return;
    std::vector<rte_eth_rss_reta_entry64> table((info.reta_size + 63) / 64);
    for (unsigned i = 0; i < info.reta_size; ++i) {
        table[i / 64].mask |= uint64_t{1} << (i % 64);
        table[i / 64].reta[i % 64] = static_cast<uint16_t>(i % 128 % options.workers % rx_queues_);
    }
    spreads_ = rte_eth_dev_rss_reta_update(id_, table.data(), info.reta_size) == 0;
}

Port::~Port() {
    if (started_) rte_eth_dev_stop(id_);
    if (probed_) {
        rte_eth_dev_info info;
        bool known = rte_eth_dev_info_get(id_, &info) == 0;
        rte_eth_dev_close(id_);
        if (known) rte_dev_remove(info.device);
    }
    for (QueueLock* lock : locks_) delete lock;
}

Port::SharedQueue::SharedQueue(Port& port, unsigned queue) : lock_(port.locks_[queue]) {
    if (lock_ != nullptr) lock_->mutex.lock();
}
Port::SharedQueue::~SharedQueue() {
    if (lock_ != nullptr) lock_->mutex.unlock();
}

unsigned Port::receive(unsigned queue, std::span<rte_mbuf*> to) {
    return rte_eth_rx_burst(id_, static_cast<uint16_t>(queue), to.data(),
                            static_cast<uint16_t>(to.size()));
}

unsigned Port::send(unsigned queue, std::span<rte_mbuf*> frames) {
    return rte_eth_tx_burst(id_, static_cast<uint16_t>(queue), frames.data(),
                            static_cast<uint16_t>(frames.size()));
}

std::string Port::driver() const {
    rte_eth_dev_info info;
    return rte_eth_dev_info_get(id_, &info) == 0 ? info.driver_name : "";
}

bool Port::link_up() const {
    rte_eth_link link;
    return rte_eth_link_get_nowait(id_, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

PortStats Port::stats() const {
    rte_eth_stats s{};
    rte_eth_stats_get(id_, &s);
    return {.rx_packets = s.ipackets,
            .rx_bytes = s.ibytes,
            .rx_missed = s.imissed,
            .rx_errors = s.ierrors,
            .rx_no_buffer = s.rx_nombuf,
            .tx_packets = s.opackets,
            .tx_bytes = s.obytes,
            .tx_errors = s.oerrors};
}

void Port::reset_stats() {
    rte_eth_stats_reset(id_);
    rte_eth_xstats_reset(id_);
}

std::vector<std::pair<std::string, uint64_t>> Port::extended_stats() const {
    std::vector<std::pair<std::string, uint64_t>> out;
    int n = rte_eth_xstats_get_names(id_, nullptr, 0);
    if (n <= 0) return out;
    std::vector<rte_eth_xstat_name> names(static_cast<size_t>(n));
    std::vector<rte_eth_xstat> values(static_cast<size_t>(n));
    if (rte_eth_xstats_get_names(id_, names.data(), static_cast<unsigned>(n)) != n ||
        rte_eth_xstats_get(id_, values.data(), static_cast<unsigned>(n)) != n)
        return out;
    for (const rte_eth_xstat& v : values) out.emplace_back(names[v.id].name, v.value);
    return out;
}

}  // namespace holdfast
