#include "controlplane/config/config.h"

namespace holdfast {

NodeSet all_nodes(const Config& config) {
    NodeSet nodes;
    for (const NodeEntry& node : config.cluster.nodes) nodes.add(node.id);
    return nodes;
}

NodeSet repositories(const Config& config) {
    NodeSet nodes;
    for (const NodeEntry& node : config.cluster.nodes)
        if (node.repository) nodes.add(node.id);
    return nodes;
}

RingOptions ring_options(const Config& config, uint8_t worker, Incarnation incarnation,
                         uint64_t seed) {
    RingOptions options;
    options.self = config.self;
    options.incarnation = incarnation;
    options.worker = worker;
    options.peers = all_nodes(config).without(NodeSet::of(config.self));
    options.secret = config.cluster.secret;
    options.seed = seed;
    options.cipher = config.ring.cipher;
    options.ack = config.ring.ack;
    options.mtu = config.ring.mtu;
    options.slots = config.ring.slots;
    options.heartbeat = config.cluster.heartbeat;
    // The options' own proportions: 20 ms, 200 us, 60 ms.
    options.ladder = config.cluster.heartbeat / 100;
    options.evict_after = config.cluster.heartbeat * 3;
    return options;
}

}  // namespace holdfast
