// Who the clients, the appliance and the servers are.
//
// A session's number is its client's address, port and target: no table is needed to find it. All
// clients of a target's family lie in one range of addresses, from `client_v4` or `client_v6` on.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/check.h"
#include "dataplane/wire/address.h"

namespace holdfast::gen {

struct Addresses {
    std::vector<Endpoint> targets;  // what clients connect to, in turn; of either family
    std::vector<Endpoint> servers;  // where the appliance connects to, or the targets themselves
    IpAddress client_v4, client_v6;
    uint16_t first_port = 1024, last_port = 65535;

    uint32_t ports() const { return uint32_t{last_port} - first_port + 1; }
    // Client addresses that n sessions take.
    uint32_t client_addresses(uint32_t sessions) const {
        return (sessions + ports() - 1) / ports();
    }

    const Endpoint& target_of(uint32_t session) const { return targets[session % targets.size()]; }
    Endpoint client_of(uint32_t session) const {
        const IpAddress& first = target_of(session).address.is_v4() ? client_v4 : client_v6;
        return {plus(first, session / ports()),
                static_cast<uint16_t>(first_port + session % ports())};
    }
    // The session of such a client; nullopt when it can be none.
    std::optional<uint32_t> session_of(const Endpoint& client, const Endpoint& target) const {
        const auto n = number_of(client.address);
        if (!n || client.port < first_port || client.port > last_port) return std::nullopt;
        const uint64_t session = uint64_t{*n} * ports() + (client.port - first_port);
        if (session > UINT32_MAX) return std::nullopt;
        if (target_of(static_cast<uint32_t>(session)) != target) return std::nullopt;
        return static_cast<uint32_t>(session);
    }
    // How far an address lies behind the first client of its family.
    std::optional<uint32_t> number_of(const IpAddress& a) const {
        const IpAddress& first = a.is_v4() ? client_v4 : client_v6;
        const auto x = std::bit_cast<std::array<uint32_t, 4>>(a);
        const auto y = std::bit_cast<std::array<uint32_t, 4>>(first);
        if (x[0] != y[0] || x[1] != y[1] || x[2] != y[2] || big(x[3]) < big(y[3]))
            return std::nullopt;
        return big(x[3]) - big(y[3]);
    }
    std::optional<uint8_t> server_of(const Endpoint& e) const {
        for (size_t i = 0; i < servers.size(); ++i)
            if (servers[i] == e) return static_cast<uint8_t>(i);
        return std::nullopt;
    }

    static IpAddress plus(const IpAddress& first, uint32_t n) {
        auto words = std::bit_cast<std::array<uint32_t, 4>>(first);
        words[3] = big(big(words[3]) + n);
        return std::bit_cast<IpAddress>(words);
    }
};

}  // namespace holdfast::gen
