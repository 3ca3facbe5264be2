// Timers, groups, balance and restored sessions: what does not happen per packet.
#include "dataplane/forward/forwarder_impl.h"
#include "dataplane/neighbor/answer.h"

namespace holdfast {
namespace {

// 4096 slots of 250 ms: a lap of 17 minutes. Longer timeouts are looked at once a lap.
constexpr uint32_t kWheelSlots = 4096;
constexpr Duration kWheelTick = Duration::milliseconds(250);
// Sessions whose timers are looked at in one on_deadline(): about 100 us of work.
constexpr unsigned kExpireAtOnce = 512;
// Neighbours that are not configured: backends of restored sessions that were since removed.
constexpr uint32_t kDynamicNeighbors = 64;
// All nodes must balance alike; an attacker who aims at one backend only finds it busy.
constexpr uint64_t kBalanceSeed = 0x486f6c6466617374;

uint64_t identity_of(const Endpoint& e) {
    uint64_t h = mix64(e.port);
    for (uint8_t b : e.address.bytes) h = mix64(h ^ b);
    return h;
}

HealthOptions health_options(const ForwardOptions& o) {
    return {o.back.own_v4,     o.back.own_v6, o.probe_first_port,
            o.probe_last_port, o.steering,    mix64(o.seed ^ 1)};
}

std::vector<HealthTarget> health_targets(const ForwardOptions& o) {
    std::vector<HealthTarget> targets;
    for (uint16_t s = 0; s < o.services.size(); ++s)
        for (uint16_t b = 0; b < o.services[s].backends.size(); ++b)
            targets.push_back({s, b, o.services[s].backends[b].endpoint, o.services[s].health});
    return targets;
}

}  // namespace

Forwarder::Impl::Impl(const ForwardOptions& o, ForwardEvents& e, Instant now)
    : options(o),
      events(e),
      book(o.services),
      table(o.sessions),
      wheel(o.sessions.capacity, kWheelSlots, kWheelTick),
      balance_hash(kBalanceSeed),
      ports(o.steering, mix64(o.seed ^ 2)),
      front(o.front, Side::front, kDynamicNeighbors),
      back(o.back, Side::back, kDynamicNeighbors),
      health(health_options(o), health_targets(o), now),
      dirty(o.dirty_limit) {
    wheel.start(now);
    for (const Group& g : options.groups) {
        CHECK(g.id.value < kMaxGroups);
        groups[g.id.value].mac = g.virtual_mac;
    }
    for (const Service& s : options.services) CHECK(s.group.value < kMaxGroups);
    pin_neighbors(now);
    for (uint16_t i = 0; i < services.size(); ++i) rebuild(i);
}

void Forwarder::Impl::pin_neighbors(Instant now) {
    size_t most = 0;
    for (const Service& s : options.services) {
        const auto n = static_cast<uint16_t>(s.backends.size());
        most = std::max(most, s.backends.size());
        ServiceState state{
            MaglevTable(options.balance_table, n), MaglevTable(options.balance_table, n), {}, {}};
        for (const Backend& b : s.backends) {
            state.weights.push_back(b.weight);
            state.neighbors.push_back(back.pin(next_hop(options.back, b.endpoint.address), now));
        }
        services.push_back(std::move(state));
    }
    choices.reserve(most);
}

void Forwarder::Impl::rebuild(uint16_t service) {
    const Service& config = options.services[service];
    ServiceState& state = services[service];
    for (const bool v4 : {true, false}) {
        choices.clear();
        for (uint16_t b = 0; b < config.backends.size(); ++b) {
            const Endpoint& endpoint = config.backends[b].endpoint;
            if (endpoint.address.is_v4() == v4 && health.up(service, b))
                choices.push_back({identity_of(endpoint), state.weights[b], b});
        }
        (v4 ? state.v4 : state.v6).build(choices);
    }
}

void Forwarder::Impl::arm(uint32_t slot, Instant now) {
    const Session& s = table.at(slot);
    const Instant idle = now + idle_timeout(s.state, options.services[s.service].idle);
    wheel.arm(slot, earlier(idle, expiry(s)));
}

// Nobody can end a connection that is only forwarded in both ends' name.
Instant Forwarder::Impl::expiry(const Session& s) const {
    const Duration limit = options.services[s.service].max_lifetime;
    const bool limited = s.has(Session::kRelayed) && limit > Duration{} && !is_over(s.state);
    return limited ? s.created + limit : Instant::max();
}

void Forwarder::Impl::on_idle(uint32_t slot, Instant now) {
    const Session& s = table.at(slot);
    const Instant due = s.last_activity + idle_timeout(s.state, options.services[s.service].idle);
    const Instant end = expiry(s);
    if (end <= now) return close(table.index_of(slot), CloseReason::expired, now);
    if (due > now) {
        wheel.arm(slot, earlier(due, end));
        return;
    }
    close(table.index_of(slot), is_over(s.state) ? CloseReason::finished : CloseReason::idle, now);
}

void Forwarder::Impl::close(SessionIndex index, CloseReason reason, Instant now) {
    switch (reason) {
        case CloseReason::finished:
            ++counters.sessions_finished;
            break;
        case CloseReason::idle:
            ++counters.sessions_idle;
            break;
        case CloseReason::expired:
            ++counters.sessions_expired;
            break;
        case CloseReason::evicted:
            ++counters.sessions_evicted;
            break;
        case CloseReason::replaced:
            ++counters.sessions_replaced;
            break;
        case CloseReason::dropped:
            break;
    }
    events.on_session_closed(index, table.at(index.slot), reason, now);
    wheel.disarm(index.slot);
    table.remove(index);
}

void Forwarder::Impl::mark_dirty(Session& session, uint32_t slot) {
    if (is_embryonic(session.state)) return;
    if (dirty.push(table.index_of(slot)))
        session.set(Session::kDirtySegment);
    else
        ++counters.dirty_overflow;
}

void Forwarder::Impl::announce(GroupId group, Outlet& out) {
    if (!answers(group)) return;
    for (const AddressBook::Owner& o : book.owners()) {
        if (o.group != group) continue;
        const Side side = o.pool ? Side::back : Side::front;
        const uint16_t vlan = o.pool ? options.back.vlan : options.front.vlan;
        announce_address(o.address, groups[group.value].mac, vlan, side, out);
    }
}

Instant Forwarder::Impl::next_deadline() const {
    Instant next = earlier(front.next_deadline(), back.next_deadline());
    next = earlier(next, health.next_deadline());
    next = earlier(next, announcer.next_deadline());
    return earlier(next, wheel.next_tick());
}

void Forwarder::Impl::on_deadline(Instant now, Outlet& out) {
    announcer.on_deadline(now, [&](GroupId g) { announce(g, out); });
    wheel.expire(now, kExpireAtOnce, [&](uint32_t slot) { on_idle(slot, now); });
    if (front.next_deadline() <= now) front.on_deadline(now, out);
    if (back.next_deadline() <= now) back.on_deadline(now, out);
    if (health.next_deadline() <= now) health.on_deadline(now, *this);
    if (!health.take_changed()) return;
    for (uint16_t i = 0; i < services.size(); ++i) rebuild(i);
}

Forwarder::Forwarder(const ForwardOptions& options, ForwardEvents& events, Instant now)
    : impl_(std::make_unique<Impl>(options, events, now)) {}
Forwarder::~Forwarder() = default;

Instant Forwarder::next_deadline() const { return impl_->next_deadline(); }

void Forwarder::on_deadline(Instant now, Outlet& outlet) {
    impl_->outlet = &outlet;
    impl_->on_deadline(now, outlet);
    impl_->outlet = nullptr;
}

void Forwarder::set_group(GroupId group, const GroupState& state) {
    CHECK(group.value < kMaxGroups);
    impl_->groups[group.value].state = state;
    if (!state.active) impl_->announcer.stop(group);
}

const GroupState& Forwarder::group(GroupId group) const {
    CHECK(group.value < kMaxGroups);
    return impl_->groups[group.value].state;
}

void Forwarder::announce(GroupId group, Instant now) {
    if (this->group(group).active) impl_->announcer.start(group, now);
}

bool Forwarder::drop_group(GroupId group, uint32_t budget, Instant now) {
    SessionTable& table = impl_->table;
    uint32_t cursor = 0;
    while (const SessionIndex i = table.next(cursor)) {
        cursor = i.slot + 1;
        if (table.at(i.slot).group != group) continue;
        if (budget-- == 0) return false;
        impl_->close(i, CloseReason::dropped, now);
    }
    return true;
}

SessionTable& Forwarder::sessions() { return impl_->table; }
const SessionTable& Forwarder::sessions() const { return impl_->table; }

std::expected<SessionIndex, DropReason> Forwarder::restore(const Session& session, Instant now) {
    Session s = session;
    if (s.service >= impl_->services.size() || static_cast<size_t>(s.state) >= kSessionStates ||
        s.client.address.is_v4() != s.backend.address.is_v4())
        return std::unexpected(DropReason::invalid_state);
    const Service& config = impl_->options.services[s.service];
    s.group = config.group;
    s.set(Session::kAdopted);
    s.clear(Session::kDirtySegment);
    s.created = s.last_activity = now;
    if (config.terminates_tcp()) s.set(Session::kRelayed);
    s.backend_index = Session::kNoBackend;
    for (uint16_t b = 0; b < config.backends.size(); ++b)
        if (config.backends[b].endpoint == s.backend) s.backend_index = b;
    if (s.backend_index == Session::kNoBackend)
        impl_->back.find_or_add(next_hop(impl_->options.back, s.backend.address), now);
    normalize_restored(s);
    const auto index = impl_->table.insert(s);
    if (!index) return index;
    ++impl_->counters.sessions_restored;
    impl_->arm(index->slot, now);
    return index;
}

void Forwarder::set_state(SessionIndex index, SessionState state, Instant now) {
    Session& s = *impl_->table.get(index);
    if (is_embryonic(s.state) && !is_embryonic(state)) impl_->table.promote(index.slot);
    s.state = state;
    s.last_activity = now;
    impl_->arm(index.slot, now);
}

void Forwarder::mark_dirty(SessionIndex index) {
    Session& s = *impl_->table.get(index);
    if (!s.has(Session::kDirtySegment)) impl_->mark_dirty(s, index.slot);
}

void Forwarder::set_created(SessionIndex index, Instant created, Instant now) {
    impl_->table.get(index)->created = created;
    impl_->arm(index.slot, now);
}

void Forwarder::finish(SessionIndex index, Instant now) {
    impl_->close(index, CloseReason::finished, now);
}

void Forwarder::drop(SessionIndex index, Instant now) {
    if (impl_->table.get(index) != nullptr) impl_->close(index, CloseReason::dropped, now);
}

std::optional<SessionIndex> Forwarder::pop_dirty() {
    while (const auto index = impl_->dirty.pop()) {
        Session* s = impl_->table.get(*index);
        if (s == nullptr) continue;  // removed meanwhile
        s->clear(Session::kDirtySegment);
        return index;
    }
    return std::nullopt;
}
uint32_t Forwarder::dirty() const { return impl_->dirty.size(); }

void Forwarder::learn_neighbor(Side side, const IpAddress& address, const MacAddress& mac,
                               Instant now) {
    impl_->neighbors(side).learn(address, mac, now);
}

bool Forwarder::backend_up(uint16_t service, uint16_t backend) const {
    return impl_->health.up(service, backend);
}

void Forwarder::set_weight(uint16_t service, uint16_t backend, uint32_t weight) {
    if (service >= impl_->services.size()) return;
    auto& weights = impl_->services[service].weights;
    if (backend >= weights.size() || weights[backend] == weight) return;
    weights[backend] = weight;
    impl_->rebuild(service);
}

const ForwardCounters& Forwarder::counters() const { return impl_->counters; }
const DropCounters& Forwarder::drops() const { return impl_->drops; }

uint64_t Forwarder::bytes() const {
    uint64_t sum =
        impl_->table.bytes() + impl_->dirty.bytes() + impl_->front.bytes() + impl_->back.bytes();
    sum += (uint64_t{impl_->table.capacity()} + kWheelSlots) * 8;
    for (const auto& s : impl_->services) sum += s.v4.bytes() + s.v6.bytes();
    return sum;
}

}  // namespace holdfast
