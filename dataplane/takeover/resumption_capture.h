// What the `resumable` fragment of a TLS session holds that clients may resume: the session
// itself, by its identifier, and not the connection that began it.
//
// docs/protocol.md has the bytes. When it ends travels as a time that all nodes share more or less.
// Reading refuses what cannot be and never trusts a length; OpenSSL reads the DER again, and takes
// only what the service's own context gave.
#pragma once

#include <optional>
#include <vector>

#include "dataplane/takeover/capture.h"
#include "dataplane/tls/sessions.h"

namespace holdfast {

inline constexpr size_t kResumableHead = 1 + 2 + 8;  // before the session itself

SessionKey resumption_key(const TlsSessionId& id);
std::optional<TlsSessionId> parse_resumption_key(const SessionKey& key);

// `shared_until`: its end, on the clock that all nodes share. The caller wipes it.
std::vector<std::byte> write_resumable(const TlsSession& session, Instant shared_until);
// Nothing either when it is over.
std::optional<TlsSession> read_resumable(const TlsSessionId& id, Bytes value, Instant shared_now);

}  // namespace holdfast
