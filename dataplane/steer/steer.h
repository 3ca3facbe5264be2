// Which frames of an AF_XDP interface are the packet worker's: loads addresses into our XDP program
// and reads what it counted.
//
// The order at start is: detach_leftover(), open the port with xdp_prog=<SteerProgram::path()> (the
// AF_XDP driver loads and attaches the program and puts its sockets in), Steer::find(), take().
// Until the first take() everything stays with the kernel. The driver detaches the program when the
// port is closed; after a SIGKILL it stays and drops what is ours, which is what clients of a dead
// node should see. Control thread only. Errors are sentences for the operator.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/counters.h"
#include "dataplane/wire/address.h"

namespace holdfast {

// In the order of enum steer_counter.
struct SteerCounters {
    uint64_t taken_ipv4 = 0;
    uint64_t taken_ipv6 = 0;
    uint64_t taken_arp = 0;
    uint64_t taken_nd = 0;
    uint64_t taken_ring = 0;
    uint64_t passed_arp = 0;
    uint64_t passed_ip = 0;
    uint64_t passed_other = 0;
    uint64_t passed_short = 0;
    uint64_t dropped_no_socket = 0;
};

inline constexpr CounterInfo<SteerCounters> kSteerCounters[] = {
    {"taken_ipv4", "IPv4 packets to an address of ours.", &SteerCounters::taken_ipv4},
    {"taken_ipv6", "IPv6 packets to an address of ours.", &SteerCounters::taken_ipv6},
    {"taken_arp", "ARP about an address of ours.", &SteerCounters::taken_arp},
    {"taken_nd", "Multicast neighbour discovery about an address of ours.",
     &SteerCounters::taken_nd},
    {"taken_ring", "Datagrams of the replication ring.", &SteerCounters::taken_ring},
    {"passed_arp", "ARP left to the kernel.", &SteerCounters::passed_arp},
    {"passed_ip", "IP packets left to the kernel.", &SteerCounters::passed_ip},
    {"passed_other", "Frames of other protocols left to the kernel.", &SteerCounters::passed_other},
    {"passed_short", "Frames too short to tell, left to the kernel.", &SteerCounters::passed_short},
    {"dropped_no_socket", "Frames of ours on a queue that no worker reads.",
     &SteerCounters::dropped_no_socket},
};

// The program as a file that exists only as long as this object: nothing is installed or left.
class SteerProgram {
public:
    static std::expected<SteerProgram, std::string> create();
    SteerProgram(SteerProgram&& other) noexcept;
    SteerProgram& operator=(SteerProgram&&) = delete;
    ~SteerProgram();
    const std::string& path() const { return path_; }

private:
    explicit SteerProgram(int fd);
    int fd_;
    std::string path_;
};

// The kernel interface of a net_af_xdp device, from its devargs; nothing for other devices.
std::optional<std::string> af_xdp_interface(std::string_view devargs);

// Removes our program where an earlier run could not. True when there was one; an error when the
// interface carries somebody else's.
std::expected<bool, std::string> detach_leftover(const std::string& interface);

class Steer {
public:
    // The maps of our program on that interface.
    static std::expected<std::unique_ptr<Steer>, std::string> find(const std::string& interface);
    ~Steer();
    Steer(const Steer&) = delete;
    Steer& operator=(const Steer&) = delete;

    // Frames for `address` are the worker's from now on, or the kernel's again.
    std::expected<void, std::string> take(const IpAddress& address);
    std::expected<void, std::string> give_back(const IpAddress& address);
    // So are UDP datagrams to this multicast group on these ports (when the ring is on DPDK).
    std::expected<void, std::string> take_ring(const IpAddress& group, uint16_t first_port,
                                               uint16_t last_port);
    SteerCounters counters() const;

private:
    Steer() = default;
    std::string interface_;
    int v4_ = -1, v6_ = -1, ring_ = -1, counters_ = -1;
};

}  // namespace holdfast
