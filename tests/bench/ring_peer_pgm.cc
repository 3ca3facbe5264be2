// OpenPGM (RFC 3208 over UDP), Debian's libpgm. Its sample's timers (50 ms, 2 s) repair nothing in
// the time that matters here; these are 1 ms and 5 ms. It has no flow control: at full speed what a
// receiver could not keep up with is lost, which the delivered share shows.
#include <netinet/in.h>
#include <poll.h>
// Behind poll.h: it looks for POLLIN.
#include <pgm/pgm.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "tests/bench/ring_peer.h"

namespace holdfast::bench {
namespace {

void require(bool ok, const char* what, pgm_error_t* const& error = nullptr) {
    if (ok) return;
    std::fprintf(stderr, "%s: %s\n", what, error != nullptr ? error->message : "failed");
    std::exit(1);
}

class PgmPeer : public Peer {
public:
    PgmPeer(const PeerOptions& o, Deliver deliver) : deliver_(std::move(deliver)), buffer_(65536) {
        pgm_error_t* error = nullptr;
        require(pgm_init(&error), "pgm_init", error);
        pgm_addrinfo_t* address = nullptr;
        std::string network = o.address(o.node) + ";" + o.group;
        require(pgm_getaddrinfo(network.c_str(), nullptr, &address, &error), "pgm_getaddrinfo",
                error);
        require(pgm_socket(&socket_, AF_INET, SOCK_SEQPACKET, IPPROTO_UDP, &error), "pgm_socket",
                error);
        set(PGM_UDP_ENCAP_UCAST_PORT, o.port);
        set(PGM_UDP_ENCAP_MCAST_PORT, o.port);
        set(PGM_MTU, 1500);
        if (o.sender)
            be_sender();
        else
            be_receiver();
        bind(o, *address);
        pgm_freeaddrinfo(address);
        started_ = clock_now();
    }
    ~PgmPeer() override { pgm_close(socket_, false); }

    bool ready() override { return clock_now() - started_ > Duration::milliseconds(300); }
    bool offer(Bytes message) override {
        size_t written = 0;
        int status = pgm_send(socket_, message.data(), message.size(), &written);
        return status == PGM_IO_STATUS_NORMAL;
    }
    void flush() override {}
    void poll(Duration wait) override {
        if (receive() || wait.ns == 0) return;
        pollfd p[8];
        int n = 8;
        pgm_poll_info(socket_, p, &n, POLLIN);
        // Its own timers have a grain of a millisecond or so; sleeping past them would only hurt
        // it.
        if (wait > Duration::milliseconds(1)) wait = Duration::milliseconds(1);
        timespec t{0, wait.ns};
        ppoll(p, static_cast<nfds_t>(n), &t, nullptr);
        receive();
    }
    std::string statistics() const override {
        return "{\"resets\": " + std::to_string(resets_) + "}";
    }

private:
    void set(int option, int value) {
        require(pgm_setsockopt(socket_, IPPROTO_PGM, option, &value, sizeof value),
                "pgm_setsockopt");
    }
    void be_sender() {
        set(PGM_SEND_ONLY, 1);
        set(PGM_TXW_SQNS, 65536);
        set(PGM_AMBIENT_SPM, static_cast<int>(pgm_msecs(500)));
        const int ladder[] = {1000, 1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000};  // us
        require(pgm_setsockopt(socket_, IPPROTO_PGM, PGM_HEARTBEAT_SPM, ladder, sizeof ladder),
                "SPM");
    }
    void be_receiver() {
        set(PGM_RECV_ONLY, 1);
        set(PGM_RXW_SQNS, 65536);
        set(PGM_PEER_EXPIRY, static_cast<int>(pgm_secs(300)));
        set(PGM_SPMR_EXPIRY, static_cast<int>(pgm_msecs(250)));
        set(PGM_NAK_BO_IVL, static_cast<int>(pgm_msecs(1)));
        set(PGM_NAK_RPT_IVL, static_cast<int>(pgm_msecs(5)));
        set(PGM_NAK_RDATA_IVL, static_cast<int>(pgm_msecs(5)));
        set(PGM_NAK_DATA_RETRIES, 50);
        set(PGM_NAK_NCF_RETRIES, 50);
    }
    void bind(const PeerOptions& o, const pgm_addrinfo_t& address) {
        pgm_error_t* error = nullptr;
        pgm_sockaddr_t local{};
        local.sa_port = 7500;
        local.sa_addr.sport = 0;
        pgm_gsi_t gsi{};
        std::string name = o.address(o.node);
        pgm_gsi_create_from_string(&gsi, name.c_str(), -1);
        std::memcpy(&local.sa_addr.gsi, &gsi, sizeof gsi);
        pgm_interface_req_t interface {};
        interface.ir_interface = address.ai_recv_addrs[0].gsr_interface;
        require(pgm_bind3(socket_, &local, sizeof local, &interface, sizeof interface, &interface,
                          sizeof interface, &error),
                "pgm_bind3", error);
        for (unsigned i = 0; i < address.ai_recv_addrs_len; ++i)
            require(pgm_setsockopt(socket_, IPPROTO_PGM, PGM_JOIN_GROUP, &address.ai_recv_addrs[i],
                                   sizeof address.ai_recv_addrs[i]),
                    "PGM_JOIN_GROUP");
        require(pgm_setsockopt(socket_, IPPROTO_PGM, PGM_SEND_GROUP, &address.ai_send_addrs[0],
                               sizeof address.ai_send_addrs[0]),
                "PGM_SEND_GROUP");
        set(PGM_MULTICAST_LOOP, 0);
        set(PGM_MULTICAST_HOPS, 1);
        set(PGM_NOBLOCK, 1);
        int buffer = 4 << 20;
        pgm_setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
        pgm_setsockopt(socket_, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
        require(pgm_connect(socket_, &error), "pgm_connect", error);
    }
    // At the sender this serves requests for repair.
    bool receive() {
        bool any = false;
        for (int i = 0; i < 512; ++i) {
            size_t n = 0;
            pgm_error_t* error = nullptr;
            int status =
                pgm_recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT, &n, &error);
            if (error != nullptr) pgm_error_free(error);
            if (status == PGM_IO_STATUS_RESET) {
                ++resets_;
                continue;
            }
            if (status != PGM_IO_STATUS_NORMAL) return any;
            any = true;
            deliver_(Bytes(buffer_).first(n));
        }
        return any;
    }

    Deliver deliver_;
    std::vector<std::byte> buffer_;
    pgm_sock_t* socket_ = nullptr;
    Instant started_{};
    uint64_t resets_ = 0;
};

}  // namespace

std::unique_ptr<Peer> make_peer(const PeerOptions& options, Peer::Deliver deliver) {
    return std::make_unique<PgmPeer>(options, std::move(deliver));
}

}  // namespace holdfast::bench
