#include "tests/simulation/tcp_hosts.h"

namespace holdfast::simulation {

using testing::Buffer;
using testing::Parsed;

TcpHosts::TcpHosts(MacAddress client_mac, MacAddress server_mac, MacAddress next_hop, Send send)
    : client_mac_(client_mac),
      server_mac_(server_mac),
      next_hop_(next_hop),
      send_(std::move(send)) {}

std::unique_ptr<TcpHosts::Peer> TcpHosts::make(Endpoint self, Endpoint other, Side side,
                                               uint32_t capacity, uint32_t buffer) {
    TcpConfig config;
    config.receive_buffer = capacity > 0 ? capacity : buffer;
    config.time_wait = Duration::seconds(5);
    auto peer = std::make_unique<Peer>(config, pool_, self, other,
                                       [this, side](Buffer frame) { send_(side, frame); });
    peer->mac = side == Side::front ? client_mac_ : server_mac_;
    peer->next_hop = next_hop_;
    peer->capacity = capacity;
    return peer;
}

size_t TcpHosts::connect(Endpoint self, Endpoint vip, const Plan& plan, uint32_t iss, Instant now) {
    const size_t n = clients_.size();
    plans_.push_back(plan);
    servers_of_.push_back(nullptr);
    last_ = plan;
    clients_.push_back(make(self, vip, Side::front, plan.client_capacity, plan.buffer));
    Peer& c = *clients_.back();
    c.stream = 2 * n;
    c.hears = uint64_t{1} << 32 | (2 * n + 1);
    c.to_say = plan.client_says;
    c.then_close = plan.client_closes;
    c.connect({iss}, now);
    return n;
}

void TcpHosts::on_frame(Side side, const Parsed& p, uint32_t iss, Instant now) {
    if (side == Side::front) {
        for (const auto& c : clients_)
            if (c->self == p.to()) return c->on_frame(p, now);
        return;
    }
    std::unique_ptr<Peer>& slot = servers_[{p.to(), p.from()}];
    const bool syn = p.tcp.has(tcp_flag::syn) && !p.tcp.has(tcp_flag::ack);
    if (!slot && !syn) return;
    if (slot && syn && slot->end.state().state == TcpState::closed && slot->opened())
        old_servers_.push_back(std::move(slot));
    if (!slot) {
        slot = make(p.to(), p.from(), Side::back, last_.server_capacity, last_.buffer);
        slot->stream = iss;
        slot->on_known = [this](Peer& server) { meet(server); };
    }
    slot->on_frame(p, now);
}

// It has read whose stream it is.
void TcpHosts::meet(Peer& server) {
    const auto n = static_cast<size_t>(static_cast<uint32_t>(server.hears) / 2);
    if (n >= plans_.size()) return server.complaints.push_back("a stream of nobody");
    server.stream = 2 * n + 1;
    server.to_say = plans_[n].server_says;
    server.then_close = plans_[n].server_closes;
    servers_of_[n] = &server;
}

void TcpHosts::drive(Instant now) {
    for (const auto& c : clients_)
        if (c->next_deadline() <= now) c->on_deadline(now);
    for (const auto& [key, s] : servers_)
        if (s && s->next_deadline() <= now) s->on_deadline(now);
}

bool TcpHosts::heard(size_t n) const {
    const Peer *c = clients_[n].get(), *s = servers_of_[n];
    return s && c->heard == plans_[n].server_says && s->heard == plans_[n].client_says;
}

bool TcpHosts::ended(size_t n) const {
    return heard(n) && clients_[n]->saw(TcpEvent::peer_fin) &&
           servers_of_[n]->saw(TcpEvent::peer_fin);
}

bool TcpHosts::was_reset(size_t n) const {
    return clients_[n]->was_reset() || (servers_of_[n] && servers_of_[n]->was_reset());
}

std::vector<std::string> TcpHosts::complaints() const {
    std::vector<std::string> all;
    for (const auto& c : clients_)
        all.insert(all.end(), c->complaints.begin(), c->complaints.end());
    for (const auto& [key, s] : servers_)
        if (s) all.insert(all.end(), s->complaints.begin(), s->complaints.end());
    return all;
}

}  // namespace holdfast::simulation
