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
#include <functional>
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
    uint16_t service = 0;  // that gave it, and no other may resume it
    bool copied = false;   // of another worker's, who sees to its owners (session_exchange.h)
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
    // `pending`: a peer may have it: ask_peers(), and try again until the caller's patience ends.
    virtual TlsSessionAnswer find(const TlsSessionId& id, uint16_t service, Instant now,
                                  TlsSession& session) = 0;
    virtual void ask_peers(const TlsSessionId& id, uint16_t service, Instant now) = 0;
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
    {"sessions_stored", "TLS sessions stored for resumption.", &TlsSessionCounters::stored},
    {"sessions_found", "Sessions found when a client named one.", &TlsSessionCounters::found},
    {"sessions_missed", "Sessions not found when a client named one.", &TlsSessionCounters::missed},
    {"sessions_expired", "Sessions dropped at the end of their life.",
     &TlsSessionCounters::expired},
    {"sessions_evicted", "Sessions dropped to make room.", &TlsSessionCounters::evicted},
    {"sessions_refused", "Sessions too large to store.", &TlsSessionCounters::refused},
};

class TlsSessionCache final : public TlsSessionSource {
public:
    struct Options {
        size_t sessions = 20'000;
        size_t bytes = 8'000'000;
        Duration lifetime = Duration::seconds(7'200);  // at most; a session may say less
        // Told before a session goes that was not replaced by itself.
        std::function<void(const TlsSession&)> on_drop = {};
    };
    // Numbered in the order in which they came, from 1.
    struct Entry {
        TlsSession session;
        Instant until;
        uint64_t number = 0;
    };
    explicit TlsSessionCache(const Options& options);

    void on_new_session(const TlsSession& session, Instant now) override { store(session, now); }
    bool store(const TlsSession& session, Instant now);  // false: refused
    TlsSessionAnswer find(const TlsSessionId& id, uint16_t service, Instant now,
                          TlsSession& session) override;
    void ask_peers(const TlsSessionId&, uint16_t, Instant) override {}  // knows none
    // The first one at or behind a number; none when there is none.
    const Entry* next(uint64_t number) const;
    // Drops what is over; at most `limit` at a time.
    void expire(Instant now, size_t limit = 64);

    size_t size() const { return by_id_.size(); }
    size_t bytes() const { return bytes_; }
    const TlsSessionCounters& counters() const { return counters_; }

private:
    struct Hash {
        size_t operator()(const TlsSessionId& id) const;
    };
    using Entries = std::unordered_map<TlsSessionId, Entry, Hash>;

    using Place = std::pair<uint64_t, TlsSessionId>;

    void drop(Entries::iterator entry);
    void give_up(Entries::iterator entry);
    // The oldest that is still there; what went before it is forgotten.
    Entries::iterator oldest();
    bool is_current(const Place& place) const;
    void compact();

    Options options_;
    Entries by_id_;
    std::deque<Place> by_age_;
    uint64_t numbers_ = 0;
    size_t bytes_ = 0;
    TlsSessionCounters counters_;
};

}  // namespace holdfast
