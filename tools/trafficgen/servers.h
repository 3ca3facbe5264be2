// The servers: sessions found by who connects, since an appliance chooses addresses and ports as it
// likes; each learns from the preamble which stream it is, and answers each request in full.
//
// All servers of the process share one table of a fixed number of sessions, a cache line each, and
// an index of half-empty buckets. Pure machine.
#pragma once

#include <optional>
#include <vector>

#include "base/huge_array.h"
#include "tools/trafficgen/context.h"

namespace holdfast::gen {

struct alignas(64) ServerSession : Transfer {
    IpAddress peer;
    uint32_t session = 0;  // the client's number, once kKnown
    uint32_t asked = 0;    // requests that arrived in full
    uint16_t peer_port = 0;
    uint16_t neighbor = 0;
};
static_assert(sizeof(ServerSession) == 64);

class Servers {
public:
    Servers(Context& context, uint32_t capacity, Instant now);

    // What the frame said about the way back.
    struct Arrival {
        Endpoint from;
        uint8_t server;
        MacAddress mac;
        unsigned port;
    };
    void on_segment(const Arrival& arrival, const TcpSegment& s, Bytes payload, Instant now);
    void on_too_big(const Endpoint& peer, uint8_t server, SeqNum seq, uint32_t mtu, Instant now);
    Instant next_deadline() const { return timers_.next_tick(); }
    void on_deadline(Instant now);

    uint32_t size() const { return size_; }
    uint32_t capacity() const { return capacity_; }

private:
    static constexpr uint32_t kNone = UINT32_MAX;

    Path path_of(uint32_t at, Instant now) {
        const ServerSession& s = sessions_[at];
        return {neighbors_.hop(s.neighbor, now),
                context_.addresses.servers[s.server],
                {s.peer, s.peer_port}};
    }
    void accept(uint32_t found, const Arrival& arrival, const TcpSegment& s, Instant now);
    void say_syn_ack(uint32_t at, Instant now);
    void converse(uint32_t at, const TcpSegment& s, Bytes payload, Instant now);
    bool check(ServerSession& server, const TcpSegment& s, Bytes payload);
    void answer_requests(ServerSession& server);
    void speak(uint32_t at, bool answer, Instant now);
    void expire(uint32_t at, Instant now);

    uint32_t home(const IpAddress& peer, uint16_t port, uint8_t server) const;
    uint32_t find(const Endpoint& peer, uint8_t server) const;
    void index_add(uint32_t at);
    void remove(uint32_t at);

    Context& context_;
    Neighbors& neighbors_;
    uint32_t capacity_;
    HugeArray<ServerSession> sessions_;
    TimerWheel timers_;
    std::vector<uint32_t> index_;  // a power of two, at most half full; linear probing
    std::vector<uint32_t> free_;
    uint32_t fresh_ = 0;  // slots from here on were never used
    uint32_t size_ = 0;
};

}  // namespace holdfast::gen
