// The clients: a slot for each session, found by its number; opens, asks, checks and closes.
//
// A session is one cache line. What is due and cannot be sent (window, no answer) stays due, and
// its latency is counted from when it was due. Pure machine.
#pragma once

#include <functional>
#include <optional>

#include "base/huge_array.h"
#include "tools/trafficgen/context.h"

namespace holdfast::gen {

struct alignas(64) ClientSession : Transfer {
    Instant begun;            // when its SYN was due
    uint32_t requested = 0;   // requests due so far
    uint32_t answered = 0;    // of these
    uint32_t longest_us = 0;  // longest wait for an answer
};
static_assert(sizeof(ClientSession) == 64);

class Clients {
public:
    // When a request of a session was due; nullopt: nobody knows any more.
    using Intended = std::function<std::optional<Instant>(uint32_t session, uint32_t request)>;

    Clients(Context& context, const Profile& profile, Instant now);

    // When requests come from a schedule; else each follows the answer before.
    void set_intended(Intended intended) { intended_ = std::move(intended); }

    // Opens the next free slot. False: none was found.
    bool connect(Instant intended, Instant now);
    // One more request in that session; false when it is not there to be asked.
    bool request(uint32_t session, Instant now);
    void on_segment(uint32_t session, const TcpSegment& s, Bytes payload, Instant now);
    Instant next_deadline() const { return timers_.next_tick(); }
    void on_deadline(Instant now);
    // Resets sessions from `cursor` on, at most `most` of them; false when there are no more.
    bool reset_some(uint32_t& cursor, uint32_t most, Instant now);
    // All targets' Ethernet addresses are known; asks.
    bool resolved(Instant now);
    // A frame was too big for somebody on the way (RFC 1191): sent again in smaller ones, at once.
    void on_too_big(uint32_t session, SeqNum seq, uint32_t mtu, Instant now);

    uint32_t capacity() const { return capacity_; }
    uint32_t opening() const { return opening_; }
    uint32_t established() const { return established_; }
    const ClientSession& at(uint32_t session) const { return sessions_[session]; }
    // Sessions that wait for something now, counted one by one.
    uint32_t count_waiting() const;

private:
    Path path_of(uint32_t session, Instant now) {
        return {neighbors_.hop(target_neighbors_[session % target_neighbors_.size()], now),
                context_.addresses.client_of(session), context_.addresses.target_of(session)};
    }
    Stream stream_of(uint32_t session, Way way) const {
        return Stream(context_.seed, {session, sessions_[session].incarnation}, way);
    }
    void open(uint32_t session, Instant intended, Instant now);
    void say_syn(uint32_t session, Instant now);
    void on_opening(uint32_t session, const TcpSegment& s, Instant now);
    void on_established(uint32_t session, Instant now);
    void take_answers(uint32_t session, Instant now);
    void note_wait(uint32_t session, Duration waited, Instant now);
    void ask(uint32_t session, Instant now);
    void close_as_planned(uint32_t session, Instant now);
    void speak(uint32_t session, bool answer, Instant now);
    void finish(uint32_t session, FlowState state);
    void lose(uint32_t session);
    void leave(uint32_t session, FlowState state);
    void arm(uint32_t session, Instant now);
    void expire(uint32_t session, Instant now);

    Context& context_;
    Neighbors& neighbors_;
    Kind kind_;
    uint32_t capacity_;
    HugeArray<ClientSession> sessions_;
    TimerWheel timers_;
    std::vector<uint16_t> target_neighbors_;
    Intended intended_;
    uint32_t next_ = 0;
    uint32_t opening_ = 0, established_ = 0;
};

}  // namespace holdfast::gen
