// Sessions that clients may resume, on this node or any other: what OpenSSL's external session
// cache is for us.
//
// OpenSSL never calls out of a handshake for a session: the worker parses the ClientHello, asks its
// TlsSessionSource, waits for `pending` as long as it sees fit, and hands what it got to the
// handshake (TlsHandshake::offer). New sessions come back with the result. So helper threads touch
// no cache. TlsSessionCache is the bounded local store, first in first out: at most `sessions`,
// `bytes` and `lifetime`; time is passed in. A session is the DER of an SSL_SESSION, 115 to 130
// octets, more with a client's certificate; it is a secret (it resumes), wiped when it goes.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/counters.h"
#include "base/time.h"
#include "dataplane/tls/client_hello.h"

namespace holdfast {

// The largest session kept or taken from elsewhere: room for a client's certificate.
inline constexpr size_t kMaxTlsSession = 4'096;

struct TlsSession {
    TlsSessionId id;
    uint32_t lifetime_s = 0;
    std::vector<std::byte> der;

    TlsSession() = default;
    TlsSession(const TlsSession&) = default;
    TlsSession(TlsSession&&) noexcept = default;
    TlsSession& operator=(const TlsSession&) = default;
    TlsSession& operator=(TlsSession&&) noexcept = default;
    ~TlsSession();  // wipes
};

enum class TlsSessionAnswer : uint8_t { found, pending, none };

class TlsSessionSource {
public:
    virtual ~TlsSessionSource() = default;
    virtual void on_new_session(const TlsSession& session, Instant now) = 0;
    // `pending`: asked of the peers; ask again, until the caller's patience ends.
    virtual TlsSessionAnswer find(const TlsSessionId& id, Instant now, TlsSession& session) = 0;
};

struct TlsSessionCounters {
    uint64_t stored = 0;
    uint64_t found = 0;
    uint64_t missed = 0;
    uint64_t expired = 0;
    uint64_t evicted = 0;
    uint64_t refused = 0;
};

inline constexpr CounterInfo<TlsSessionCounters> kTlsSessionCounters[] = {
    {"tls_sessions_stored", "TLS sessions stored for resumption.", &TlsSessionCounters::stored},
    {"tls_sessions_found", "Sessions found when a client named one.", &TlsSessionCounters::found},
    {"tls_sessions_missed", "Sessions not found when a client named one.",
     &TlsSessionCounters::missed},
    {"tls_sessions_expired", "Sessions dropped at the end of their life.",
     &TlsSessionCounters::expired},
    {"tls_sessions_evicted", "Sessions dropped to make room.", &TlsSessionCounters::evicted},
    {"tls_sessions_refused", "Sessions too large to store.", &TlsSessionCounters::refused},
};

class TlsSessionCache final : public TlsSessionSource {
public:
    struct Options {
        size_t sessions = 20'000;
        size_t bytes = 8'000'000;
        Duration lifetime = Duration::seconds(7'200);  // at most; a session may say less
    };
    explicit TlsSessionCache(const Options& options);

    void on_new_session(const TlsSession& session, Instant now) override;
    TlsSessionAnswer find(const TlsSessionId& id, Instant now, TlsSession& session) override;
    // Drops what is over; at most `limit` at a time.
    void expire(Instant now, size_t limit = 64);

    size_t size() const { return by_id_.size(); }
    size_t bytes() const { return bytes_; }
    const TlsSessionCounters& counters() const { return counters_; }

private:
    struct Entry {
        TlsSession session;
        Instant until;
        uint64_t number = 0;
    };
    struct Hash {
        size_t operator()(const TlsSessionId& id) const;
    };
    using Entries = std::unordered_map<TlsSessionId, Entry, Hash>;

    void drop(Entries::iterator entry);
    // The oldest that is still there; what went before it is forgotten.
    Entries::iterator oldest();
    bool is_current(const std::pair<uint64_t, TlsSessionId>& place) const;
    void compact();

    Options options_;
    Entries by_id_;
    std::deque<std::pair<uint64_t, TlsSessionId>> by_age_;
    uint64_t numbers_ = 0;
    size_t bytes_ = 0;
    TlsSessionCounters counters_;
};

}  // namespace holdfast
