// The server's side of a TLS handshake, by OpenSSL over memory BIOs, up to the point where the
// record layer is detached and the SSL object is gone.
//
// OpenSSL is fed one record at a time and never sees a byte beyond the handshake's last: what
// follows in the same segment is left to the caller, and sequence numbers are counted, not assumed.
// Secrets come from the key log callback, the only public way to TLS 1.3's; TLS 1.2's key block is
// derived from the master secret. If two independent counts of records disagree the handshake
// fails. Runs on any one thread at a time (handshake_pool.h); allocates; takes 0.05 to 0.6 ms of
// CPU in a step. It cannot be carried on by another node: a client whose holder dies meanwhile is
// reset.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/secret_memory.h"
#include "dataplane/tls/alert.h"
#include "dataplane/tls/context.h"
#include "dataplane/tls/record_state.h"
#include "dataplane/tls/sessions.h"

namespace holdfast {

enum class TlsHandshakeStatus : uint8_t {
    want_more,  // send what there is to send, feed what comes
    done,       // detach() has everything
    failed,     // send what there is to send (an alert, as a rule), then close
};

// Why it failed: for counters.
enum class TlsHandshakeFailure : uint8_t {
    none,
    bad_record,      // what came is no TLS record
    refused,         // OpenSSL sent an alert: no common suite or version, bad certificate, ...
    peer_alert,      // the client did
    too_long,        // more octets or records than a handshake takes
    not_detachable,  // done, but what was agreed cannot be carried on
};

struct TlsDetached {
    Wiped<TlsRecordState> state;
    std::string alpn;            // empty: none agreed
    std::string sni;             // as the client sent it
    std::string client_subject;  // RFC 2253; empty: no certificate
    bool resumed = false;
    std::vector<TlsSession> sessions;  // to be stored, here and at their owners
};

class TlsHandshake {
public:
    // Of client messages in all; a certificate chain is the largest part.
    static constexpr size_t kMaxOctets = 128 * 1024;

    // Cheap: OpenSSL's part is made at the first feed().
    explicit TlsHandshake(std::shared_ptr<const TlsContext> context);
    ~TlsHandshake();
    TlsHandshake(TlsHandshake&&) noexcept;
    TlsHandshake& operator=(TlsHandshake&&) noexcept;

    // A session the ClientHello may ask for. Before the feed() that completes it.
    void offer(TlsSession session);

    // Takes bytes from the client, gives bytes for it. `consumed` is all of them unless done or
    // failed: octets behind the handshake's last record are not touched.
    struct Step {
        TlsHandshakeStatus status = TlsHandshakeStatus::want_more;
        size_t consumed = 0;
    };
    Step feed(Bytes from_client, std::vector<std::byte>& to_client);

    TlsHandshakeFailure failure() const;
    // When done, once.
    TlsDetached detach();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace holdfast
