// A running node: its ports, workers and rings, started from a Config and stopped as a whole.
//
// main() drives this and nothing below it. start_node() may take seconds (EAL) and reports failure
// in words for the operator; after it everything runs on the node's own threads. Destroying a Node
// stops it.
#pragma once

#include <expected>
#include <memory>
#include <string>

#include "base/cluster.h"
#include "controlplane/api/node_view.h"
#include "controlplane/config/config.h"

namespace holdfast {

class Node {
public:
    virtual ~Node() = default;
    virtual NodeView& view() = 0;
    virtual bool secrets_are_locked() const = 0;
    // Has every worker's loop made progress since the last call? Feeds the service watchdog.
    virtual bool alive() = 0;
    // Workers stop, ports close, sockets and files go. Idempotent. Hands over nothing: ask view()
    // first.
    virtual void stop() = 0;
};

std::expected<std::unique_ptr<Node>, std::string> start_node(const Config& config,
                                                             Incarnation incarnation);

}  // namespace holdfast
