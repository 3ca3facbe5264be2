// The ceiling of the kernel's UDP: multicast datagrams as full as they go, by sendmmsg, without
// numbers, repair, flow control or sealing. What a receiver cannot keep up with is lost.
#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "tests/bench/ring_peer.h"

namespace holdfast::bench {
namespace {

constexpr size_t kDatagram = 1400;  // a full one holds one message of 1400 octets
constexpr unsigned kBatch = 64;     // datagrams handed to the kernel at once

void require(bool ok, const char* what) {
    if (ok) return;
    std::perror(what);
    std::exit(1);
}

class RawPeer : public Peer {
public:
    RawPeer(const PeerOptions& o, Deliver deliver)
        : size_(o.size),
          each_(std::max<size_t>(1, kDatagram / o.size) * o.size),
          deliver_(std::move(deliver)),
          started_(clock_now()) {
        require(fd_ >= 0, "socket");
        to_.sin_family = AF_INET;
        to_.sin_port = htons(o.port);
        require(inet_pton(AF_INET, o.group.c_str(), &to_.sin_addr) == 1, "group");
        ip_mreqn via{};
        via.imr_multiaddr = to_.sin_addr;
        via.imr_ifindex = static_cast<int>(if_nametoindex(o.interface.c_str()));
        const int room = 4 << 20;  // as our ring's socket
        setsockopt(fd_, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
        set(IPPROTO_IP, IP_MULTICAST_IF, via);
        if (!o.sender) {
            require(bind(fd_, reinterpret_cast<const sockaddr*>(&to_), sizeof to_) == 0, "bind");
            set(IPPROTO_IP, IP_ADD_MEMBERSHIP, via);
        }
        for (unsigned i = 0; i < kBatch; ++i) {
            pieces_[i] = {memory_[i].data(), memory_[i].size()};
            messages_[i].msg_hdr.msg_iov = &pieces_[i];
            messages_[i].msg_hdr.msg_iovlen = 1;
            if (!o.sender) continue;
            messages_[i].msg_hdr.msg_name = &to_;
            messages_[i].msg_hdr.msg_namelen = sizeof to_;
            pieces_[i].iov_len = 0;
        }
    }
    ~RawPeer() override { close(fd_); }

    bool ready() override { return clock_now() - started_ > Duration::milliseconds(300); }
    bool offer(Bytes message) override {
        if (pieces_[used_].iov_len == each_ && ++used_ == kBatch) send();
        std::memcpy(memory_[used_].data() + pieces_[used_].iov_len, message.data(), message.size());
        pieces_[used_].iov_len += message.size();
        return true;
    }
    void flush() override {
        if (pieces_[used_].iov_len > 0) ++used_;
        send();
    }
    void poll(Duration wait) override {
        if (receive() || wait.ns == 0) return;
        pollfd p{.fd = fd_, .events = POLLIN, .revents = 0};
        const timespec t{wait.ns / 1'000'000'000, wait.ns % 1'000'000'000};
        ppoll(&p, 1, &t, nullptr);
    }

private:
    template <typename T>
    void set(int level, int name, const T& value) {
        require(setsockopt(fd_, level, name, &value, sizeof value) == 0, "setsockopt");
    }
    void send() {
        for (unsigned at = 0; at < used_;) {
            const int n = sendmmsg(fd_, &messages_[at], used_ - at, 0);
            require(n > 0, "sendmmsg");
            at += static_cast<unsigned>(n);
        }
        for (unsigned i = 0; i < std::min(used_ + 1, kBatch); ++i) pieces_[i].iov_len = 0;
        used_ = 0;
    }
    bool receive() {
        const int n = recvmmsg(fd_, messages_.data(), kBatch, MSG_DONTWAIT, nullptr);
        for (int i = 0; i < n; ++i)
            for (size_t at = 0; at + size_ <= messages_[static_cast<size_t>(i)].msg_len;
                 at += size_)
                deliver_(Bytes(memory_[static_cast<size_t>(i)]).subspan(at, size_));
        return n > 0;
    }

    size_t size_, each_;  // of a message, and of all in a datagram
    Deliver deliver_;
    Instant started_;
    int fd_ = socket(AF_INET, SOCK_DGRAM, 0);
    sockaddr_in to_{};
    std::array<std::array<std::byte, kDatagram>, kBatch> memory_;
    std::array<iovec, kBatch> pieces_{};
    std::array<mmsghdr, kBatch> messages_{};
    unsigned used_ = 0;
};

}  // namespace

std::unique_ptr<Peer> make_peer(const PeerOptions& options, Peer::Deliver deliver) {
    return std::make_unique<RawPeer>(options, std::move(deliver));
}

}  // namespace holdfast::bench
