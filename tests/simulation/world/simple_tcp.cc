#include "tests/simulation/world/simple_tcp.h"

#include <algorithm>

namespace holdfast::simulation {

SimpleTcp::SimpleTcp(const Options& options, Endpoint self, Endpoint peer, uint32_t isn, Send send)
    : options_(options), self_(self), peer_(peer), isn_(isn), send_(std::move(send)) {}

void SimpleTcp::connect(Instant now) {
    state_ = State::opening;
    next_ = highest_ = 1;
    send(Segment::kSyn, 0, {}, now);
    arm(now);
}

void SimpleTcp::on_segment(const Segment& s, Instant now) {
    if (state_ == State::reset) return;
    if (s.has(Segment::kRst)) return on_reset(s, now);
    // RFC 9293 section 3.10.7.3: of a connection that we know nothing of.
    if (state_ == State::opening && s.has(Segment::kAck) && s.ack != isn_ + 1) return refuse(s);
    if (s.has(Segment::kSyn)) return on_syn(s, now);
    if (state_ == State::listening || state_ == State::opening || !s.has(Segment::kAck)) return;
    if (s.timestamps && options_.timestamps &&
        static_cast<int32_t>(s.timestamps->first - ts_recent_) >= 0)
        ts_recent_ = s.timestamps->first;
    on_acknowledgement(s, now);
    on_data(s, now);
    push(now);
}

void SimpleTcp::refuse(const Segment& s) {
    Segment reset{self_, peer_, Segment::kRst, s.ack, 0, 0};
    send_(reset);
}

void SimpleTcp::on_syn(const Segment& s, Instant now) {
    if (s.has(Segment::kAck)) {
        if (state_ == State::opening) {
            state_ = State::open;
            una_ = 1;
            timeout_ = kFirstTimeout;
            deadline_ = Instant::max();
        } else if (s.seq != peer_isn_) {
            return;
        }
    } else if (state_ == State::listening) {
        state_ = State::accepting;
        next_ = highest_ = 1;
    } else if (state_ != State::accepting || s.seq != peer_isn_) {
        return acknowledge(now);  // RFC 5961: a challenge
    }
    if (expected_ == 0) {
        peer_isn_ = s.seq;
        expected_ = 1;
        peer_window_ = s.window;
        if (s.mss) options_.mss = std::min(options_.mss, *s.mss);
        options_.timestamps = options_.timestamps && s.timestamps;
        if (s.timestamps) ts_recent_ = s.timestamps->first;
        if (options_.timestamps) options_.mss -= 12;
    }
    if (state_ == State::accepting) {
        send(Segment::kSyn | Segment::kAck, 0, {}, now);
        return arm(now);
    }
    acknowledge(now);
    push(now);
}

void SimpleTcp::on_reset(const Segment& s, Instant now) {
    if (state_ == State::listening) return;
    if (state_ == State::opening) {
        if (s.has(Segment::kAck) && s.ack == isn_ + 1) state_ = State::reset;
    } else if (s.seq == peer_isn_ + static_cast<uint32_t>(expected_)) {
        state_ = State::reset;
    } else if (s.seq - (peer_isn_ + static_cast<uint32_t>(expected_)) < options_.window) {
        acknowledge(now);
    }
    if (state_ == State::reset) deadline_ = Instant::max();
}

void SimpleTcp::on_acknowledgement(const Segment& s, Instant now) {
    const uint32_t advance = s.ack - (isn_ + static_cast<uint32_t>(una_));
    if (advance > highest_ - una_) return;  // old, or of what was never sent
    peer_window_ = s.window;
    if (advance == 0) {
        if (s.data.empty() && next_ > una_ && ++duplicates_ == 3) send_at(una_, options_.mss, now);
        return;
    }
    if (state_ == State::accepting) state_ = State::open;
    duplicates_ = 0;
    const bool syn = una_ == 0;
    const uint64_t data = std::min<uint64_t>(advance - (syn ? 1 : 0), unsent_and_unacked_.size());
    const bool fin = advance > data + (syn ? 1 : 0);
    unsent_and_unacked_.erase(0, data);
    una_ += advance;
    next_ = std::max(next_, una_);
    fin_acked_ = fin_acked_ || fin;
    timeout_ = kFirstTimeout;
    deadline_ = Instant::max();
    if (next_ > una_) arm(now);
}

void SimpleTcp::on_data(const Segment& s, Instant now) {
    if (s.data.empty() && !s.has(Segment::kFin)) {
        // Beside the window: it asks for an answer (RFC 9293 section 3.10.7.4).
        if (static_cast<int32_t>(s.seq - (peer_isn_ + static_cast<uint32_t>(expected_))) < 0)
            acknowledge(now);
        return;
    }
    const auto distance =
        static_cast<int32_t>(s.seq - (peer_isn_ + static_cast<uint32_t>(expected_)));
    const auto start = static_cast<uint64_t>(static_cast<int64_t>(expected_) + distance);
    if (distance < 0 && static_cast<uint64_t>(-int64_t{distance}) > expected_)
        return acknowledge(now);
    if (s.has(Segment::kFin)) fin_at_ = start + s.data.size();
    if (start < expected_ + 200'000 && !s.data.empty()) {
        std::string& kept = early_[start];
        if (kept.size() < s.data.size()) kept = s.data;
    }
    while (!early_.empty() && early_.begin()->first <= expected_) {
        const auto& [at, data] = *early_.begin();
        const uint64_t skip = expected_ - at;
        if (skip < data.size()) {
            const size_t fits = std::min<size_t>(data.size() - skip, room());
            received_.append(data, skip, fits);
            expected_ += fits;
            if (fits < data.size() - skip) break;  // came although there was no room
        }
        early_.erase(early_.begin());
    }
    if (fin_at_ && *fin_at_ == expected_) {
        ++expected_;
        peer_fin_taken_ = true;
        fin_at_.reset();
    }
    acknowledge(now);
}

void SimpleTcp::on_deadline(Instant now) {
    deadline_ = Instant::max();
    if (state_ == State::listening || state_ == State::reset) return;
    timeout_ = std::min(timeout_ * 2, kLongestTimeout);
    if (state_ == State::opening || state_ == State::accepting) {
        send(state_ == State::opening ? Segment::kSyn : Segment::kSyn | Segment::kAck, 0, {}, now);
    } else {
        next_ = una_;
        if (una_ < end() || (closing_ && !fin_acked_)) send_at(una_, options_.mss, now);
        next_ = std::max(next_, highest_ > una_ && peer_window_ == 0 ? una_ + 1 : next_);
    }
    arm(now);
}

void SimpleTcp::write(std::string_view octets, Instant now) {
    unsent_and_unacked_ += octets;
    push(now);
}

void SimpleTcp::close(Instant now) {
    closing_ = true;
    push(now);
}

std::string SimpleTcp::take(Instant now) {
    const bool was_shut = room() < options_.mss;
    std::string taken = std::move(received_);
    received_.clear();
    if (was_shut && state_ == State::open) acknowledge(now);
    return taken;
}

// As much as the windows allow, and the FIN behind it; a window of nothing is probed.
void SimpleTcp::push(Instant now) {
    if (state_ != State::open) return;
    const uint64_t limit =
        una_ + std::min<uint64_t>(peer_window_, kInFlight * uint64_t{options_.mss});
    while (next_ < end() && next_ < limit)
        send_at(next_, std::min<uint64_t>(options_.mss, limit - next_), now);
    if (closing_ && !fin_acked_ && next_ == end() && highest_ <= end())
        send_at(next_, options_.mss, now);
    const bool waits = una_ < end() || (closing_ && !fin_acked_);
    if (waits && deadline_ == Instant::max()) arm(now);
}

// One segment from `offset` on, with the FIN if it is the last.
void SimpleTcp::send_at(uint64_t offset, size_t size, Instant now) {
    const size_t from = offset - una_;
    std::string data =
        from < unsent_and_unacked_.size() ? unsent_and_unacked_.substr(from, size) : "";
    const bool last = closing_ && offset + data.size() == end();
    const uint8_t flags =
        Segment::kAck | (data.empty() ? 0 : Segment::kPsh) | (last ? Segment::kFin : 0);
    const uint64_t behind = offset + data.size() + (last ? 1 : 0);
    send(flags, offset, std::move(data), now);
    next_ = std::max(next_, behind);
    highest_ = std::max(highest_, behind);
}

void SimpleTcp::send(uint8_t flags, uint64_t offset, std::string data, Instant now) {
    Segment s{self_, peer_, flags};
    s.seq = isn_ + static_cast<uint32_t>(offset);
    s.ack = (flags & Segment::kAck) ? peer_isn_ + static_cast<uint32_t>(expected_) : 0;
    s.window = room();
    if (flags & Segment::kSyn) s.mss = options_.mss;
    if (options_.timestamps) s.timestamps = {static_cast<uint32_t>(now.ns / 1'000'000), ts_recent_};
    s.data = std::move(data);
    send_(s);
}

uint16_t SimpleTcp::room() const {
    return static_cast<uint16_t>(options_.window -
                                 std::min<size_t>(options_.window, received_.size()));
}

std::string SimpleTcp::describe() const {
    constexpr const char* kNames[] = {"listening", "opening", "accepting", "open", "reset"};
    return std::string(kNames[static_cast<int>(state_)]) + " una " + std::to_string(una_) + " of " +
           std::to_string(end()) + (fin_acked_ ? " closed" : "") + ", has " +
           std::to_string(expected_) + (peer_fin_taken_ ? " and the end" : "") + ", window " +
           std::to_string(peer_window_);
}

}  // namespace holdfast::simulation
