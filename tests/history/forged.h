// Captures that nobody made: one or more conversations as two ends would have seen them.
#pragma once

#include <string>
#include <vector>

#include "tests/history/judge.h"

namespace holdfast::history::testing {

using File = std::vector<std::byte>;

Socket v4(uint8_t host, uint16_t port);
Socket v6(uint8_t host, uint16_t port);

// A pcap file, frame by frame.
class Tape {
public:
    Tape();
    void add(const Socket& from, const Socket& to, Segment segment, std::string_view octets = {});
    // The last frame: an octet of it is another (and its checksum wrong), or it was cut.
    void damage_last();
    void cut_last();
    File file;

private:
    size_t last_ = 0;
};

// Of one connection, what one end saw.
class End {
public:
    End(Tape& tape, Socket client, Socket server, uint32_t up, uint32_t down)
        : tape_(tape), sockets_{client, server}, syn_{up, down} {}
    void hello();
    // Octets of a stream (by who sends it) from an offset on; acknowledged up to, the FIN counted.
    void octets(Side by, uint32_t offset, std::string_view octets);
    void acknowledged(Side by, uint32_t offset);
    void fin(Side by, uint32_t offset);
    void reset(Side by, uint32_t offset);

private:
    void segment(Side by, uint8_t flags, uint32_t offset, std::string_view octets = {});
    Tape& tape_;
    Socket sockets_[2];
    uint32_t syn_[2];
    uint32_t heard_[2] = {};  // what a side's segments acknowledge, as an offset
};

// Octets that differ from offset to offset, and from stream to stream.
std::string text(size_t size, unsigned seed);

}  // namespace holdfast::history::testing
