#include "tests/simulation/world/world.h"

#include <algorithm>

#include "tests/simulation/member.h"
#include "tests/simulation/world/judge_bounds.h"
#include "tests/simulation/world/judge_commit.h"
#include "tests/simulation/world/judge_holder.h"
#include "tests/simulation/world/judge_octets.h"
#include "tests/simulation/world/judge_secrets.h"

namespace holdfast::simulation {
namespace {

using testing::endpoint;
using testing::ip;

constexpr Duration kShortestNap = Duration::microseconds(50),
                   kLongestNap = Duration::milliseconds(5);
constexpr Duration kStallBound = Duration::milliseconds(20);  // as cluster.stall by default
constexpr Duration kTimeToSettle = Duration::seconds(10), kTimeToEnd = Duration::seconds(120);

constexpr std::string_view kClusterSecret = "the cluster secret of simulations";

}  // namespace

World::World(const WorldOptions& options)
    : options_(options),
      random_(mix64(options.seed)),
      network_random_(mix64(options.seed + 1'000'003)),
      host_random_(mix64(options.seed + 2'000'003)) {
    draw();
    for (uint8_t i = 0; i < options_.nodes; ++i) {
        nodes_.push_back(std::make_unique<Node>());
        nodes_[i]->world = this;
        nodes_[i]->seen.id = i;
        seen_.push_back(nodes_[i]->seen);
    }
    services_ = worker_options(*nodes_[0]).forward.services;
    add_judges();
    for (auto& n : nodes_) start(*n);
}

World::~World() = default;

// All draws of the world come first and one after the other, whatever is taken away of them later.
void World::draw() {
    constexpr Mode kModes[] = {Mode::forward, Mode::proxy, Mode::tls};
    mode_ = kModes[random_.below(3)];
    temper_ = random_.chance(0.7) ? Temper::orderly : Temper::rough;
    if (options_.mode) mode_ = *options_.mode;
    if (options_.temper) temper_ = *options_.temper;
    copies_ = 1 + static_cast<unsigned>(random_.below(3));
    if (options_.copies) copies_ = *options_.copies;
    commit_ = random_.chance(0.75) ? Commit::all : Commit::any;
    durability_ = random_.chance(0.3) ? Durability::payload : Durability::state;
    faults_ = draw_faults(random_, temper_, options_.nodes, options_.failovers);
    Random odd(mix64(options_.seed + 3'000'003));
    draw_odd_fault(odd, options_.nodes, faults_);
    Random later(mix64(options_.seed + 4'000'003));
    draw_host_fault(later, faults_);
    keeps_attributes_ = temper_ == Temper::orderly && later.chance(0.25);
    for (unsigned n = 0; n < options_.sessions; ++n) {
        Talk t;
        t.number = n;
        t.begins = kBegin +
                   Duration::microseconds(100'000 + static_cast<int64_t>(random_.below(1'500'000)));
        const uint64_t most = random_.chance(0.6) ? 5'000 : random_.chance(0.7) ? 60'000 : 300'000;
        t.client_says = 8 + random_.below(most);
        t.server_says = 8 + random_.below(most);
        const uint64_t bursts = 1 + random_.below(40);
        t.burst = static_cast<uint32_t>(std::max(t.client_says, t.server_says) / bursts + 1);
        t.pause = Duration::microseconds(static_cast<int64_t>(random_.below(3'000'000) / bursts));
        t.timestamps = random_.chance(0.5);
        t.v6 = random_.chance(0.4);
        t.tls = mode_ == Mode::tls;
        t.tls_version = random_.chance(0.5) ? TLS1_2_VERSION : TLS1_3_VERSION;
        t.window = random_.chance(0.8) ? 65'535 : 4'000;
        talks_.push_back(t);
    }
    if (mode_ == Mode::tls) tls_ = tls_testing::load(tls_testing::usual());
}

WorkerOptions World::worker_options(const Node& n) const {
    Service web;
    web.name = "web";
    web.mode = mode_;
    web.group = kGroup;
    web.vips = {ip("198.51.100.10"), ip("2001:db8:1::10")};
    web.port = 443;
    web.backends = {{"b1", endpoint("203.0.113.11:80"), 1},
                    {"b2", endpoint("[2001:db8:2::11]:80"), 1}};
    web.pools = {{ip("203.0.113.200"), 10000, 19999}, {ip("2001:db8:2::200"), 10000, 19999}};
    web.health.enabled = false;
    web.commit = commit_;
    web.durability = durability_;
    const uint8_t id = n.seen.id;

    WorkerOptions o;
    make_member(o, {id}, options_.nodes, {(lives_ << 8) + id + 1}, kGroup, kVirtualMac);
    o.forward.services = {web};
    o.forward.back.own_v6 = ip("2001:db8:2::5" + std::to_string(id));
    o.forward.back.prefix_v6 = 64;
    o.forward.sessions.capacity = 1'024;
    o.forward.sessions.seed = lives_ * 7;
    o.forward.seed = options_.seed + id;
    o.forward.balance_table = 251;
    o.relay.chunks = 8'192;
    o.relay.wall_offset = Duration::seconds(1'700'000'000) + (now_ - n.clock(now_));
    o.relay.tls = {tls_};
    o.relay.tls_connections = 512;
    o.relay.handshakes = n.handshakes.get();
    ReplicatorOptions& r = o.replicator;
    std::ranges::copy(std::as_bytes(std::span(kClusterSecret)).first(32), r.ring.secret.begin());
    r.ring.slots = 1'024;
    r.ring.seed = mix64(options_.seed * 31 + lives_);
    r.membership.copies = copies_;
    r.membership.remembered = n.remembered;
    r.store = {16'384, 8u << 20, lives_ * 9};
    r.memory = nodes_[id].get();
    r.gate_packets = 512;
    o.parked_frames = 256;
    o.resumable.sessions = 1'024;
    return o;
}

void World::add_judges() {
    const CopiesWanted wanted{commit_, copies_, services_};
    judges_.push_back(std::make_unique<HolderJudge>(kGroup, kVirtualMac));
    judges_.push_back(std::make_unique<CommitJudge>(kVirtualMac, mode_, wanted));
    judges_.push_back(std::make_unique<OctetsJudge>());
    judges_.push_back(std::make_unique<BoundsJudge>(worker_options(*nodes_[0])));
    auto secrets = std::make_unique<SecretsJudge>();
    secrets_ = secrets.get();
    secrets_->keep_secret(std::as_bytes(std::span(kClusterSecret)));
    judges_.push_back(std::move(secrets));
}

// ---- Nodes

void World::start(Node& n) {
    ++lives_;
    n.clock_offset = static_cast<int64_t>(network_random_.below(1'000'000'000'000));
    n.drift_ppm = static_cast<int64_t>(network_random_.below(400)) - 200;
    n.handshakes = std::make_unique<InlineHandshakes>();
    n.worker = std::make_unique<Worker>(worker_options(n), n, n, n.clock(now_));
    n.seen.worker = n.worker.get();
    n.polled = n.clock(now_);
    n.next_poll = now_;
}

// The first thing after a sleep.
void World::wake(Node& n) {
    const Instant clock = n.clock(now_);
    const Duration gap = clock - n.polled;
    n.polled = clock;
    if (gap > kStallBound) n.worker->on_stall(gap, clock);
}

void World::poll(Node& n) {
    wake(n);
    const Instant clock = n.clock(now_);
    n.worker->on_burst_end(clock);
    if (n.worker->next_deadline() <= clock) n.worker->on_deadline(clock);
    const Instant due = n.worker->next_deadline();
    const Duration nap = due == Instant::max() ? kLongestNap : due - clock;
    n.next_poll = now_ + std::clamp(nap, kShortestNap, kLongestNap);
}

void World::pause(Node& n, bool on) {
    n.seen.paused = on;
    if (on) return;
    if (n.worker) wake(n);
    for (const Event& e : std::exchange(n.backlog, {})) deliver(e);
}

// ---- Time

Instant World::hosts_deadline() {
    if (!std::exchange(hosts_touched_, false)) return hosts_deadline_;
    hosts_deadline_ = Instant::max();
    for (const auto& c : clients_) hosts_deadline_ = earlier(hosts_deadline_, c->next_deadline());
    for (const auto& [key, s] : servers_)
        hosts_deadline_ = earlier(hosts_deadline_, s->next_deadline());
    return hosts_deadline_;
}

Instant World::next_time() {
    Instant next = next_look_;
    if (!events_.empty()) next = earlier(next, events_.top().at);
    for (const auto& n : nodes_)
        if (n->worker && !n->seen.paused) next = earlier(next, n->next_poll);
    next = earlier(next, hosts_deadline());
    if (opened_ < talks_.size()) next = earlier(next, talks_[opened_].begins);
    return next;
}

void World::step() {
    now_ = std::max(now_ + Duration::microseconds(1), next_time());
    ++steps_;
    while (!events_.empty() && events_.top().at <= now_) {
        const Event event = events_.top();
        events_.pop();
        deliver(event);
        trace();
    }
    for (auto& n : nodes_)
        if (n->worker && !n->seen.paused && n->next_poll <= now_) {
            poll(*n);
            trace();
        }
    drive_hosts();
    if (now_ < next_look_) return;
    next_look_ = now_ + Duration::milliseconds(10);
    see_nodes();
    for (auto& j : judges_) j->on_look(seen_, now_);
}

World::Verdict World::run() {
    std::ranges::sort(talks_, {}, &Talk::begins);
    const bool began = run_until([&] { return settled(); }, kTimeToSettle);
    if (!began) stand_still("no holder in the beginning");
    if (began && options_.trace) options_.trace->begin();
    if (began && temper_ == Temper::orderly) orderly();
    if (began && temper_ == Temper::rough) rough();
    mend_all();
    if (complaints().empty() && !run_until([&] { return settled() && covered(); }, kTimeToSettle))
        stand_still("when all faults were over, sessions were not covered again (I7)");
    if (complaints().empty()) {
        Talk last;  // whoever comes now is served
        last.number = options_.sessions;
        last.begins = now_;
        last.client_says = last.server_says = 20'000;
        last.tls = mode_ == Mode::tls;
        talks_.push_back(last);
        run_until([&] { return all_ended(); }, kTimeToEnd);
        for (size_t i = 0; i < talks_.size() && !unsafe(); ++i)
            if (!ended(i))
                stand_still("connection " + std::to_string(kFirstPort + talks_[i].number) +
                            " does not move: " + describe(i));
    }
    if (unsafe()) return Verdict::unsafe;
    return complaints().empty() ? Verdict::fine : Verdict::stuck;
}

// ---- Judging

void World::see_nodes() {
    for (size_t i = 0; i < nodes_.size(); ++i) seen_[i] = nodes_[i]->seen;
}

void World::trace() {
    if (!options_.trace) return;
    see_nodes();
    options_.trace->look(seen_, now_);
}

void World::complain(const std::string& what) {
    if (complaints_.size() < 5)
        complaints_.push_back(std::to_string(now_.ns / 1'000) + " us: " + what);
    if (options_.recorder) options_.recorder->say(now_, "COMPLAINT " + what);
}

void World::stand_still(const std::string& what) {
    if (standstills_.size() < 5)
        standstills_.push_back(std::to_string(now_.ns / 1'000) + " us: liveness: " + what);
    if (options_.recorder) options_.recorder->say(now_, "STANDS STILL " + what);
}

void World::touched(const Speaker& s) {
    hosts_touched_ = true;
    if (!s.complaint().empty()) streams_broken_ = true;
}

std::vector<std::string> World::stream_complaints() const {
    std::vector<std::string> all;
    const auto add = [&](const Speaker& s, const char* who, const Endpoint& client) {
        if (!s.complaint().empty())
            all.push_back(std::string("streams: ") + who + to_string(client) + ": " +
                          s.complaint());
    };
    for (const auto& c : clients_) add(*c, "client ", c->tcp.self());
    for (const auto& [key, s] : servers_) add(*s, "server of ", s->tcp.peer());
    for (const auto& s : former_servers_) add(*s, "former server of ", s->tcp.peer());
    return all;
}

bool World::unsafe() const {
    return !complaints_.empty() || streams_broken_ ||
           std::ranges::any_of(judges_, [](const auto& j) { return !j->complaints().empty(); });
}

std::vector<std::string> World::complaints() const {
    std::vector<std::string> all = complaints_;
    const auto append = [&](const std::vector<std::string>& more) {
        all.insert(all.end(), more.begin(), more.end());
    };
    for (const auto& j : judges_) append(j->complaints());
    append(stream_complaints());
    append(standstills_);
    return all;
}

bool World::ended(size_t i) const {
    if (i >= clients_.size()) return false;
    const Speaker* server = servers_of_[i];
    const bool lost = clients_[i]->was_reset() || (server && server->was_reset());
    if (lost && temper_ == Temper::rough) return true;
    // A TLS handshake is promised to nobody: its client is reset, or waits for what never comes.
    const bool promised = !talks_[i].tls || server || clients_[i]->heard() > 0;
    if (!promised && (lost || now_ > talks_[i].begins + kTimeToSettle)) return true;
    return clients_[i]->ended() && server && server->ended();
}

bool World::all_ended() const {
    if (opened_ < talks_.size()) return false;
    for (size_t i = 0; i < talks_.size(); ++i)
        if (!ended(i)) return false;
    return true;
}

std::string World::describe(size_t i) const {
    if (i >= clients_.size()) return "not begun";
    return clients_[i]->describe() + "; server " +
           (servers_of_[i] ? servers_of_[i]->describe() : "none");
}

std::string World::describe() const {
    constexpr const char* kModes[] = {"forward", "proxy", "tls"};
    return std::string(kModes[static_cast<int>(mode_)]) + ", " +
           (temper_ == Temper::orderly ? "orderly" : "rough") + ", copies " +
           std::to_string(copies_) + ", commit " + (commit_ == Commit::all ? "all" : "any") +
           (durability_ == Durability::payload ? ", payload kept" : "") +
           (keeps_attributes_ ? ", attributes" : "") + ", " + std::to_string(options_.nodes) +
           " nodes, " + std::to_string(options_.sessions) + " connections";
}

}  // namespace holdfast::simulation
