#include "dataplane/takeover/resumption_capture.h"

#include <algorithm>

namespace holdfast {
namespace {

constexpr uint8_t kFormat = 1;
// No service lets clients resume for longer.
constexpr Duration kLongest = Duration::seconds(24 * 3'600);

}  // namespace

SessionKey resumption_key(const TlsSessionId& id) {
    SessionKey key;
    ByteWriter w(std::as_writable_bytes(std::span(key.bytes)));
    w.le(static_cast<uint8_t>(KeyTag::resumption));
    w.put(id.view());
    key.size = static_cast<uint8_t>(w.used());
    return key;
}

std::optional<TlsSessionId> parse_resumption_key(const SessionKey& key) {
    ByteReader r(key.view());
    if (r.le<uint8_t>() != static_cast<uint8_t>(KeyTag::resumption)) return std::nullopt;
    return TlsSessionId::from(r.rest());
}

std::vector<std::byte> write_resumable(const TlsSession& session, Instant shared_until) {
    std::vector<std::byte> value(kResumableHead + session.der.size());
    ByteWriter w(value);
    w.le(kFormat);
    w.le(session.service);
    w.le(static_cast<uint64_t>(shared_until.ns));
    w.put(session.der);
    return value;
}

std::optional<TlsSession> read_resumable(const TlsSessionId& id, Bytes value, Instant shared_now) {
    ByteReader r(value);
    if (r.le<uint8_t>() != kFormat) return std::nullopt;
    TlsSession session;
    session.id = id;
    session.service = r.le<uint16_t>();
    const uint64_t until = r.le<uint64_t>();
    if (!r.ok() || r.rest().empty() || r.rest().size() > kMaxTlsSession) return std::nullopt;
    const auto now = static_cast<uint64_t>(shared_now.ns);
    if (until <= now) return std::nullopt;
    const uint64_t left = std::min(until - now, static_cast<uint64_t>(kLongest.ns));
    session.lifetime_s =
        static_cast<uint32_t>(Duration::nanoseconds(static_cast<int64_t>(left)).as_seconds());
    session.der.assign(r.rest().begin(), r.rest().end());
    return session;
}

}  // namespace holdfast
