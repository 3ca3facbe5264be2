#include "replication/transport/kernel_transport.h"

#include <arpa/inet.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"

#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29  // linux/in6.h, which clashes with netinet/in.h
#endif
#ifndef IP_MULTICAST_ALL
#define IP_MULTICAST_ALL 49
#endif

namespace holdfast {
namespace {

std::string failed(const char* what) { return std::string(what) + ": " + std::strerror(errno); }

bool set_int(int socket, int level, int name, int value) {
    return setsockopt(socket, level, name, &value, sizeof value) == 0;
}

// Above net.core.rmem_max only with CAP_NET_ADMIN; else as much as is allowed.
void set_buffers(int socket, uint32_t size) {
    int bytes = static_cast<int>(size);
    if (!set_int(socket, SOL_SOCKET, SO_RCVBUFFORCE, bytes))
        set_int(socket, SOL_SOCKET, SO_RCVBUF, bytes);
    if (!set_int(socket, SOL_SOCKET, SO_SNDBUFFORCE, bytes))
        set_int(socket, SOL_SOCKET, SO_SNDBUF, bytes);
}

int new_socket(int family) { return socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); }

const sockaddr* raw(const sockaddr_storage& a) { return reinterpret_cast<const sockaddr*>(&a); }

// Tells the kernel where to cut.
void couple(msghdr& train, std::span<std::byte> control) {
    train.msg_control = control.data();
    train.msg_controllen = CMSG_SPACE(sizeof(uint16_t));
    CHECK(train.msg_controllen <= control.size());
    cmsghdr* c = CMSG_FIRSTHDR(&train);
    c->cmsg_level = SOL_UDP;
    c->cmsg_type = UDP_SEGMENT;
    c->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    const auto size = static_cast<uint16_t>(train.msg_iov[0].iov_len);
    std::memcpy(CMSG_DATA(c), &size, sizeof size);
}

uint64_t overflows(int socket) {
    uint32_t info[SK_MEMINFO_VARS]{};
    socklen_t size = sizeof info;
    if (socket < 0 || getsockopt(socket, SOL_SOCKET, SO_MEMINFO, info, &size) != 0) return 0;
    return info[SK_MEMINFO_DROPS];
}

}  // namespace

std::expected<std::unique_ptr<KernelTransport>, std::string> KernelTransport::open(
    const KernelTransportOptions& options) {
    std::unique_ptr<KernelTransport> t(new KernelTransport(options));
    if (std::string problem = t->start(options); !problem.empty()) return std::unexpected(problem);
    return t;
}

KernelTransport::KernelTransport(const KernelTransportOptions& options)
    : stride_((options.mtu + 63) / 64 * 64),
      memory_(std::make_unique<std::byte[]>(2 * kBatch * stride_)) {
    for (unsigned i = 0; i < kBatch; ++i) {
        in_bytes_[i] = {buffer(kBatch + i), stride_};
        in_[i].msg_hdr.msg_iov = &in_bytes_[i];
        in_[i].msg_hdr.msg_iovlen = 1;
    }
}

KernelTransport::~KernelTransport() {
    for (int fd : {unicast_, group_, epoll_})
        if (fd >= 0) close(fd);
}

std::string KernelTransport::parse(const std::string& text, uint16_t port, Address& address) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&address.bytes);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.bytes);
    if (inet_pton(AF_INET, text.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        address.size = sizeof *v4;
    } else if (inet_pton(AF_INET6, text.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        address.size = sizeof *v6;
    } else {
        return "not an address: " + text;
    }
    return {};
}

std::string KernelTransport::start(const KernelTransportOptions& options) {
    for (const auto& [node, text] : options.peers) {
        if (auto e = parse(text, options.port, peers_[node.value]); !e.empty()) return e;
        known_.add(node);
    }
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0) return failed("epoll_create1");
    if (auto e = open_unicast(options); !e.empty()) return e;
    if (!options.group.empty())
        if (auto e = open_group(options); !e.empty()) return e;
    for (int fd : {unicast_, group_}) {
        epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
        if (fd >= 0 && epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0)
            return failed("epoll_ctl");
    }
    return {};
}

// Everything is sent from this socket; unicast arrives at it.
std::string KernelTransport::open_unicast(const KernelTransportOptions& options) {
    Address local;
    if (auto e = parse(options.local, options.port, local); !e.empty()) return e;
    bool v6 = local.bytes.ss_family == AF_INET6;
    unicast_ = new_socket(local.bytes.ss_family);
    if (unicast_ < 0) return failed("socket");
    set_buffers(unicast_, options.socket_buffer);
    if (v6)
        set_int(unicast_, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
    else
        set_int(unicast_, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
    if (bind(unicast_, raw(local.bytes), local.size) != 0) return failed("bind to local address");
    if (options.group.empty()) return {};

    int index = static_cast<int>(if_nametoindex(options.interface.c_str()));
    if (index == 0) return failed(("interface " + options.interface).c_str());
    bool ok;
    if (v6) {
        ok = set_int(unicast_, IPPROTO_IPV6, IPV6_MULTICAST_IF, index) &&
             set_int(unicast_, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 1) &&
             set_int(unicast_, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, options.loop);
    } else {
        ip_mreqn interface { .imr_multiaddr = {}, .imr_address = {}, .imr_ifindex = index };
        ok = setsockopt(unicast_, IPPROTO_IP, IP_MULTICAST_IF, &interface, sizeof interface) == 0 &&
             set_int(unicast_, IPPROTO_IP, IP_MULTICAST_TTL, 1) &&
             set_int(unicast_, IPPROTO_IP, IP_MULTICAST_LOOP, options.loop);
    }
    return ok ? std::string() : failed("multicast options");
}

std::string KernelTransport::open_group(const KernelTransportOptions& options) {
    if (auto e = parse(options.group, options.port, group_address_); !e.empty()) return e;
    int family = group_address_.bytes.ss_family;
    int index = static_cast<int>(if_nametoindex(options.interface.c_str()));
    if (family == AF_INET6)
        reinterpret_cast<sockaddr_in6*>(&group_address_.bytes)->sin6_scope_id =
            static_cast<uint32_t>(index);
    group_ = new_socket(family);
    if (group_ < 0) return failed("socket");
    set_buffers(group_, options.socket_buffer);
    // Nodes on one host share the group's port; nothing but the group is heard.
    if (!set_int(group_, SOL_SOCKET, SO_REUSEADDR, 1)) return failed("SO_REUSEADDR");
    if (bind(group_, raw(group_address_.bytes), group_address_.size) != 0)
        return failed("bind to group");
    group_req request{};
    request.gr_interface = static_cast<uint32_t>(index);
    std::memcpy(&request.gr_group, &group_address_.bytes, group_address_.size);
    int level = family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
    if (setsockopt(group_, level, MCAST_JOIN_GROUP, &request, sizeof request) != 0)
        return failed("join group");
    int all = family == AF_INET6 ? IPV6_MULTICAST_ALL : IP_MULTICAST_ALL;
    if (!set_int(group_, level, all, 0)) return failed("IP_MULTICAST_ALL");
    return {};
}

bool KernelTransport::copy_in(Bytes datagram) {
    if (datagram.size() > stride_) {
        ++counters_.send_dropped;
        return false;
    }
    if (buffers_used_ == kBatch) flush();
    std::memcpy(buffer(buffers_used_++), datagram.data(), datagram.size());
    return true;
}

// Sends the newest copy to one more address.
void KernelTransport::queue(const Address& to, size_t size) {
    if (queued_ == kBatch) {
        std::byte* newest = buffer(buffers_used_ - 1);
        flush();
        std::memcpy(buffer(0), newest, size);
        buffers_used_ = 1;
    }
    out_bytes_[queued_] = {buffer(buffers_used_ - 1), size};
    if (joins_train(to, size)) {
        ++out_[trains_ - 1].msg_hdr.msg_iovlen;
        train_bytes_ += size;
    } else {
        msghdr& m = out_[trains_++].msg_hdr;
        m = {};
        m.msg_name = const_cast<sockaddr_storage*>(&to.bytes);
        m.msg_namelen = to.size;
        m.msg_iov = &out_bytes_[queued_];
        m.msg_iovlen = 1;
        train_bytes_ = size;
    }
    ++queued_;
}

// All of a train are as long as its first, but for the last, which may be shorter.
bool KernelTransport::joins_train(const Address& to, size_t size) const {
    if (!trains_work_ || trains_ == 0 || train_bytes_ + size > kTrain) return false;
    const msghdr& train = out_[trains_ - 1].msg_hdr;
    const size_t first = train.msg_iov[0].iov_len;
    return train.msg_name == &to.bytes && train.msg_iov[train.msg_iovlen - 1].iov_len == first &&
           size <= first;
}

void KernelTransport::multicast(Bytes datagram) {
    if (!copy_in(datagram)) return;
    if (group_address_.size != 0) return queue(group_address_, datagram.size());
    for (NodeId n : known_) queue(peers_[n.value], datagram.size());
}

void KernelTransport::unicast(NodeId to, Bytes datagram) {
    if (!known_.has(to)) {
        ++counters_.send_dropped;
        return;
    }
    if (copy_in(datagram)) queue(peers_[to.value], datagram.size());
}

void KernelTransport::flush() {
    for (unsigned i = 0; i < trains_; ++i)
        if (out_[i].msg_hdr.msg_iovlen > 1) couple(out_[i].msg_hdr, controls_[i].bytes);
    unsigned done = 0;
    while (done < trains_) {
        int n = sendmmsg(unicast_, out_.data() + done, trains_ - done, 0);
        if (n > 0) {
            for (int i = 0; i < n; ++i) counters_.datagrams_sent += out_[done++].msg_hdr.msg_iovlen;
        } else if (errno != EINTR) {
            // This one is not taken (buffer full, no route): the next may be.
            const msghdr& train = out_[done++].msg_hdr;
            if (train.msg_iovlen > 1 && (errno == EIO || errno == EINVAL || errno == EOPNOTSUPP)) {
                trains_work_ = false;  // the device cannot, or the kernel is too old
                send_singly(train);
            } else {
                counters_.send_dropped += train.msg_iovlen;
            }
        }
    }
    queued_ = trains_ = buffers_used_ = 0;
}

void KernelTransport::send_singly(const msghdr& train) {
    msghdr one = train;
    one.msg_control = nullptr;
    one.msg_controllen = 0;
    one.msg_iovlen = 1;
    for (size_t i = 0; i < train.msg_iovlen; ++i) {
        one.msg_iov = train.msg_iov + i;
        ++(sendmsg(unicast_, &one, 0) >= 0 ? counters_.datagrams_sent : counters_.send_dropped);
    }
}

unsigned KernelTransport::receive(DatagramSink& sink, unsigned limit, Instant now) {
    unsigned n = receive_from(unicast_, sink, limit, now);
    if (group_ >= 0 && n < limit) n += receive_from(group_, sink, limit - n, now);
    return n;
}

unsigned KernelTransport::receive_from(int socket, DatagramSink& sink, unsigned limit,
                                       Instant now) {
    unsigned total = 0;
    while (total < limit) {
        unsigned want = limit - total < kBatch ? limit - total : kBatch;
        int n = recvmmsg(socket, in_.data(), want, MSG_DONTWAIT, nullptr);
        if (n <= 0) break;
        for (int i = 0; i < n; ++i) {
            if (in_[i].msg_hdr.msg_flags & MSG_TRUNC) {
                ++counters_.truncated;
                continue;
            }
            ++counters_.datagrams_received;
            sink.on_datagram(Bytes(buffer(kBatch + static_cast<unsigned>(i)), in_[i].msg_len), now);
        }
        total += static_cast<unsigned>(n);
        if (static_cast<unsigned>(n) < want) break;
    }
    return total;
}

TransportCounters KernelTransport::counters() const {
    TransportCounters c = counters_;
    c.socket_overflows = overflows(unicast_) + overflows(group_);
    return c;
}

}  // namespace holdfast
