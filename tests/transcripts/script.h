// Transcripts: TCP conversations as text, one event a line, in virtual time.
//
//     === name                          a new script
//     config mss=1000 sack=off          before its first event
//     after other                       begins as that script above, all of it
//     +0    ! connect                   a command (transcript.h has the list)
//     +0.1  < S. 0:0(0) ack 1 win 1000 <mss 1460,sackOK,TS val 7 ecr 0,wscale 7>   arrives
//     +0    > . 1:1(0) ack 1            must leave, now: nothing else may have left before
//     +0.2~+0.3 > . 1:1001(1000) ack 1  must leave within that span
//
// Times are seconds after the line before. Flags: S F R P . (ACK) E W U, - for none. Numbers count
// from each side's initial one. Of what leaves, `win` and <options> are looked at where the line
// names them; NOPs never. Our TSval counts milliseconds from the script's beginning. `ce` marks
// what arrives, `ect` is expected of what leaves; <raw 01 08 00> are option bytes as they are.
// `#` begins a comment.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "dataplane/wire/tcp_segment.h"

namespace holdfast::transcripts {

struct Packet {
    uint8_t flags = 0;
    uint32_t seq = 0, payload = 0;
    std::optional<uint32_t> ack;
    std::optional<uint16_t> window;
    std::optional<TcpOptions> options;  // sequence numbers relative, like all others
    std::vector<std::byte> raw_options;
    bool raw = false, ce = false, ect = false;
};

struct Line {
    enum class Kind : uint8_t { arrives, leaves, command } kind;
    int number = 0;
    std::string text;
    Duration after, until;  // until >= after, both from the line before
    Packet packet;
    std::vector<std::string> words;  // of a command
};

struct Script {
    std::string file, name;
    std::vector<std::string> config;  // key=value
    std::vector<Line> lines;
};

// Throws std::runtime_error that names file and line.
std::vector<Script> parse_scripts(const std::string& file);
std::string to_string(const Packet& packet);

}  // namespace holdfast::transcripts
