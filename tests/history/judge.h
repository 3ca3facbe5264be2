// Compares what was seen at the clients' end with what was seen at the backends': each stream that
// a kernel sent is the one that a kernel was given, no octet lost, doubled or changed, up to its
// end.
//
// Connections are matched by both SYNs' numbers where these pass unchanged (Between::forward), by
// the streams themselves where TCP terminates in between (Between::proxy): some assignment must
// explain all. What passes encrypted on one side only is not compared (Between::tls): there each
// end is judged by itself. A capture that missed frames excuses octets that are not there, never
// other octets; connections that cannot be judged for it are not counted as judged.
#pragma once

#include "tests/history/history.h"

namespace holdfast::history {

enum class Between : uint8_t { forward, proxy, tls };

// One end: what was captured there, and how many frames the capture says it missed.
struct End {
    const History& history;
    uint64_t missed = 0;
};

struct Judgement {
    uint64_t connections = 0;  // that carried octets, at either end
    uint64_t judged = 0;       // of these
    uint64_t ended = 0;        // of these, by both FINs
    uint64_t reset = 0;        // of these, by one of the ends
    uint64_t octets = 0;       // that were compared; tls: that were looked at
    std::vector<std::string> wrong;

    double share() const {
        return connections == 0 ? 0
                                : static_cast<double>(judged) / static_cast<double>(connections);
    }
};

Judgement judge(const End& clients, const End& backends, Between between);

// The first thing wrong with these two as the two ends of one connection.
struct Difference {
    std::string what;
    bool octets = false;  // they differ; else there are too few or too many, here or there
};
std::optional<Difference> compare(const Connection& at_client, const Connection& at_backend);

}  // namespace holdfast::history
