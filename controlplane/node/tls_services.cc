#include "controlplane/node/tls_services.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <string_view>

#include "replication/ring/seal.h"

namespace holdfast {
namespace {

// Sessions on their way from one worker to another: as many as an adopter gathers in some
// milliseconds. Guess.
constexpr size_t kExchanged = 4'096;

int64_t today() { return time(nullptr) / 86'400; }

Bytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

TlsTicketKey ticket_key(const std::array<std::byte, 32>& secret, int64_t day) {
    Wiped<std::array<std::byte, 32>> prk(hkdf_extract(bytes_of("holdfast tickets v1"), secret));
    const auto expand = [&](char use, MutableBytes to) {
        std::array<std::byte, 9> info{static_cast<std::byte>(use)};
        store_le(info.data() + 1, static_cast<uint64_t>(day));
        hkdf_expand(*prk, info, to);
    };
    TlsTicketKey key;
    expand('n', key.name);
    expand('a', key.aes);
    expand('h', key.hmac);
    return key;
}

// The caller is pinned to the core of a worker; its helpers go wherever there is room.
void go_anywhere(unsigned) {
    cpu_set_t all;
    CPU_ZERO(&all);
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) CPU_SET(cpu, &all);
    sched_setaffinity(0, sizeof all, &all);
    pthread_setname_np(pthread_self(), "hf-handshake");
}

}  // namespace

std::expected<std::unique_ptr<TlsServices>, std::string> TlsServices::load(const Config& config) {
    std::unique_ptr<TlsServices> services(new TlsServices(config));
    if (auto loaded = services->load_all(); !loaded) return std::unexpected(loaded.error());
    return services;
}

std::expected<void, std::string> TlsServices::load_all() {
    const bool any =
        std::ranges::any_of(config_.services, [](auto& s) { return s.mode == Mode::tls; });
    contexts_.resize(config_.services.size());
    if (!any) return {};
    prepare_tls_key_memory();
    day_ = today();
    for (size_t i = 0; i < config_.services.size(); ++i) {
        if (config_.services[i].mode != Mode::tls) continue;
        TlsOptions options = config_.tls[i];
        for (const int64_t day : {day_, day_ - 1, day_ + 1})
            options.ticket_keys.push_back(ticket_key(config_.cluster.secret, day));
        auto context = TlsContext::load(options);
        if (!context)
            return std::unexpected("service " + config_.services[i].name + ": " + context.error());
        owned_.push_back(*context);
        contexts_[i] = std::move(*context);
    }
    pool_ = std::make_unique<HandshakePool>(
        HandshakePool::Options{.workers = config_.worker.count,
                               .threads = config_.worker.handshake_threads,
                               .on_start = go_anywhere});
    if (config_.worker.count > 1)
        exchange_ = std::make_unique<TlsSessionExchange>(config_.worker.count, kExchanged);
    return {};
}

void TlsServices::rotate_ticket_keys() {
    const int64_t day = today();
    if (owned_.empty() || day == day_) return;
    day_ = day;
    std::vector<TlsTicketKey> keys;
    for (const int64_t d : {day, day - 1, day + 1})
        keys.push_back(ticket_key(config_.cluster.secret, d));
    for (const auto& context : owned_) context->set_ticket_keys(keys);
}

}  // namespace holdfast
