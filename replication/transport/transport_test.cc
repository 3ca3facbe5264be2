// Kernel sockets on the loopback of a network namespace of our own, and the loss generator around a
// transport made of nothing.
#include <gtest/gtest.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "replication/transport/kernel_transport.h"
#include "replication/transport/loss_transport.h"

namespace holdfast {
namespace {

struct Collector : DatagramSink {
    void on_datagram(Bytes d, Instant) override {
        got.emplace_back(reinterpret_cast<const char*>(d.data()), d.size());
    }
    std::vector<std::string> got;
};

Bytes bytes_of(const std::string& s) { return std::as_bytes(std::span(s)); }

// Enters an empty namespace with its loopback up; false without the privilege.
bool enter_namespace() {
    static const bool entered = [] {
        if (unshare(CLONE_NEWNET) != 0) return false;
        int s = socket(AF_INET, SOCK_DGRAM, 0);
        ifreq request{};
        std::strcpy(request.ifr_name, "lo");
        request.ifr_flags = IFF_UP | IFF_RUNNING | IFF_MULTICAST;
        bool ok = ioctl(s, SIOCSIFFLAGS, &request) == 0;
        close(s);
        return ok;
    }();
    return entered;
}

// Local delivery is synchronous; the wait only guards against a slow softirq.
std::vector<std::string> receive_all(KernelTransport& t, size_t expected) {
    Collector c;
    for (int tries = 0; c.got.size() < expected && tries < 50; ++tries) {
        pollfd p{.fd = t.fd(), .events = POLLIN, .revents = 0};
        poll(&p, 1, 100);
        t.receive(c, 1000, {});
    }
    return c.got;
}

KernelTransportOptions options(int node, const std::string& group) {
    return {.interface = "lo",
            .local = "127.0.0." + std::to_string(1 + node),
            .group = group,
            .port = 4800,
            .peers = {{{0}, "127.0.0.1"}, {{1}, "127.0.0.2"}, {{2}, "127.0.0.3"}},
            .loop = true};
}

class KernelTransportTest : public ::testing::Test {
protected:
    void SetUp() override {
        if (!enter_namespace()) GTEST_SKIP() << "needs the privilege to make a network namespace";
    }
    std::unique_ptr<KernelTransport> open(const KernelTransportOptions& o) {
        auto t = KernelTransport::open(o);
        EXPECT_TRUE(t) << t.error();
        return t ? std::move(*t) : nullptr;
    }
};

TEST_F(KernelTransportTest, MulticastReachesAllAndUnicastOne) {
    auto a = open(options(0, "233.252.0.1")), b = open(options(1, "233.252.0.1"));
    ASSERT_TRUE(a && b);
    a->multicast(bytes_of("all"));
    a->unicast({1}, bytes_of("you"));
    EXPECT_EQ(a->counters().datagrams_sent, 0u);  // still in the batch
    a->flush();
    auto got = receive_all(*b, 2);
    std::ranges::sort(got);
    EXPECT_EQ(got, (std::vector<std::string>{"all", "you"}));
    EXPECT_EQ(receive_all(*a, 1), std::vector<std::string>{"all"});  // several nodes on one host
}

TEST_F(KernelTransportTest, OnlyItsOwnGroupIsHeard) {
    auto a = open(options(0, "233.252.0.1")), b = open(options(1, "233.252.0.2"));
    ASSERT_TRUE(a && b);
    a->multicast(bytes_of("not for b"));
    a->unicast({1}, bytes_of("for b"));
    a->flush();
    EXPECT_EQ(receive_all(*b, 1), std::vector<std::string>{"for b"});
}

TEST_F(KernelTransportTest, WithoutAGroupEachPeerGetsACopy) {
    auto o = options(0, "");
    std::erase_if(o.peers, [](auto& p) { return p.first == NodeId{0}; });
    auto a = open(o), b = open(options(1, "")), c = open(options(2, ""));
    ASSERT_TRUE(a && b && c);
    std::vector<std::string> sent;
    for (int i = 0; i < 100; ++i) {  // more than a batch, and odd boundaries within it
        sent.push_back("datagram " + std::to_string(i));
        a->multicast(bytes_of(sent.back()));
        if (i % 3 == 0) a->unicast({1}, bytes_of("extra"));
    }
    a->flush();
    EXPECT_EQ(receive_all(*c, 100), sent);
    auto got = receive_all(*b, 134);
    std::erase(got, "extra");
    EXPECT_EQ(got, sent);
}

TEST_F(KernelTransportTest, IPv6) {
    if (std::system("ip link add ring0 type veth peer ring1 && ip link set ring0 up && "
                    "ip link set ring1 up && ip addr add 2001:db8::1/64 dev ring0 nodad") != 0)
        GTEST_SKIP() << "no ip command";
    KernelTransportOptions o{.interface = "ring0",
                             .local = "2001:db8::1",
                             .group = "ff02::db8:1",
                             .port = 4801,
                             .peers = {{{0}, "2001:db8::1"}},
                             .loop = true};
    auto a = open(o);
    ASSERT_TRUE(a);
    a->multicast(bytes_of("all"));
    a->unicast({0}, bytes_of("self"));
    a->flush();
    EXPECT_EQ(receive_all(*a, 2).size(), 2u);
}

TEST_F(KernelTransportTest, SaysWhatIsWrong) {
    auto o = options(0, "233.252.0.1");
    o.interface = "nowhere";
    EXPECT_EQ(KernelTransport::open(o).error().substr(0, 17), "interface nowhere");
    o = options(0, "");
    o.local = "192.0.2.1";
    EXPECT_NE(KernelTransport::open(o).error().find("bind"), std::string::npos);
    o.local = "somewhere";
    EXPECT_EQ(KernelTransport::open(o).error(), "not an address: somewhere");
}

TEST_F(KernelTransportTest, TooLongAndUnknownAreCounted) {
    auto a = open(options(0, ""));
    ASSERT_TRUE(a);
    a->unicast({9}, bytes_of("nobody"));
    a->multicast(std::vector<std::byte>(1600));
    EXPECT_EQ(a->counters().send_dropped, 2u);
}

// What is put in comes out at receive().
struct Pipe : RingTransport {
    void multicast(Bytes d) override { in.emplace_back(d.begin(), d.end()); }
    void unicast(NodeId, Bytes d) override { multicast(d); }
    void flush() override {}
    unsigned receive(DatagramSink& sink, unsigned, Instant now) override {
        for (auto& d : std::exchange(in, {})) sink.on_datagram(d, now);
        return 0;
    }
    int fd() const override { return -1; }
    std::vector<std::vector<std::byte>> in;
};

TEST(LossTransport, LosesAndRepeatsItsShareAndAlwaysTheSame) {
    auto run = [](uint64_t seed) {
        Pipe pipe;
        LossTransport lossy(pipe, seed, {.loss = 0.1, .duplicate = 0.05});
        Collector c;
        for (int i = 0; i < 10'000; ++i) {
            lossy.multicast(bytes_of(std::to_string(i)));
            lossy.receive(c, 100, {});
        }
        EXPECT_NEAR(static_cast<double>(lossy.counters().lost), 1000, 120);
        EXPECT_NEAR(static_cast<double>(lossy.counters().duplicated), 450, 90);
        EXPECT_EQ(c.got.size(), 10'000 - lossy.counters().lost + lossy.counters().duplicated);
        return c.got;
    };
    EXPECT_EQ(run(1), run(1));
    EXPECT_NE(run(1), run(2));
}

TEST(LossTransport, DelaysAndReorders) {
    Pipe pipe;
    LossTransport lossy(
        pipe, 1, {.delay = Duration::microseconds(100), .jitter = Duration::microseconds(100)});
    Collector c;
    std::vector<std::string> sent;
    for (int i = 0; i < 100; ++i) {
        sent.push_back(std::to_string(i));
        lossy.multicast(bytes_of(sent.back()));
    }
    EXPECT_EQ(lossy.receive(c, 1000, {0}), 0u);
    EXPECT_GE(lossy.next_deadline(), Instant{100'000});
    lossy.receive(c, 1000, {99'999});
    EXPECT_TRUE(c.got.empty());
    lossy.receive(c, 1000, {200'000});
    EXPECT_NE(c.got, sent);
    std::ranges::sort(c.got);
    std::ranges::sort(sent);
    EXPECT_EQ(c.got, sent);
    EXPECT_EQ(lossy.next_deadline(), Instant::max());
}

TEST(LossTransport, AFullQueueDelaysNothingMore) {
    Pipe pipe;
    LossTransport lossy(pipe, 1, {.delay = Duration::seconds(1)}, 10);
    Collector c;
    for (int i = 0; i < 15; ++i) lossy.multicast(bytes_of("x"));
    EXPECT_EQ(lossy.receive(c, 1000, {0}), 5u);
    EXPECT_EQ(lossy.counters().not_delayed, 5u);
}

}  // namespace
}  // namespace holdfast
