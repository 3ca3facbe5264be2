#include "controlplane/node/snapshot.h"

#include <algorithm>
#include <ctime>

namespace holdfast {
namespace {

int64_t unix_ns() {
    timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

snapshot::Role role_of(Role role) {
    switch (role) {
        case Role::standby:
            return snapshot::Role::standby;
        case Role::adopting:
            return snapshot::Role::adopting;
        case Role::holder:
            return snapshot::Role::holder;
    }
    return snapshot::Role::standby;
}

void fill_groups(const Worker& worker, const Config& config, snapshot::Shard& shard) {
    const Membership& m = worker.replicator().membership();
    for (const Group& g : config.groups) {
        snapshot::Group out;
        out.id = g.id;
        out.role = role_of(m.role(g.id));
        if (m.claim(g.id).epoch.value != 0) out.holder = m.claim(g.id).holder;
        out.epoch = {m.epoch(g.id).count()};
        if (out.role == snapshot::Role::holder) shard.solo |= m.view().members.empty();
        shard.groups.push_back(out);
    }
}

void fill_peers(const Worker& worker, const Config& config, Instant now, snapshot::Shard& shard) {
    const Membership& m = worker.replicator().membership();
    const Ring& ring = worker.replicator().ring();
    shard.last_published = ring.last_published();
    shard.view.number = m.view().number;
    shard.view.members = m.view().members | NodeSet::of(config.self);
    for (const NodeEntry& n : config.cluster.nodes) {
        if (n.id == config.self) continue;
        snapshot::Peer p;
        p.id = n.id;
        p.incarnation = ring.incarnation(n.id);
        p.in_view = m.view().members.has(n.id);
        p.acknowledged = ring.acknowledged(n.id);
        if (p.acknowledged.value != 0)
            p.lag = shard.last_published - std::min(p.acknowledged, shard.last_published);
        if (p.incarnation.value != 0) {
            p.since_heard = now - ring.last_heard(n.id);
            p.state = !m.alive(n.id, now)          ? snapshot::PeerState::silent
                      : p.in_view                  ? snapshot::PeerState::following
                      : ring.followers().has(n.id) ? snapshot::PeerState::joining
                                                   : snapshot::PeerState::lagging;
        }
        shard.peers.push_back(p);
    }
}

void fill_table(const Worker& worker, const Config& config, const SessionCounts& counts,
                snapshot::Shard& shard) {
    shard.sessions = counts.sessions;
    shard.sessions.capacity = worker.forwarder().sessions().capacity();
    for (snapshot::Group& g : shard.groups) g.sessions = counts.by_group[g.id.value];
    for (uint16_t s = 0; s < config.services.size(); ++s)
        for (uint16_t b = 0; b < config.services[s].backends.size(); ++b) {
            const Backend& configured = config.services[s].backends[b];
            snapshot::Backend out;
            out.service = config.services[s].name;
            out.name = configured.name;
            out.endpoint = configured.endpoint;
            out.weight = out.configured_weight = configured.weight;
            out.up = worker.forwarder().backend_up(s, b);
            out.sessions = counts.by_backend[s][b];
            shard.backends.push_back(out);
        }
    const uint64_t live = shard.sessions.live();
    const bool standbys = !worker.replicator().membership().view().members.empty();
    if (live > 0)
        shard.coverage = standbys ? static_cast<double>(live - shard.sessions.unprotected) /
                                        static_cast<double>(live)
                                  : 0.0;
}

void count(const Session& s, SessionCounts& counts) {
    switch (state_of(s)) {
        case snapshot::SessionState::embryonic:
            ++counts.sessions.embryonic;
            break;
        case snapshot::SessionState::established:
            ++counts.sessions.established;
            break;
        case snapshot::SessionState::closing:
            ++counts.sessions.closing;
            break;
        case snapshot::SessionState::closed:
            return;
    }
    counts.sessions.unprotected += !s.has(Session::kCommitted);
    ++counts.by_group[s.group.value];
    if (s.backend_index != Session::kNoBackend) ++counts.by_backend[s.service][s.backend_index];
}

// The next cursor, if there is more.
std::optional<uint32_t> more(const SessionTable& table, uint32_t cursor) {
    return cursor < table.capacity() ? std::optional(cursor) : std::nullopt;
}

void fill_adoptions(const Worker& worker, const Config& config, Instant now,
                    snapshot::Shard& shard) {
    const Duration detection = worker.replicator().membership().options().detection();
    for (const AdoptionReport& r : worker.adoptions()) {
        snapshot::Adoption a;
        a.group = r.group;
        a.epoch = {r.epoch.count()};
        if (r.previous != config.self) a.from = r.previous;
        const bool heard = r.last_heard.ns > 0 && a.from;
        const Duration since_heard = heard ? r.acquired - r.last_heard : Duration{};
        a.handover = heard && since_heard < detection;
        a.silence = a.handover ? Duration{} : std::min(since_heard, detection);
        const Instant detected = heard && !a.handover ? r.last_heard + a.silence : r.acquired;
        a.detected_unix_ns = unix_ns() - (now - detected).ns;
        a.epoch_won = r.acquired - detected;
        if (r.first_packet) a.first_packet = *r.first_packet - detected;
        if (r.gathered) a.sweep_done = *r.gathered - detected;
        a.sessions = r.sessions;
        a.lost = r.lost;
        for (const NodeEntry& n : config.cluster.nodes) {
            if (n.id == config.self) continue;
            if (r.fragments[n.id.value] > 0) a.pulled.emplace_back(n.id, r.fragments[n.id.value]);
        }
        a.own = r.fragments[config.self.value];
        shard.adoptions.push_back(a);
    }
}

void fill_counters(WorkerUnit& unit, snapshot::Shard& shard) {
    const Worker& w = unit.worker();
    const Replicator& r = w.replicator();
    auto& to = shard.counters;
    snapshot::add_counters(to, "worker", w.counters(), kWorkerCounters);
    snapshot::add_counters(to, "forward", w.forwarder().counters(), kForwardCounters);
    snapshot::add_counters(to, "sessions", w.forwarder().sessions().counters(),
                           kSessionTableCounters);
    snapshot::add_counters(to, "takeover", w.takeover().counters(), kTakeoverCounters);
    snapshot::add_counters(to, "parking", w.parking().counters(), kParkingCounters);
    snapshot::add_counters(to, "nudge", w.nudge().counters(), kNudgeCounters);
    if (const Relay* relay = w.relay()) {
        snapshot::add_counters(to, "relay", relay->counters(), kRelayCounters);
        snapshot::add_counters(to, "tcp", relay->memory().counters, kTcpCounters);
        if (TlsShared* tls = relay->tls_shared()) {
            snapshot::add_counters(to, "tls", tls->counters, kTlsStreamCounters);
            snapshot::add_counters(to, "tls_records", tls->records.counters(), kTlsRecordCounters);
            snapshot::add_counters(to, "resumption", tls->wishes.counters, kSessionWishCounters);
            snapshot::add_counters(to, "resumption", w.resumption()->counters(),
                                   kResumptionCounters);
            snapshot::add_counters(to, "resumption", w.resumption()->cache_counters(),
                                   kTlsSessionCounters);
        }
    }
    snapshot::add_counters(to, "replication", r.counters(), kReplicatorCounters);
    snapshot::add_counters(to, "membership", r.membership().counters(), kMembershipCounters);
    snapshot::add_counters(to, "gate", r.gate().counters(), kGateCounters);
    snapshot::add_counters(to, "store", r.store().counters(), kStoreCounters);
    snapshot::add_counters(to, "sweep", r.sweep().counters(), kSweepCounters);
    snapshot::add_counters(to, "ring", r.ring().counters(), kRingCounters);
    if (const KernelTransport* t = unit.kernel_transport())
        snapshot::add_counters(to, "transport", t->counters(), kTransportCounters);
    if (const PortTransport* t = unit.port_transport())
        snapshot::add_counters(to, "transport", t->counters(), kPortTransportCounters);
    snapshot::add_counters(to, "loop", unit.loop().counters(), kLoopCounters);
    snapshot::add_counters(to, "transmit", unit.transmitter().counters(), kTransmitCounters);
    for (size_t i = 1; i < kDropReasons; ++i)
        shard.drops.push_back({kDropTable[i].name, w.forwarder().drops().dropped[i]});
}

}  // namespace

snapshot::SessionState state_of(const Session& s) {
    if (is_embryonic(s.state)) return snapshot::SessionState::embryonic;
    if (is_over(s.state)) return snapshot::SessionState::closed;
    return s.state == SessionState::established ? snapshot::SessionState::established
                                                : snapshot::SessionState::closing;
}

SessionCounts::SessionCounts(const Config& config) {
    for (const Service& s : config.services) by_backend.emplace_back(s.backends.size());
}

std::optional<uint32_t> count_sessions(WorkerUnit& unit, uint32_t cursor, SessionCounts& counts) {
    const SessionTable& table = unit.worker().forwarder().sessions();
    return more(table, table.walk(cursor, kSessionsAtOnce,
                                  [&](SessionIndex, const Session& s) { count(s, counts); }));
}

void fill_shard(WorkerUnit& unit, const Config& config, const SessionCounts& counts, Instant now,
                snapshot::Shard& shard) {
    const Worker& worker = unit.worker();
    const Replicator& r = worker.replicator();
    shard.worker = unit.index();
    fill_groups(worker, config, shard);
    fill_peers(worker, config, now, shard);
    fill_table(worker, config, counts, shard);
    fill_adoptions(worker, config, now, shard);
    shard.gate = {r.gate().size(),
                  r.gate().counters().released,
                  {static_cast<int64_t>(r.gate().counters().longest_wait_ns)},
                  worker.parking().size()};
    shard.store = {r.store().size(), r.store().bytes_used(), r.store().memory()};
    const LoopCounters& loop = unit.loop().counters();
    shard.poll = {
        loop.polls, loop.busy_polls, {static_cast<int64_t>(loop.longest_cycle_ns)}, loop.stalls};
    fill_counters(unit, shard);
}

std::optional<uint32_t> fill_sessions(WorkerUnit& unit, const Config& config,
                                      const SessionQuery& query, uint32_t cursor, Instant now,
                                      SessionPage& page) {
    const SessionTable& table = unit.worker().forwarder().sessions();
    const auto visit = [&](SessionIndex, const Session& s) {
        const snapshot::SessionState state = state_of(s);
        if (query.vip && *query.vip != s.vip.address) return;
        if (query.client && *query.client != s.client.address) return;
        if (query.state && *query.state != state) return;
        ++page.matching;
        if (page.rows.size() >= query.limit) return;
        const Service& service = config.services[s.service];
        SessionRow row;
        row.name = {s.client, s.vip};
        row.service = service.name;
        if (s.backend_index != Session::kNoBackend)
            row.backend = service.backends[s.backend_index].name;
        row.pool = s.pool;
        row.backend_endpoint = s.backend;
        row.state = state;
        row.age = now - s.created;
        row.idle = now - s.last_activity;
        row.worker = unit.index();
        row.group = s.group;
        row.is_protected = s.has(Session::kCommitted);
        page.rows.push_back(row);
    };
    return more(table, table.walk(cursor, kSessionsAtOnce, visit));
}

}  // namespace holdfast
