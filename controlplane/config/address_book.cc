#include "controlplane/config/address_book.h"

#include <fmt/format.h>

namespace holdfast {

namespace {

using Use = AddressClaim::Use;

std::string describe(const AddressClaim& c) {
    switch (c.use) {
        case Use::ring:
            return fmt::format("the ring address of node \"{}\"", c.owner);
        case Use::own:
            return fmt::format("this node's own address on {}", c.owner);
        case Use::vip:
            return fmt::format("a VIP of service \"{}\"", c.owner);
        case Use::pool:
            return fmt::format("a pool address of service \"{}\"", c.owner);
        case Use::backend:
            return fmt::format("a backend of service \"{}\"", c.owner);
    }
    return {};
}

bool overlap(const AddressClaim& a, const AddressClaim& b) {
    return a.first_port <= b.last_port && b.first_port <= a.last_port;
}

bool moves(const AddressClaim& c) { return c.use == Use::vip || c.use == Use::pool; }

// Why the two cannot both be right, or "".
std::string conflict(const AddressClaim& was, const AddressClaim& is) {
    const std::string earlier = fmt::format("{} is already {} (line {})", to_string(is.address),
                                            describe(was), was.mark.line);
    if (!moves(was) && !moves(is)) {
        // One port may serve as ring and back; backends may share a host; a node's service may be
        // its own backend in a lab.
        return was.use == Use::ring && is.use == Use::ring ? earlier : "";
    }
    if (was.use != is.use) return earlier;
    if (was.group != is.group) return fmt::format("{}, which moves with another group", earlier);
    if (!overlap(was, is)) return {};
    if (is.use == Use::vip) return fmt::format("{}, with the same port", earlier);
    return was.owner == is.owner && was.first_port == is.first_port
               ? earlier
               : fmt::format("{}, and their ports overlap", earlier);
}

}  // namespace

bool is_multicast(const IpAddress& a) {
    return a.is_v4() ? a.as_v4() >> 28 >= 0xe : a.bytes[0] == 0xff;
}

void AddressBook::claim(const AddressClaim& claim, Problems& problems) {
    if (is_multicast(claim.address)) {
        problems.error(claim.mark,
                       fmt::format("{} is not the address of one host", to_string(claim.address)));
        return;
    }
    auto& same = claims_[claim.address];
    for (const AddressClaim& earlier : same) {
        std::string why = conflict(earlier, claim);
        if (why.empty()) continue;
        problems.error(claim.mark, std::move(why));
        return;
    }
    // What makes a new kind of conflict possible is kept; the rest would only repeat it.
    if (claim.use != Use::backend || same.empty()) same.push_back(claim);
}

}  // namespace holdfast
