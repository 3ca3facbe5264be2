// Where sequence numbers and timestamps of a connection begin: RFC 6528, and RFC 7323 section 5.4
// in its manner. Functions of a secret that all nodes share, the tuple, and a clock that all nodes
// share more or less (a few seconds apart is fine), so that any node would have chosen alike.
#pragma once

#include "base/time.h"
#include "dataplane/tcp/siphash.h"
#include "dataplane/tcp/tcb.h"
#include "dataplane/wire/address.h"

namespace holdfast {

// As we see it.
struct TcpTuple {
    Endpoint local, remote;
    friend constexpr bool operator==(const TcpTuple&, const TcpTuple&) = default;
};

// What `salt` separates is independent.
inline uint64_t tuple_hash(const SipKey& key, const TcpTuple& t, uint64_t salt) {
    std::array<std::byte, 44> message;
    ByteWriter w(message);
    for (const Endpoint* e : {&t.local, &t.remote}) {
        w.put(std::as_bytes(std::span(e->address.bytes)));
        w.le(e->port);
    }
    w.le(salt);
    return siphash(key, message);
}

// ISN = M + F(tuple, secret), M a clock of 4 us. `wall`: since an epoch that all nodes know.
inline SeqNum initial_sequence(const SipKey& key, const TcpTuple& tuple, Duration wall) {
    const auto m = static_cast<uint32_t>(static_cast<uint64_t>(wall.ns) / 4000);
    return {static_cast<uint32_t>(tuple_hash(key, tuple, 0x69736e)) + m};
}

// For TcpOpening::ts_offset: TSval at `now` is the wall's milliseconds plus F(tuple, secret).
inline uint32_t timestamp_offset(const SipKey& key, const TcpTuple& tuple, Instant now,
                                 Duration wall) {
    const auto ms = static_cast<uint32_t>(static_cast<uint64_t>(wall.ns) / 1'000'000);
    return static_cast<uint32_t>(tuple_hash(key, tuple, 0x7473)) + ms - timestamp_ms(now);
}

}  // namespace holdfast
