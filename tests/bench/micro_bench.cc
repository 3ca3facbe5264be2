// Single steps of the packet path and of replication, one thread, no device.
#include <benchmark/benchmark.h>

#include "replication/buzhash.h"
#include "tests/bench/loaded_worker.h"

namespace holdfast {
namespace {

using namespace holdfast::bench;

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

class Nowhere final : public Outlet {
public:
    void transmit(Side, Bytes) override {}
};

// 64-byte frames of random sessions in bursts of 32, each copied into a buffer as a port would
// deliver it.
void BM_Forward(benchmark::State& state) {
    constexpr size_t kBurst = 32, kSlot = 128;
    const auto n = static_cast<uint32_t>(state.range(0));
    Nowhere nowhere;
    LoadedWorker loaded(n, nowhere, Instant{1'000'000'000});
    const std::vector<testing::Buffer> frames = random_frames(n, 65'536);
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
