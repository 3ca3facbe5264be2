// Single steps of the packet path and of replication, one thread, no device.
#include <benchmark/benchmark.h>

#include "dataplane/wire/testing.h"
#include "dataplane/worker.h"
#include "replication/buzhash.h"

namespace holdfast {
namespace {

using testing::endpoint;
using testing::frame_of;
using testing::ip;
using testing::mac;
using testing::Seg;

constexpr GroupId kGroup{1};
const Endpoint kVip = endpoint("198.51.100.10:80");
const Endpoint kBackend = endpoint("203.0.113.11:80");

Endpoint client(uint32_t n) {
    return {IpAddress::v4(0x0a000000 + n / 60'000), static_cast<uint16_t>(1024 + n % 60'000)};
}
Endpoint pool(uint32_t n) {
    return {IpAddress::v4(0xcb007100 + 200 + n / 60'000), static_cast<uint16_t>(1024 + n % 60'000)};
}

SessionKey key(uint32_t n) { return session_key(FlowKey{client(n), kVip}); }

void BM_Buzhash(benchmark::State& state) {
    std::vector<std::byte> bytes(static_cast<size_t>(state.range(0)), std::byte{0x5a});
    for (auto _ : state) {
        benchmark::DoNotOptimize(buzhash(bytes));
        benchmark::ClobberMemory();
    }
}
BENCHMARK(BM_Buzhash)->Arg(14)->Arg(38);  // a session's key and its kind, IPv4 and IPv6

void BM_Owners(benchmark::State& state) {
    const Placement placement(2, NodeSet{});
    unsigned slot = 0;
    for (auto _ : state)
        benchmark::DoNotOptimize(placement.owners(slot++ % kSlots, NodeSet(0b1110)));
}
BENCHMARK(BM_Owners);

// Header, alias and segment of n IPv4 sessions in one store; reports what a session's copy costs.
void BM_StoreFind(benchmark::State& state) {
    const auto n = static_cast<uint32_t>(state.range(0));
    FragmentStore store({n * 3, uint64_t{n} * 3 * 80, 1});
    std::array<std::byte, kMaxHeaderValue> buffer;
    for (uint32_t i = 0; i < n; ++i) {
        Session s;
        s.client = client(i);
        s.vip = kVip;
        s.pool = pool(i);
        s.backend = kBackend;
        Fragment f;
        f.version = {{1}, 1};
        f.id = {session_key(s), FragmentKind::header, 0};
        f.value = Bytes(buffer).first(write_header(s, buffer));
        store.put(f, Instant{1});
        f.id = {alias_key(s), FragmentKind::alias, 0};
        f.value = Bytes(buffer).first(write_alias(s, buffer));
        store.put(f, Instant{1});
        f.id = {session_key(s), FragmentKind::segment, 0};
        f.value = Bytes(buffer).first(write_segment(s, 0, buffer));
        store.put(f, Instant{1});
    }
    Random random(1);
    for (auto _ : state)
        benchmark::DoNotOptimize(
            store.find({key(static_cast<uint32_t>(random.below(n))), FragmentKind::header, 0}));
    state.counters["bytes_per_copy"] =
        static_cast<double>(store.bytes_used()) / n + 3 * (32 + 4 * 1.33);  // entries and buckets
}
BENCHMARK(BM_StoreFind)->Arg(1000)->Arg(1'000'000);

class Nowhere final : public Outlet, public RingOutput {
public:
    void transmit(Side, Bytes) override {}
    void multicast(Bytes) override {}
    void unicast(NodeId, Bytes) override {}
};

// A worker alone (solo), holding n established sessions.
struct Loaded {
    explicit Loaded(uint32_t n) {
        Service web;
        web.name = "web";
        web.group = kGroup;
        web.vips = {kVip.address};
        web.port = kVip.port;
        web.backends = {{"b1", kBackend, 1}};
        for (uint32_t i = 0; i <= n / 60'000; ++i)
            web.pools.push_back({pool(i * 60'000).address, 1024, 65535});
        web.health.enabled = false;
        WorkerOptions o;
        o.forward.services = {web};
        o.forward.groups = {{kGroup, {NodeId{0}}, MacAddress{{0, 0, 0x5e, 0, 1, 1}}}};
        o.forward.front.mac = mac(1);
        o.forward.back.mac = mac(2);
        o.forward.back.own_v4 = ip("203.0.113.51");
        o.forward.sessions.capacity = n;
        o.replicator.ring.slots = 1024;
        o.replicator.ring.incarnation = {1};
        o.replicator.membership.incarnation = {1};
        o.replicator.membership.nodes = NodeSet(1);
        o.replicator.membership.solo = true;
        o.replicator.membership.groups = {{kGroup, {NodeId{0}}}};
        o.replicator.store = {16, 4096, 1};
        worker = std::make_unique<Worker>(o, nowhere, nowhere, now);
        while (!worker->replicator().may_transmit(kGroup, now)) tick(Duration::milliseconds(5));
        auto& forwarder = const_cast<Forwarder&>(worker->forwarder());
        forwarder.learn_neighbor(Side::back, kBackend.address, mac(3), now);
        for (uint32_t i = 0; i < n; ++i) {
            Session s;
            s.client = client(i);
            s.vip = kVip;
            s.pool = pool(i);
            s.backend = kBackend;
            s.backend_index = 0;
            s.group = kGroup;
            s.client_mac = mac(4);
            s.state = TcpState::established;
            s.set(Session::kCommitted);
            CHECK(forwarder.restore(s, now).has_value());
        }
    }
    void tick(Duration d) {
        now = now + d;
        worker->on_deadline(now);
    }

    Nowhere nowhere;
    Instant now{1'000'000'000};
    std::unique_ptr<Worker> worker;
};

// 64-byte frames of random sessions in bursts of 32, each copied into a buffer as a port would
// deliver it.
void BM_Forward(benchmark::State& state) {
    constexpr size_t kBurst = 32, kSlot = 128;
    const auto n = static_cast<uint32_t>(state.range(0));
    Loaded loaded(n);
    Random random(2);
    std::vector<testing::Buffer> frames;
    for (unsigned i = 0; i < 65'536; ++i) {
        Seg s{client(static_cast<uint32_t>(random.below(n))),
              kVip,
              tcp_flag::ack,
              1000,
              2000,
              "0123456789"};
        s.source_mac = mac(4);
        s.destination_mac = {{0, 0, 0x5e, 0, 1, 1}};
        frames.push_back(frame_of(s));
    }
    std::vector<std::byte> memory(kBurst * kSlot);
    std::array<Frame, kBurst> burst;
    std::array<Disposition, kBurst> out;
    size_t at = 0, passed = 0;
    for (auto _ : state) {
        for (size_t i = 0; i < kBurst; ++i) {
            const testing::Buffer& f = frames[at++ % frames.size()];
            std::byte* data = memory.data() + i * kSlot + kFrameHeadroom;
            std::memcpy(data, f.data(), f.size());
            burst[i] = {data, static_cast<uint32_t>(f.size()), Side::front};
        }
        loaded.worker->on_burst(burst, out, loaded.now);
        for (Disposition d : out) passed += d == Disposition::transmit_back;
    }
    state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * kBurst));
    if (passed != state.iterations() * kBurst) state.SkipWithError("not every frame was passed on");
    state.counters["bytes_per_session"] =
        static_cast<double>(loaded.worker->forwarder().bytes()) / n;
}
BENCHMARK(BM_Forward)->Arg(1000)->Arg(1'000'000)->Unit(benchmark::kMicrosecond);

void BM_GateHoldAndOpen(benchmark::State& state) {
    ReleaseGate gate(64);
    const std::vector<std::byte> packet(74);
    for (auto _ : state) {
        gate.hold({}, {1, 0}, packet, Instant{1});
        gate.open(
            Instant{2}, [](const GateNeed&) { return true; },
            [](GateTag, Bytes p) { benchmark::DoNotOptimize(p); });
    }
}
BENCHMARK(BM_GateHoldAndOpen);

}  // namespace
}  // namespace holdfast

BENCHMARK_MAIN();
