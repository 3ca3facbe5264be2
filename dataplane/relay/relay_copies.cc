// Octets in flight that other nodes keep (`durability = payload`), and what an adopter does with
// them.
#include "dataplane/relay/relay_link.h"

namespace holdfast {

StreamCopies* Relay::copies(SessionIndex index) {
    RelaySession* s = find(index);
    return s ? s->copies.get() : nullptr;
}

const Tcb& Relay::tcb(SessionIndex index, Direction side) const {
    return sessions_[index.slot]->end(side).state();
}

void Relay::copy_again(SessionIndex index) {
    for (StreamCopy& copy : copies(index)->sides) copy.forget_published();
    touch(index);
}

// `bytes` were just delivered. A client's before there is a backend are of its handshake, or few.
void Relay::keep_copy(RelaySession& s, Direction from, SeqNum start, Bytes bytes) {
    if (s.stage < RelayStage::connecting) return;
    StreamCopy& copy = s.copies->sides[static_cast<size_t>(from)];
    const uint64_t before = copy.left_out();
    copy.append(start, bytes);
    counters_.copies_left_out += copy.left_out() - before;
}

void Relay::settle_copies(RelaySession& s, Instant now) {
    bool any = false;
    for (const Direction side : {Direction::from_client, Direction::from_backend}) {
        StreamCopy& copy = s.copies->sides[static_cast<size_t>(side)];
        copy.release(s.end(side).ack_point());
        any |= copy.wants_publish();
    }
    if (any) events_.on_relay_copies(s.index, now);
}

bool Relay::take_copy(SessionIndex index, Direction from, const StreamBlock& block, Instant now) {
    RelaySession* s = find(index);
    if (!s || s->failed || s->stage < RelayStage::committing || s->stage == RelayStage::closing)
        return false;
    TcpEndpoint& end = s->end(from);
    const bool client = from == Direction::from_client;
    const size_t room = !s->tls  ? s->end(opposite(from)).write_room()
                        : client ? s->tls->client_room()
                                 : s->tls->backend_room();
    if (block.irs != end.state().irs || block.iss != end.state().iss ||
        block.octets.size() > room) {
        ++counters_.copies_refused;
        return false;
    }
    Link link(*this, *s, from, now);
    if (!end.receive_copy(block.start, block.octets, link)) return false;
    ++counters_.copies_used;
    touch(index);
    return true;
}

}  // namespace holdfast
