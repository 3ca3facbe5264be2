// The clients and the backend of one TCP service, without memory of any connection: each frame that
// arrives says what to answer. A client opens, acknowledges the SYN-ACK and resets; how long the
// SYN-ACK took is read from the sequence number it acknowledges, which was the time of the SYN.
#pragma once

#include <array>
#include <cstring>
#include <vector>

#include "dataplane/wire/checksum.h"
#include "tests/bench/loaded_worker.h"

namespace holdfast::bench {

// In steps of 100 ns up to 100 ms; what took longer is in the last one.
class LatencyHistogram {
public:
    void add(int64_t ns) {
        const auto i = static_cast<size_t>(std::max<int64_t>(ns, 0) / kStep);
        ++counts_[std::min(i, counts_.size() - 1)];
        ++samples_;
    }
    double quantile_us(double q) const {
        const auto wanted = static_cast<uint64_t>(q * static_cast<double>(samples_));
        uint64_t seen = 0;
        for (size_t i = 0; i < counts_.size(); ++i)
            if ((seen += counts_[i]) > wanted) return static_cast<double>(i) * kStep / 1000;
        return 0;
    }
    void clear() { std::ranges::fill(counts_, 0), samples_ = 0; }

private:
    static constexpr int kStep = 100;
    std::vector<uint32_t> counts_ = std::vector<uint32_t>(1'000'000);
    uint64_t samples_ = 0;
};

class TcpLoad {
public:
    // Clients' addresses and ports are used one after the other; there are `clients` of them.
    explicit TcpLoad(uint32_t clients) : clients_(clients) {
        using namespace tcp_flag;
        syn_ = blank(syn, 4);
        syn_ack_ = blank(syn | ack, 3);
        ack_ = blank(ack, 4);
        rst_ = blank(rst | ack, 4);
    }

    void make_syn(std::byte* to, Instant now) {
        const Endpoint from = client(next_);
        if (++next_ == clients_) next_ = 0;
        Flow flow{from.address.bytes, kVip.address.bytes, from.port, kVip.port};
        compose(syn_, flow, stamp(now), 0, to);
    }

    struct Reply {
        unsigned frames = 0;  // 1: in place; 2: and one more, in `second`
        bool established = false, closed = false;
    };
    // Turns a frame that arrived into its answer.
    Reply on_frame(std::byte* frame, std::byte* second, Instant now) {
        Flow flow = Flow::from(frame);
        const auto flags = std::to_integer<uint8_t>(frame[kFlagsAt]) & 0x17;
        const uint32_t seq = load_be<uint32_t>(frame + kSeqAt);
        const uint32_t acknowledged = load_be<uint32_t>(frame + kSeqAt + 4);
        if (flags == tcp_flag::syn) {
            compose(syn_ack_, flow.reversed(), ~seq, seq + 1, frame);
            return {.frames = 1};
        }
        if (flags == (tcp_flag::syn | tcp_flag::ack)) {
            latency.add(int64_t{stamp(now) - (acknowledged - 1)} * kStampNs);
            compose(ack_, flow.reversed(), acknowledged, seq + 1, frame);
            compose(rst_, flow.reversed(), acknowledged, seq + 1, second);
            return {.frames = 2, .established = true};
        }
        return {.closed = (flags & tcp_flag::rst) != 0 && flow.to_port == kBackend.port};
    }

    LatencyHistogram latency;

private:
    static constexpr size_t kIpSumAt = 24, kFlowAt = 26, kSeqAt = 38, kFlagsAt = 47, kTcpSumAt = 50;
    static constexpr int kStampNs = 16;  // a lap of 69 s

    static uint32_t stamp(Instant now) {
        return static_cast<uint32_t>(static_cast<uint64_t>(now.ns) / kStampNs);
    }

    struct Flow {
        std::array<uint8_t, 4> from_address, to_address;
        uint16_t from_port, to_port;

        Flow(const std::array<uint8_t, 16>& from, const std::array<uint8_t, 16>& to,
             uint16_t from_p, uint16_t to_p)
            : from_port(from_p), to_port(to_p) {
            std::copy_n(from.end() - 4, 4, from_address.begin());  // IPv4-mapped
            std::copy_n(to.end() - 4, 4, to_address.begin());
        }
        Flow() = default;
        static Flow from(const std::byte* frame) {
            Flow f;
            std::memcpy(f.from_address.data(), frame + kFlowAt, 4);
            std::memcpy(f.to_address.data(), frame + kFlowAt + 4, 4);
            f.from_port = load_be<uint16_t>(frame + kFlowAt + 8);
            f.to_port = load_be<uint16_t>(frame + kFlowAt + 10);
            return f;
        }
        Flow reversed() const {
            Flow f = *this;
            std::swap(f.from_address, f.to_address);
            std::swap(f.from_port, f.to_port);
            return f;
        }
    };

    // With zeros where compose() writes.
    static SmallFrame blank(uint8_t flags, uint8_t source_mac) {
        const Endpoint nobody{IpAddress::v4(0), 0};
        Seg s{nobody, nobody, flags};
        s.source_mac = mac(source_mac);
        s.destination_mac = kVirtualMac;
        if (flags & tcp_flag::syn) s.options.mss = 1460;
        SmallFrame frame{};
        const testing::Buffer made = frame_of(s);
        CHECK(made.size() <= SmallFrame::kSize);
        std::ranges::copy(made, frame.bytes.begin());
        return frame;
    }
    // Addresses, ports and numbers lie side by side, and both checksums follow them by difference.
    static void compose(const SmallFrame& blank, const Flow& flow, uint32_t seq, uint32_t ack,
                        std::byte* to) {
        std::memcpy(to, blank.bytes.data(), blank.bytes.size());
        std::memcpy(to + kFlowAt, flow.from_address.data(), 4);
        std::memcpy(to + kFlowAt + 4, flow.to_address.data(), 4);
        store_be(to + kFlowAt + 8, flow.from_port);
        store_be(to + kFlowAt + 10, flow.to_port);
        store_be(to + kSeqAt, seq);
        store_be(to + kSeqAt + 4, ack);
        ChecksumDelta addresses, all;
        addresses.replace(blank.bytes.data() + kFlowAt, to + kFlowAt, 8);
        addresses.apply(to + kIpSumAt);
        all.replace(blank.bytes.data() + kFlowAt, to + kFlowAt, 20);
        all.apply(to + kTcpSumAt);
    }

    uint32_t clients_;
    uint32_t next_ = 0;
    SmallFrame syn_, syn_ack_, ack_, rst_;
};

}  // namespace holdfast::bench
