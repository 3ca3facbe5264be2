// The record layer beside the bare EVP calls it is made of, what sharing contexts costs, and
// handshakes per second of processor time. One thread, no device.
#include <benchmark/benchmark.h>
#include <openssl/evp.h>

#include <string>

#include "base/random.h"
#include "dataplane/tls/testing.h"

namespace holdfast {
namespace {

using namespace tls_testing;

constexpr uint16_t kBenched[] = {0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xcca9};

TlsRecordState state_of(uint16_t suite, uint64_t seed) {
    Random random(seed);
    TlsRecordState state;
    state.suite = suite;
    for (std::byte& b : state.tx) b = std::byte(random.next());
    state.rx = state.tx;  // opens what it sealed
    state.explicit_nonce = 1;
    return state;
}

void report(benchmark::State& state, size_t size) {
    state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * size));
}

// Arguments: suite, plaintext octets, connections that take turns, contexts per kind.
void BM_Seal(benchmark::State& state) {
    const auto suite = static_cast<uint16_t>(state.range(0));
    const auto size = static_cast<size_t>(state.range(1));
    const auto connections = static_cast<size_t>(state.range(2));
    TlsRecordWorker worker(connections, static_cast<size_t>(state.range(3)));
    std::vector<TlsRecordLayer> layers;
    for (size_t i = 0; i < connections; ++i)
        layers.push_back(std::move(*TlsRecordLayer::make(worker, state_of(suite, i))));
    const Buffer plain(size, std::byte{'x'});
    Buffer sealed(kTlsMaxRecord);
    const Bytes piece(plain);
    size_t turn = 0;
    for (auto _ : state) {
        TlsRecordLayer& layer = layers[turn];
        if (++turn == connections) turn = 0;
        const auto name = layer.reserve(size);
        layer.seal(*name, TlsContentType::application_data, {&piece, 1}, sealed);
        benchmark::ClobberMemory();
    }
    report(state, size);
    state.SetLabel(std::string(find_tls_suite(suite)->name));
}

// The same calls with nothing around them, over one buffer.
void BM_BareSeal(benchmark::State& state) {
    const auto suite = find_tls_suite(static_cast<uint16_t>(state.range(0)));
    const auto size = static_cast<size_t>(state.range(1));
    const EVP_CIPHER* ciphers[] = {EVP_aes_128_gcm(), EVP_aes_256_gcm(), EVP_chacha20_poly1305()};
    EVP_CIPHER_CTX* c = EVP_CIPHER_CTX_new();
    unsigned char key[32]{}, nonce[12]{}, aad[5]{}, tag[16];
    EVP_EncryptInit_ex(c, ciphers[static_cast<size_t>(suite->aead)], nullptr, key, nonce);
    std::vector<unsigned char> plain(size, 'x'), sealed(size + 16);
    int n = 0;
    for (auto _ : state) {
        ++nonce[11];
        EVP_EncryptInit_ex(c, nullptr, nullptr, nullptr, nonce);
        EVP_EncryptUpdate(c, nullptr, &n, aad, sizeof aad);
        EVP_EncryptUpdate(c, sealed.data(), &n, plain.data(), static_cast<int>(size));
        EVP_EncryptFinal_ex(c, sealed.data() + n, &n);
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, sizeof tag, tag);
        benchmark::ClobberMemory();
    }
    EVP_CIPHER_CTX_free(c);
    report(state, size);
    state.SetLabel(std::string(suite->name));
}

void BM_Open(benchmark::State& state) {
    const auto suite = static_cast<uint16_t>(state.range(0));
    const auto size = static_cast<size_t>(state.range(1));
    TlsRecordWorker worker(2);
    const TlsRecordState begin = state_of(suite, 1);
    auto writer = TlsRecordLayer::make(worker, begin);
    const Buffer plain(size, std::byte{'x'});
    const Bytes piece(plain);
    std::vector<Buffer> records(64, Buffer(writer->sealed_size(size)));
    for (Buffer& record : records)
        writer->seal(*writer->reserve(size), TlsContentType::application_data, {&piece, 1}, record);
    Buffer to(kTlsMaxRecord);
    std::optional<TlsRecordLayer> reader;
    size_t turn = records.size();
    for (auto _ : state) {
        if (turn == records.size()) {  // one in 64 pays for the keys
            reader.reset();
            reader = TlsRecordLayer::make(worker, begin);
            turn = 0;
        }
        const Bytes record(records[turn++]);
        benchmark::DoNotOptimize(reader->open({&record, 1}, to, Instant{}).has_value());
    }
    report(state, size);
    state.SetLabel(std::string(find_tls_suite(suite)->name));
}

void sizes(benchmark::internal::Benchmark* b) {
    for (const uint16_t suite : kBenched)
        for (const int64_t size : {1'400, 16'384}) b->Args({suite, size});
}
void alone(benchmark::internal::Benchmark* b) {
    for (const uint16_t suite : kBenched)
        for (const int64_t size : {1'400, 16'384}) b->Args({suite, size, 1, 256});
}
void sharing(benchmark::internal::Benchmark* b) {
    for (const int64_t suite : {0x1301, 0x1302, 0x1303})
        for (const int64_t connections : {16, 1'000, 10'000})
            for (const int64_t contexts : {1, 16, 1'024, 16'384})
                b->Args({suite, 1'400, connections, contexts});
}
BENCHMARK(BM_Seal)->Apply(alone);
BENCHMARK(BM_BareSeal)->Apply(sizes);
BENCHMARK(BM_Open)->Apply(sizes);
BENCHMARK(BM_Seal)->Name("BM_SealInTurns")->Apply(sharing);

// What an adopted connection costs at its first record.
void BM_FirstRecordAfterAdoption(benchmark::State& state) {
    const auto suite = static_cast<uint16_t>(state.range(0));
    TlsRecordWorker worker(1);
    std::array<std::byte, kMaxTlsRecordState> bytes;
    const size_t size = serialise(state_of(suite, 1), bytes);
    Buffer sealed(100);
    for (auto _ : state) {
        auto layer =
            TlsRecordLayer::make(worker, *parse_tls_record_state(Bytes(bytes).first(size)));
        layer->seal(*layer->reserve(0), TlsContentType::application_data, {}, sealed);
    }
    state.SetLabel(std::string(find_tls_suite(suite)->name));
}
BENCHMARK(BM_FirstRecordAfterAdoption)->Arg(0x1301)->Arg(0x1302)->Arg(0x1303)->Arg(0xc02b);

struct Kind {
    const char* name;
    ClientOptions client;
    bool resumed;
};
const Kind kKinds[] = {
    {"1.3 ECDSA", {.version = TLS1_3_VERSION, .signatures = "ecdsa_secp256r1_sha256"}, false},
    {"1.3 RSA", {.version = TLS1_3_VERSION, .signatures = "rsa_pss_rsae_sha256"}, false},
    {"1.3 resumed", {.version = TLS1_3_VERSION}, true},
    {"1.2 ECDSA", {.version = TLS1_2_VERSION, .suites = "ECDHE-ECDSA-AES128-GCM-SHA256"}, false},
    {"1.2 RSA", {.version = TLS1_2_VERSION, .suites = "ECDHE-RSA-AES128-GCM-SHA256"}, false},
    {"1.2 resumed", {.version = TLS1_2_VERSION}, true},
};

// The server's half only: the client's time does not count.
void BM_Handshake(benchmark::State& state) {
    const Kind& kind = kKinds[state.range(0)];
    const auto context = load(usual());
    ClientOptions options = kind.client;
    std::vector<TlsSession> sessions;
    OpensslPtr<SSL_SESSION, SSL_SESSION_free> session;
    const auto begin_session = [&] {
        Client first(kind.client);
        Shaken begun = shake(context, first);
        Server server(*begun.detached.state);
        first.exchange(server.seal("x"));
        sessions = std::move(begun.detached.sessions);
        session = first.session();
        options.session = session.get();
    };
    for (auto _ : state) {
        state.PauseTiming();
        if (kind.resumed) begin_session();
        Client client(options);
        Buffer to_server = client.exchange({}), out;
        state.ResumeTiming();
        TlsHandshake handshake(context);
        for (const auto& s : sessions) handshake.offer(s);
        for (;;) {
            const auto step = handshake.feed(to_server, out);
            if (step.status != TlsHandshakeStatus::want_more) break;
            state.PauseTiming();
            to_server = client.exchange(out);
            out.clear();
            state.ResumeTiming();
        }
        benchmark::DoNotOptimize(handshake.detach());
    }
    state.SetItemsProcessed(static_cast<int64_t>(state.iterations()));
    state.SetLabel(kind.name);
}
BENCHMARK(BM_Handshake)->DenseRange(0, std::size(kKinds) - 1);

}  // namespace
}  // namespace holdfast

BENCHMARK_MAIN();
