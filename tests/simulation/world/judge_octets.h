// I3, and I1 below the sockets: an octet of a connection's stream that was on the wire once is the
// same whenever it is sent again, by whichever node. Of a TLS stream that says that no nonce sealed
// two plaintexts. A datagram of the ring that has a number has one content.
#pragma once

#include <map>
#include <unordered_map>

#include "replication/ring/frame.h"
#include "tests/simulation/world/judge.h"

namespace holdfast::simulation {

class OctetsJudge final : public Judge {
public:
    const char* name() const override { return "octets"; }

    void on_frame(const FrameSeen& f, std::span<const NodeSeen>, Instant now) override {
        if (!f.segment || f.segment->has(Segment::kRst)) return;
        const Segment& s = *f.segment;
        Stream& stream = streams_[{s.from, s.to}];
        if (s.has(Segment::kSyn)) {
            if (stream.begins != s.seq) stream = {s.seq, {}, 0};
            return;
        }
        if (s.data.empty() || is_probe(s, stream)) return;
        const size_t at = s.seq - (stream.begins + 1);
        if (at > 64u << 20) return complain(now, "a segment far from its stream");
        if (stream.octets.size() < at + s.data.size()) stream.octets.resize(at + s.data.size(), -1);
        for (size_t i = 0; i < s.data.size(); ++i) {
            int16_t& kept = stream.octets[at + i];
            const auto octet = static_cast<uint8_t>(s.data[i]);
            if (kept >= 0 && kept != octet)
                return complain(now, "octet " + std::to_string(at + i) + " of " +
                                         to_string(s.from) + " > " + to_string(s.to) +
                                         " is another than before");
            kept = octet;
        }
    }

    void on_host_segment(const Segment& s) override {
        if (!s.has(Segment::kAck)) return;
        const auto found = streams_.find({s.to, s.from});
        if (found == streams_.end()) return;
        const uint32_t upto = s.ack - found->second.begins;
        if (upto < 64u << 20) found->second.acked = std::max(found->second.acked, upto);
    }

    void on_ring(const NodeSeen&, Bytes datagram, Instant now) override {
        const auto h = parse_header(datagram);
        if (!h) return complain(now, "a ring datagram without a header");
        if (h->type != FrameType::data) return;
        const uint64_t key = mix64(h->incarnation.value * 257 + h->sender.value) ^ h->number;
        const uint64_t content = std::hash<std::string_view>{}(
            {reinterpret_cast<const char*>(datagram.data()), datagram.size()});
        const auto [kept, first] = datagrams_.emplace(key, content);
        if (!first && kept->second != content)
            complain(now, "datagram " + std::to_string(h->number) + " of node " +
                              std::to_string(h->sender.value) + " is another than before");
    }

private:
    struct Stream {
        uint32_t begins = 0;
        std::vector<int16_t> octets;  // -1: not sent yet
        uint32_t acked = 0;           // from `begins` on
    };
    // Whatever octet, where the receiver has all: it only asks for an ACK (RFC 9293 section 3.8.4).
    static bool is_probe(const Segment& s, const Stream& stream) {
        return s.data.size() == 1 && s.seq - stream.begins < stream.acked;
    }
    std::map<std::pair<Endpoint, Endpoint>, Stream> streams_;
    std::unordered_map<uint64_t, uint64_t> datagrams_;
};

}  // namespace holdfast::simulation
