#include "tests/history/history.h"

namespace holdfast::history {

std::string to_string(const Connection& c) {
    return to_string(c.client) + " > " + to_string(c.server);
}

Connection* History::find(const Flow& flow) {
    const auto found = newest_.find(flow);
    return found == newest_.end() ? nullptr : &connections_[found->second];
}

void History::on_segment(const Segment& segment) {
    if (segment.has(kSyn) && !segment.has(kAck)) return on_syn(segment);
    Side by = Side::client;
    Connection* c = find({segment.from, segment.to});
    if (c == nullptr) {
        by = Side::server;
        c = find({segment.to, segment.from});
    }
    if (c == nullptr) {
        // One octet alone asks where the receiver is (stream.cc): it is of a connection long over.
        if (segment.octets.size() > 1) ++strangers_[{segment.from, segment.to}];
        return;
    }
    if (segment.has(kRst)) return on_reset(*c, by, segment);
    if (segment.has(kSyn)) return on_syn_ack(*c, segment);
    c->of(by).on_octets(segment.sequence, segment.octets);
    if (segment.has(kFin))
        c->of(by).on_fin(segment.sequence + static_cast<uint32_t>(segment.octets.size()));
    if (segment.has(kAck)) c->of(other(by)).on_acknowledgement(segment.acknowledgement);
}

void History::on_syn(const Segment& segment) {
    const Flow flow{segment.from, segment.to};
    const Connection* c = find(flow);
    if (c != nullptr && c->of(Side::client).syn() == segment.sequence) return;  // again
    newest_[flow] = connections_.size();
    connections_.push_back({.client = segment.from, .server = segment.to, .streams = {}});
    connections_.back().of(Side::client).begin(segment.sequence);
}

// Another answer to the same SYN replaces the first as long as nothing was said: a server forgets
// what is half open, and the client asks again.
void History::on_syn_ack(Connection& c, const Segment& segment) {
    Stream& stream = c.of(Side::server);
    if (!stream.begun() || (stream.syn() != segment.sequence && !c.used()))
        stream.begin(segment.sequence);
    c.of(Side::client).on_acknowledgement(segment.acknowledgement);
}

void History::on_reset(Connection& c, Side by, const Segment& segment) {
    const auto i = static_cast<size_t>(by);
    const bool over = c.reset[0] || c.reset[1] || c.ended();
    if (!over && c.of(by).obeyed(segment.sequence)) c.broken[i] = true;
    c.reset[i] = true;
}

uint64_t History::octets() const {
    uint64_t sum = 0;
    for (const Connection& c : connections_) sum += c.streams[0].end() + c.streams[1].end();
    return sum;
}

}  // namespace holdfast::history
