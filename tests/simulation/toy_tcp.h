// A TCP endpoint for the simulator: as simple as can be and independent of the product, so that one
// misreading of an RFC cannot hide on both sides. One message in flight at a time, resent every 200
// ms until acknowledged.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/time.h"
#include "dataplane/wire/testing.h"

namespace holdfast::simulation {

using testing::Parsed;
using testing::Seg;

class ToyTcp {
public:
    enum class State { closed, syn_sent, syn_received, established, reset };
    static constexpr Duration kResend = Duration::milliseconds(200);

    ToyTcp(Endpoint self, Endpoint peer, uint32_t isn)
        : self_(self), peer_(peer), una_(isn), nxt_(isn) {}

    Seg connect(Instant now) {
        state_ = State::syn_sent;
        nxt_ = una_ + 1;
        return remember(make(tcp_flag::syn, una_), now);
    }

    // Queues bytes to be written; at most one segment's worth.
    std::optional<Seg> write(const std::string& bytes, Instant now) {
        if (state_ != State::established || una_ != nxt_) return std::nullopt;
        Seg s = make(tcp_flag::ack | tcp_flag::psh, nxt_);
        s.payload = bytes;
        nxt_ += static_cast<uint32_t>(bytes.size());
        return remember(s, now);
    }

    std::optional<Seg> on_segment(const Parsed& p, Instant now) {
        if (p.tcp.has(tcp_flag::rst)) {
            const bool believable = state_ == State::syn_sent || p.tcp.seq.value == rcv_nxt_;
            if (believable) state_ = State::reset;
            return std::nullopt;
        }
        if (p.tcp.has(tcp_flag::syn)) return on_syn(p, now);
        if (state_ == State::syn_sent || state_ == State::reset || state_ == State::closed)
            return std::nullopt;
        if (p.tcp.has(tcp_flag::ack) && static_cast<int32_t>(p.tcp.ack.value - una_) > 0 &&
            static_cast<int32_t>(p.tcp.ack.value - nxt_) <= 0) {
            una_ = p.tcp.ack.value;
            unacked_.reset();
            if (state_ == State::syn_received) state_ = State::established;
        }
        if (p.tcp.seq.value == rcv_nxt_) {
            received += p.payload;
            rcv_nxt_ += static_cast<uint32_t>(p.payload.size());
        }
        if (p.payload.empty()) return std::nullopt;
        return make(tcp_flag::ack, nxt_);
    }

    std::optional<Seg> on_timer(Instant now) {
        if (!unacked_ || now - sent_at_ < kResend) return std::nullopt;
        sent_at_ = now;
        ++resent;
        unacked_->ack = rcv_nxt_;
        return unacked_;
    }

    Seg repeat() const { return unacked_ ? *unacked_ : make(tcp_flag::ack, nxt_); }

    State state() const { return state_; }
    bool idle() const { return una_ == nxt_; }
    const Endpoint& self() const { return self_; }
    const Endpoint& peer() const { return peer_; }

    std::string received;
    unsigned resent = 0;

private:
    std::optional<Seg> on_syn(const Parsed& p, Instant now) {
        if (p.tcp.has(tcp_flag::ack)) {  // SYN-ACK
            if (state_ == State::syn_sent) {
                state_ = State::established;
                una_ = nxt_;
                rcv_nxt_ = p.tcp.seq.value + 1;
                unacked_.reset();
            }
            return make(tcp_flag::ack, nxt_);
        }
        if (state_ == State::closed) {
            state_ = State::syn_received;
            rcv_nxt_ = p.tcp.seq.value + 1;
            nxt_ = una_ + 1;
            return remember(make(tcp_flag::syn | tcp_flag::ack, una_), now);
        }
        return unacked_;
    }
    Seg make(uint8_t flags, uint32_t seq) const {
        Seg s{self_, peer_, flags, seq, rcv_nxt_};
        return s;
    }
    Seg remember(const Seg& s, Instant now) {
        unacked_ = s;
        sent_at_ = now;
        return s;
    }

    Endpoint self_, peer_;
    State state_ = State::closed;
    uint32_t una_, nxt_, rcv_nxt_ = 0;
    std::optional<Seg> unacked_;
    Instant sent_at_{};
};

}  // namespace holdfast::simulation
