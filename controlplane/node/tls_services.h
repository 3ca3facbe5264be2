// What services that terminate TLS need of a node: their certificates, loaded, the threads that run
// handshakes, what workers tell each other of sessions, and the keys of session tickets.
//
// Ticket keys come from the cluster's secret and the day, so that all nodes have the same without a
// word between them; yesterday's and tomorrow's are known too, for clocks that differ and clients
// that come back.
#pragma once

#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "controlplane/config/config.h"
#include "dataplane/tls/handshake_pool.h"
#include "dataplane/tls/session_exchange.h"

namespace holdfast {

class TlsServices {
public:
    // Where no service terminates TLS: none of it. The reason names the file.
    static std::expected<std::unique_ptr<TlsServices>, std::string> load(const Config& config);

    // By service; empty where there is none.
    const std::vector<std::shared_ptr<const TlsContext>>& contexts() const { return contexts_; }
    // Of resumable sessions; none with one worker.
    TlsSessionExchange* exchange() { return exchange_.get(); }
    Handshakes* handshakes(unsigned worker) { return pool_ ? &pool_->of(worker) : nullptr; }
    // To be called now and then.
    void rotate_ticket_keys();
    void stop() { pool_.reset(); }

private:
    explicit TlsServices(const Config& config) : config_(config) {}
    std::expected<void, std::string> load_all();

    const Config& config_;
    std::vector<std::shared_ptr<TlsContext>> owned_;
    std::vector<std::shared_ptr<const TlsContext>> contexts_;
    std::unique_ptr<HandshakePool> pool_;
    std::unique_ptr<TlsSessionExchange> exchange_;
    int64_t day_ = 0;
};

}  // namespace holdfast
