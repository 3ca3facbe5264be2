// Single steps of the packet path and of replication, one thread, no device.
#include <benchmark/benchmark.h>

#include <chrono>

#include "dataplane/takeover/capture.h"
#include "dataplane/tcp/endpoint.h"
#include "dataplane/wire/checksum.h"
#include "replication/buzhash.h"
#include "tests/bench/loaded_worker.h"
#include "tests/bench/memory_ring.h"

namespace holdfast {

Instant bench::clock_now() {
    return {std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1)};
}

namespace {

using namespace holdfast::bench;

Session session_of(uint32_t n) {
    Session s;
    s.client = client(n);
    s.vip = kVip;
    s.pool = pool(n);
    s.backend = kBackend;
    return s;
}

Fragment header_of(const Session& s, std::span<std::byte> buffer) {
    Fragment f;
    f.version = {{1}, 1};
    f.id = {session_key(s), FragmentKind::header, 0};
    f.value = Bytes(buffer).first(write_header(s, buffer));
    return f;
}

SessionKey key(uint32_t n) { return session_key(FlowKey{client(n), kVip}); }

void BM_Buzhash(benchmark::State& state) {
    std::vector<std::byte> bytes(static_cast<size_t>(state.range(0)), std::byte{0x5a});
    for (auto _ : state) {
        benchmark::DoNotOptimize(buzhash(bytes));
        benchmark::ClobberMemory();
    }
}
BENCHMARK(BM_Buzhash)->Arg(13)->Arg(37);  // a session's key, IPv4 and IPv6

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
        const Session s = session_of(i);
        Fragment f = header_of(s, buffer);
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

void BM_SessionTableFind(benchmark::State& state) {
    const auto n = static_cast<uint32_t>(state.range(0));
    SessionTable table({.capacity = n, .embryonic_limit = n, .seed = 1});
    for (uint32_t i = 0; i < n; ++i) {
        CHECK(table.insert(session_of(i)).has_value());
    }
    Random random(1);
    for (auto _ : state)
        benchmark::DoNotOptimize(
            table.find({client(static_cast<uint32_t>(random.below(n))), kVip}));
    state.counters["bytes_per_session"] = static_cast<double>(table.bytes()) / n;
}
BENCHMARK(BM_SessionTableFind)->Arg(1000)->Arg(1'000'000)->Arg(4'000'000);

// 64-byte frames of random sessions in bursts of 32, each copied into a buffer as a port would
// deliver it.
class Load {
public:
    static constexpr size_t kBurst = 32;
    explicit Load(uint32_t sessions) : frames_(random_frames(sessions)) {}
    size_t bursts() const { return frames_.size() / kBurst; }  // until every session had a frame
    std::span<Frame> next() {
        for (size_t i = 0; i < kBurst; ++i) {
            std::byte* data = memory_.data() + i * kSlot + kFrameHeadroom;
            std::memcpy(data, frames_[at_].bytes.data(), 64);
            if (++at_ == frames_.size()) at_ = 0;
            burst_[i] = {data, SmallFrame::kSize, Side::front};
        }
        return burst_;
    }

private:
    static constexpr size_t kSlot = 128;
    std::vector<SmallFrame> frames_;
    size_t at_ = 0;
    alignas(64) std::array<std::byte, kBurst * kSlot> memory_;
    std::array<Frame, kBurst> burst_;
};

class Nowhere final : public Outlet {
public:
    void transmit(Side, Bytes) override {}
};

void report(benchmark::State& state, const LoadedWorker& loaded, size_t passed) {
    state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * Load::kBurst));
    if (passed != state.iterations() * Load::kBurst)
        state.SkipWithError("not every frame was passed on");
    state.counters["bytes_per_session"] = static_cast<double>(loaded.worker->forwarder().bytes()) /
                                          static_cast<double>(state.range(0));
}

void BM_WorkerBurst(benchmark::State& state) {
    const auto n = static_cast<uint32_t>(state.range(0));
    Nowhere nowhere;
    LoadedWorker loaded(n, nowhere, Instant{1'000'000'000});
    Load load(n);
    std::array<Disposition, Load::kBurst> out;
    // A restored session's first segments are believed, which is another way than what follows.
    for (size_t i = load.bursts(); i-- > 0;) loaded.worker->on_burst(load.next(), out, loaded.now);
    size_t passed = 0;
    for (auto _ : state) {
        loaded.worker->on_burst(load.next(), out, loaded.now);
        for (Disposition d : out) passed += d != Disposition::drop;
    }
    report(state, loaded, passed);
}
BENCHMARK(BM_WorkerBurst)->Arg(1000)->Arg(1'000'000)->Arg(4'000'000);

// The same without the worker around it, with the burst prefetched and without.
void BM_ForwarderFrames(benchmark::State& state) {
    const auto n = static_cast<uint32_t>(state.range(0));
    Nowhere nowhere;
    LoadedWorker loaded(n, nowhere, Instant{1'000'000'000});
    auto& forwarder = const_cast<Forwarder&>(loaded.worker->forwarder());
    Load load(n);
    for (size_t i = load.bursts(); i-- > 0;)
        for (Frame& f : load.next()) forwarder.on_frame(f, loaded.now, nowhere);
    size_t passed = 0;
    for (auto _ : state) {
        const std::span<Frame> burst = load.next();
        if (state.range(1)) forwarder.prefetch(burst);
        for (Frame& f : burst)
            passed += forwarder.on_frame(f, loaded.now, nowhere).verdict == Step::Verdict::transmit;
    }
    report(state, loaded, passed);
}
BENCHMARK(BM_ForwarderFrames)
    ->ArgNames({"sessions", "prefetch"})
    ->ArgsProduct({{1000, 1'000'000}, {0, 1}});

void BM_LoadOnly(benchmark::State& state) {
    Load load(static_cast<uint32_t>(state.range(0)));
    for (auto _ : state) benchmark::DoNotOptimize(load.next().data());
    state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * Load::kBurst));
}
BENCHMARK(BM_LoadOnly)->Arg(1000)->Arg(1'000'000);

void BM_FragmentEncode(benchmark::State& state) {
    std::array<std::byte, kMaxHeaderValue> value;
    std::array<std::byte, 512> wire;
    const Session s = session_of(1);
    for (auto _ : state) {
        ByteWriter to(wire);
        encode(header_of(s, value), to);
        benchmark::DoNotOptimize(to.used());
    }
}
BENCHMARK(BM_FragmentEncode);

void BM_FragmentDecode(benchmark::State& state) {
    std::array<std::byte, kMaxHeaderValue> value;
    std::array<std::byte, 512> wire;
    ByteWriter to(wire);
    encode(header_of(session_of(1), value), to);
    for (auto _ : state) {
        ByteReader from(Bytes(wire).first(to.used()));
        benchmark::DoNotOptimize(decode_fragment(from));
    }
}
BENCHMARK(BM_FragmentDecode);

// An IPv4 address and a port replaced in a checksum.
void BM_ChecksumUpdate(benchmark::State& state) {
    std::array<std::byte, 8> was{}, now{};
    std::array<std::byte, 2> field{};
    for (auto _ : state) {
        for (std::byte* seen : {was.data(), now.data(), field.data()})
            benchmark::DoNotOptimize(seen);
        benchmark::ClobberMemory();
        ChecksumDelta delta;
        delta.replace(was.data(), now.data(), 6);
        delta.apply(field.data());
    }
}
BENCHMARK(BM_ChecksumUpdate);

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

// A segment in order into an endpoint, which acknowledges once for each burst of 32.
class Reader final : public TcpOutput {
public:
    void transmit(const TcpEndpoint&, const TcpSegment&, const TcpOptions&,
                  std::span<const Bytes>) override {
        ++acknowledgements;
    }
    size_t deliver(Bytes bytes) override { return octets += bytes.size(), bytes.size(); }
    void on_tcp_event(TcpEvent) override {}
    uint64_t octets = 0, acknowledgements = 0;
};

void BM_SegmentReceive(benchmark::State& state) {
    ChunkPool pool(64);
    const TcpConfig config;
    TcpEndpoint end(config, pool);
    Reader reader;
    Tcb record;
    record.state = TcpState::established;
    Instant now{1'000'000'000};
    end.restore(record, {.relearn = false}, now);
    constexpr uint32_t kRoom = 256 * 1024;
    const auto drain = [&] {  // the consumer has taken it all, and the peer is told so
        end.set_receive_room(kRoom);
        end.flush(now, reader);
    };
    drain();
    const std::vector<std::byte> text(static_cast<size_t>(state.range(0)));
    TcpSegment segment;
    segment.flags = tcp_flag::ack;
    segment.window = 1000;
    segment.payload_size = static_cast<uint32_t>(text.size());
    segment.seq = end.state().rcv_nxt;
    segment.ack = end.state().snd_nxt;
    unsigned in_burst = 0;
    for (auto _ : state) {
        end.on_segment({segment, {}, text}, now, reader);
        segment.seq = segment.end();
        if (++in_burst < 32) continue;
        drain();
        in_burst = 0;
        now = now + Duration::microseconds(32);
    }
    if (reader.octets != state.iterations() * text.size() || reader.acknowledgements == 0)
        state.SkipWithError("not every octet was delivered");
    state.SetBytesProcessed(static_cast<int64_t>(reader.octets));
}
BENCHMARK(BM_SegmentReceive)->Arg(64)->Arg(1400);

// A message of 256 bytes at either end of a ring with one receiver, sealing and opening included.
void BM_Ring(benchmark::State& state) {
    MemoryRing ring(1);
    ring.join();
    const bool sends = state.range(0) == 0;
    const auto spent = [&] { return sends ? ring.sender_ns() : ring.receivers_ns(); };
    for (auto _ : state) {
        const int64_t before = spent();
        ring.burst();
        state.SetIterationTime(static_cast<double>(spent() - before) * 1e-9);
    }
    const auto messages = static_cast<uint64_t>(state.iterations()) * MemoryRing::kBurst;
    if (!ring.all_have(messages)) state.SkipWithError("the receiver does not have all messages");
    state.SetItemsProcessed(static_cast<int64_t>(messages));
    state.SetLabel(sends ? "send" : "receive");
}
BENCHMARK(BM_Ring)->DenseRange(0, 1)->UseManualTime();

}  // namespace
}  // namespace holdfast

BENCHMARK_MAIN();
