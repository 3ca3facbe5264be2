#include "dataplane/port/flow_sorter.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "dataplane/service/steering.h"
#include "dataplane/wire/testing.h"

namespace holdfast {
namespace {

using testing::Buffer;
using testing::endpoint;
using testing::frame_of;
using testing::ip;

Bytes wire(const IpAddress& a) {
    return std::as_bytes(std::span(a.bytes)).subspan(a.is_v4() ? 12 : 0);
}

uint32_t hash(const FlowSorter& s, const char* from, const char* to) {
    Endpoint a = endpoint(from), b = endpoint(to);
    return s.hash(wire(a.address), wire(b.address), a.port, b.port);
}

// From "Verifying the RSS hash calculation", Microsoft's driver documentation.
TEST(FlowSorter, HashesLikeTheVerificationSuite) {
    FlowSorter s(1, kDefaultRssKey);
    EXPECT_EQ(hash(s, "66.9.149.187:2794", "161.142.100.80:1766"), 0x51ccc178u);
    EXPECT_EQ(hash(s, "199.92.111.2:14230", "65.69.140.83:4739"), 0xc626b0eau);
    EXPECT_EQ(hash(s, "[3ffe:2501:200:1fff::7]:2794", "[3ffe:2501:200:3::1]:1766"), 0x40207d3du);
}

TEST(FlowSorter, AgreesWithWhatChoosesSourcePorts) {
    Random random(1);
    for (unsigned workers : {2u, 3u, 8u}) {
        FlowSorter sorter(workers, kDefaultRssKey);
        FlowSteering steering{.workers = static_cast<uint8_t>(workers)};
        for (int i = 0; i < 2000; ++i) {
            FlowKey key;
            if (i % 2) {
                key.source.address = IpAddress::v4(static_cast<uint32_t>(random.next()));
                key.destination.address = IpAddress::v4(static_cast<uint32_t>(random.next()));
            } else {
                for (IpAddress* a : {&key.source.address, &key.destination.address})
                    for (uint8_t& b : a->bytes) b = static_cast<uint8_t>(random.next());
            }
            key.source.port = static_cast<uint16_t>(random.next());
            key.destination.port = static_cast<uint16_t>(random.next());
            Buffer frame = frame_of({key.source, key.destination});
            ASSERT_TRUE(FlowSorter::carries_tcp(frame));
            ASSERT_EQ(sorter.owner_of(frame), steering.worker_of(key)) << i;
        }
    }
}

TEST(FlowSorter, TheTagDoesNotMatter) {
    FlowSorter s(8, kDefaultRssKey);
    testing::Seg segment{endpoint("192.0.2.1:4000"), endpoint("198.51.100.1:80")};
    unsigned untagged = s.owner_of(frame_of(segment));
    segment.vlan = 7;
    EXPECT_EQ(s.owner_of(frame_of(segment)), untagged);
}

// An Ethernet frame of that type around bytes given in hex.
Buffer frame(uint16_t type, std::string_view hex) {
    Buffer out(14);
    store_be(out.data() + 12, type);
    std::ranges::copy(testing::from_hex(hex), std::back_inserter(out));
    return out;
}

Buffer arp(const char* operation, const char* sender, const char* target) {
    return frame(0x0806, std::string("0001 0800 06 04 ") + operation + "020000000001" + sender +
                             "000000000000" + target);
}

TEST(FlowSorter, NeighboursAreForAllQuestionsForTheFirst) {
    FlowSorter s(2, kDefaultRssKey);
    EXPECT_EQ(s.owner_of(arp("0001", "c0000201", "c0000232")), 0u);
    EXPECT_EQ(s.owner_of(arp("0002", "c0000201", "c0000232")), FlowSorter::kAll);
    EXPECT_EQ(s.owner_of(arp("0001", "c0000232", "c0000232")), FlowSorter::kAll);
}

TEST(FlowSorter, AnIcmpErrorFollowsTheFlowItQuotes) {
    FlowSorter s(8, kDefaultRssKey);
    for (uint16_t port = 1000; port < 1064; ++port) {
        Endpoint client = endpoint("192.0.2.1:0"), vip = endpoint("198.51.100.1:80");
        client.port = port;
        // What we sent, as a router quotes it: the IP header and eight bytes.
        Buffer sent = frame_of({vip, client});
        Buffer error = frame(0x0800,
                             "45000038 00000000 40010000 cb007101 c6336401"
                             "0b000000 00000000");
        error.insert(error.end(), sent.begin() + 14, sent.begin() + 14 + 28);
        EXPECT_EQ(s.owner_of(error), s.owner_of(frame_of({client, vip})));
    }
}

TEST(FlowSorter, RingDatagramsGoByPort) {
    FlowSorter s(2, kDefaultRssKey, 5000);
    std::string head = "45000020 00000000 40110000 cb007101 efff0001 1388";
    EXPECT_EQ(s.owner_of(frame(0x0800, head + "1388 000c0000 00000000")), 0u);
    EXPECT_EQ(s.owner_of(frame(0x0800, head + "1389 000c0000 00000000")), 1u);
    EXPECT_EQ(s.owner_of(frame(0x0800, head + "138a 000c0000 00000000")), FlowSorter::kAny);
}

TEST(FlowSorter, AnythingAtAllIsSurvived) {
    FlowSorter s(2, kDefaultRssKey, 5000);
    Random random(7);
    constexpr uint16_t kTypes[] = {0x0800, 0x86dd, 0x0806, 0x8100, 0x1234};
    for (int i = 0; i < 20'000; ++i) {
        Buffer b(random.below(90));
        for (std::byte& x : b) x = static_cast<std::byte>(random.next());
        if (b.size() >= 14) store_be(b.data() + 12, kTypes[random.below(5)]);
        if (b.size() >= 24 && random.chance(0.5)) b[23] = std::byte{1};
        if (b.size() >= 24 && random.chance(0.5)) b[20] = b[21] = std::byte{0};
        unsigned owner = s.owner_of(b);
        ASSERT_TRUE(owner < 2 || owner >= FlowSorter::kAll);
        FlowSorter::carries_tcp(b);
    }
}

}  // namespace
}  // namespace holdfast
