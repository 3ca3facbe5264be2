// Octets in flight, as they are published for other nodes to keep.
#include "dataplane/relay/testing.h"

namespace holdfast::testing {

void RelayNode::on_relay_copies(SessionIndex index, Instant) {
    for (const Direction side : {Direction::from_client, Direction::from_backend}) {
        StreamCopy& copy = relay.copies(index)->sides[static_cast<size_t>(side)];
        if (!copy.wants_publish()) continue;
        const SeqNum begins = relay.tcb(index, side).irs + 1;
        const auto stream = static_cast<uint32_t>(world_.peer(side).stream);
        copy.publish([&](unsigned, SeqNum start, Bytes octets) {
            world_.octets_copied += octets.size();
            const auto offset = static_cast<uint32_t>(start - begins);
            for (uint32_t i = offset < 4 ? 4 - offset : 0; i < octets.size(); ++i)
                if (octets[i] != Peer::at(stream, offset + i)) {
                    ADD_FAILURE() << "another octet than was said at " << offset + i;
                    return true;
                }
            return true;
        });
    }
}

}  // namespace holdfast::testing
