// Clients and servers with whole TCP endpoints, for clusters whose services terminate TCP (or do
// not): transfers both ways at once, slow readers, FINs. Each stream says by its first bytes whose
// it is, so that a server knows what it should read and say.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "dataplane/relay/testing.h"

namespace holdfast::simulation {

// One connection. Whoever closes does so when all is said; a reader with a capacity takes nothing
// until TcpHosts::read().
struct Plan {
    uint64_t client_says = 4, server_says = 4;  // at least 4
    bool client_closes = true, server_closes = true;
    uint32_t client_capacity = 0, server_capacity = 0;
    uint32_t buffer = 256 * 1024;  // of both: how much may be on its way
};

class TcpHosts {
public:
    using Peer = testing::Peer;
    using Send = std::function<void(Side, testing::Buffer)>;
    TcpHosts(MacAddress client_mac, MacAddress server_mac, MacAddress next_hop, Send send);

    size_t connect(Endpoint self, Endpoint vip, const Plan& plan, uint32_t iss, Instant now);
    void on_frame(Side side, const testing::Parsed& p, uint32_t iss, Instant now);
    void drive(Instant now);

    size_t size() const { return clients_.size(); }
    Peer& client(size_t n) { return *clients_[n]; }
    const Peer& client(size_t n) const { return *clients_[n]; }
    Peer* server(size_t n) const { return servers_of_[n]; }  // none before it has heard the client
    const Plan& plan(size_t n) const { return plans_[n]; }
    // Both have read all and know that it is all.
    bool ended(size_t n) const;
    // Both have read all that was said; nobody need have closed.
    bool heard(size_t n) const;
    bool was_reset(size_t n) const;
    std::vector<std::string> complaints() const;

private:
    std::unique_ptr<Peer> make(Endpoint self, Endpoint other, Side side, uint32_t capacity,
                               uint32_t buffer);
    void meet(Peer& server);

    MacAddress client_mac_, server_mac_, next_hop_;
    Send send_;
    ChunkPool pool_{32'768};
    std::vector<Plan> plans_;
    std::vector<std::unique_ptr<Peer>> clients_;
    std::vector<Peer*> servers_of_;
    std::map<std::pair<Endpoint, Endpoint>, std::unique_ptr<Peer>> servers_;
    std::vector<std::unique_ptr<Peer>> old_servers_;  // of connections that were begun again
    Plan last_;                                       // servers are made as the newest client's
};

}  // namespace holdfast::simulation
