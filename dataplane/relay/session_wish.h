// Which session a client wishes to resume, had before OpenSSL sees its ClientHello.
//
// OpenSSL asks for a session in the middle of a step, on a thread that may not wait. So the worker
// reads the ClientHello first (tls/client_hello.h), asks its TlsSessionSource, and hands what it
// got to the handshake. A session that is still to come from a peer is waited for until the
// service's patience ends (TlsOptions::resume_wait); then all begins anew, as it does for an
// identifier that nobody knows. Only what a client of TLS 1.2 without a ticket names is looked
// for: tickets say everything themselves. Bounded in clients that wait and in octets read; time is
// passed in.
#pragma once

#include <optional>
#include <vector>

#include "base/counters.h"
#include "dataplane/tls/handshake_pool.h"
#include "dataplane/tls/sessions.h"

namespace holdfast {

struct SessionWishCounters {
    uint64_t named = 0, waited = 0, came = 0, given_up = 0, crowded = 0;
};
inline constexpr CounterInfo<SessionWishCounters> kSessionWishCounters[] = {
    {"sessions_named", "Clients that named a session by its identifier.",
     &SessionWishCounters::named},
    {"sessions_waited_for", "Of them, those that waited for their session to come from a peer.",
     &SessionWishCounters::waited},
    {"sessions_came", "Sessions that came while their client waited.", &SessionWishCounters::came},
    {"sessions_given_up", "Clients that began anew because their session did not come in time.",
     &SessionWishCounters::given_up},
    {"sessions_crowded_out", "Clients that began anew because too many waited already.",
     &SessionWishCounters::crowded},
};

// What the clients of one worker share. Who asks is a token of the caller's.
class SessionWishes {
public:
    static constexpr size_t kMaxWaiting = 256;

    explicit SessionWishes(TlsSessionSource* source) : source_(source) {}

    TlsSessionSource* source() const { return source_; }
    // False: too many wait.
    bool wait(const TlsSessionId& id, uint64_t token, Instant until, Instant now);
    // Calls woken(token) for those that wait for it, or, with none, for all: they are to ask again.
    template <typename Woken>
    void wake(const TlsSessionId* id, Woken&& woken) {
        std::erase_if(waiting_, [&](const Waiting& w) {
            if (id && w.id != *id) return false;
            woken(w.token);
            return true;
        });
    }
    size_t waiting() const { return waiting_.size(); }

    SessionWishCounters counters;

private:
    struct Waiting {
        TlsSessionId id;
        uint64_t token;
        Instant until;
    };
    TlsSessionSource* source_;
    std::vector<Waiting> waiting_;
};

// One client's.
class SessionWish {
public:
    // Of a ClientHello, as it came: those of clients without tickets are a tenth of it. Guess.
    static constexpr size_t kMaxHello = 4'096;

    SessionWish() = default;  // of a session that another node began
    SessionWish(uint16_t service, Duration patience) : service_(service), patience_(patience) {}

    // Before each step that is to be given `next`. False: not yet; again when woken, or when
    // next_deadline() is over.
    bool settle(Bytes next, SessionWishes& wishes, HandshakeTask& task, Instant now);
    Instant next_deadline() const { return until_; }

private:
    bool read(Bytes next, SessionWishes& wishes);
    bool finish();

    uint16_t service_ = 0;
    Duration patience_{};
    bool over_ = false;
    std::vector<std::byte> hello_;  // what earlier steps were given
    std::optional<TlsSessionId> wanted_;
    Instant until_ = Instant::max();
};

}  // namespace holdfast
