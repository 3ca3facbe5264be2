#include "tests/simulation/copies_held.h"

#include <algorithm>

#include "dataplane/takeover/relay_capture.h"

namespace holdfast::simulation {

std::string missing_copies(const Worker& from, SessionIndex index, const CopiesWanted& wanted,
                           std::span<const Worker* const> nodes, Instant now) {
    const NodeSet members = from.replicator().membership().view().members;
    const Session& s = *from.forwarder().sessions().get(index);
    const bool tls = wanted.agreed && wanted.services[s.service].mode == Mode::tls;
    unsigned headers = 0, aliases = 0, credentials = 0, segments = 0, dead = 0;
    for (NodeId n : members) {
        const Worker* keeper = nodes[n.value];
        if (!keeper) {
            ++dead;
            continue;
        }
        const FragmentStore& store = keeper->replicator().store();
        if (const auto f = store.find({session_key(s), FragmentKind::header, 0})) {
            Bytes rest;
            const auto session = read_header(*f, wanted.services, rest);
            const auto state = read_relay_state(rest, now);
            const bool tells = state && state->knows_backend();
            headers += session && (!wanted.agreed || tells);
        }
        aliases += store.find({alias_key(s), FragmentKind::alias, 0}).has_value();
        credentials += store.find({session_key(s), FragmentKind::credential, 0}).has_value();
        segments += store.find({session_key(s), FragmentKind::segment, 0}).has_value();
    }
    // Of the copies asked for, one on a member that died this moment is not seen.
    const unsigned asked =
        wanted.commit == Commit::all || tls ? std::min(wanted.copies, members.size()) : 1;
    const unsigned least = asked - std::min(dead, 1u);
    const bool secrets = !tls || (credentials >= least && segments >= least);
    if (headers >= least && aliases >= least && secrets) return "";
    std::string left = "left with " + std::to_string(headers) + " headers and " +
                       std::to_string(aliases) + " aliases";
    if (tls)
        left += ", " + std::to_string(credentials) + " credentials and " +
                std::to_string(segments) + " segments";
    return left + " held elsewhere, of " + std::to_string(least);
}

bool all_covered(const Worker& holder, GroupId group, unsigned copies,
                 std::span<const Worker* const> nodes) {
    if (!holder.replicator().membership().swept(group)) return false;
    const SessionTable& sessions = holder.forwarder().sessions();
    for (SessionIndex i = sessions.next(0); i; i = sessions.next(i.slot + 1)) {
        const FragmentId header{session_key(*sessions.get(i)), FragmentKind::header, 0};
        const auto have = std::ranges::count_if(nodes, [&](const Worker* n) {
            return n && n != &holder && n->replicator().store().find(header);
        });
        if (have < static_cast<ptrdiff_t>(copies)) return false;
    }
    return true;
}

}  // namespace holdfast::simulation
