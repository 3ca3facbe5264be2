// Every TCP connection that passed one place, both streams of each, from a capture made there.
//
// The place is one end's own interface: what its kernel sent and what reached it. What a kernel
// acknowledged counts as delivered to it.
#pragma once

#include <map>
#include <utility>
#include <vector>

#include "tests/history/capture.h"
#include "tests/history/stream.h"

namespace holdfast::history {

// Who speaks. The client is who sent the SYN.
enum class Side : uint8_t { client, server };
constexpr Side other(Side side) { return side == Side::client ? Side::server : Side::client; }

struct Connection {
    Socket client, server;
    Stream streams[2];  // by who sends it
    // Resets: that one was sent, and that it was of use: no end had reset it before, and it was not
    // over.
    bool reset[2] = {}, broken[2] = {};

    Stream& of(Side side) { return streams[static_cast<size_t>(side)]; }
    const Stream& of(Side side) const { return streams[static_cast<size_t>(side)]; }
    bool was_reset(Side by) const { return reset[static_cast<size_t>(by)]; }
    bool was_broken(Side by) const { return broken[static_cast<size_t>(by)]; }
    bool used() const { return of(Side::client).used() || of(Side::server).used(); }
    bool gap() const { return of(Side::client).gap() || of(Side::server).gap(); }
    bool ended() const { return of(Side::client).fin_acked() && of(Side::server).fin_acked(); }
};
std::string to_string(const Connection& connection);

class History {
public:
    void on_segment(const Segment& segment);
    const std::vector<Connection>& connections() const { return connections_; }
    // Flows with octets whose SYN was not seen: nothing can be said of them.
    uint64_t strangers() const { return strangers_.size(); }
    uint64_t octets() const;

private:
    using Flow = std::pair<Socket, Socket>;
    Connection* find(const Flow& flow);
    void on_syn(const Segment& segment);
    static void on_syn_ack(Connection& connection, const Segment& segment);
    static void on_reset(Connection& connection, Side by, const Segment& segment);

    std::vector<Connection> connections_;
    std::map<Flow, size_t> newest_;  // client, server -> the last connection between them
    std::map<Flow, uint64_t> strangers_;
};

}  // namespace holdfast::history
