// What is done about a session that a client names, before its ClientHello is given to OpenSSL; the
// clients are OpenSSL's.
#include "dataplane/relay/session_wish.h"

#include <gtest/gtest.h>

#include "dataplane/tls/testing.h"

namespace holdfast {
namespace {

using namespace holdfast::tls_testing;

constexpr Instant kStart{1'000'000'000};
constexpr uint16_t kService = 3;
constexpr Duration kPatience = Duration::milliseconds(20);

TlsOptions mixed() {
    TlsOptions options = usual();
    options.resumption = TlsResumption::mixed;
    options.ticket_keys.emplace_back();
    return options;
}

// Peers that may have what is not here.
struct Source final : TlsSessionSource {
    void on_new_session(const TlsSession& s, Instant) override { here.push_back(s); }
    TlsSessionAnswer find(const TlsSessionId& id, uint16_t service, Instant,
                          TlsSession& session) override {
        EXPECT_EQ(service, kService);
        for (const TlsSession& s : here)
            if (s.id == id) return session = s, TlsSessionAnswer::found;
        return otherwise;
    }
    void ask_peers(const TlsSessionId& id, uint16_t, Instant) override { asked.push_back(id); }

    std::vector<TlsSession> here;
    std::vector<TlsSessionId> asked;
    TlsSessionAnswer otherwise = TlsSessionAnswer::none;
};

class SessionWishTest : public ::testing::Test {
protected:
    SessionWishTest() {
        const ClientOptions options{.version = TLS1_2_VERSION, .with_tickets = false};
        Client first(options);
        begun = shake(load(mixed()), first).detached.sessions;
        kept = first.session();
    }
    // A client that names the session.
    std::unique_ptr<Client> client(int version = TLS1_2_VERSION) {
        return std::make_unique<Client>(
            ClientOptions{.version = version, .with_tickets = false, .session = kept.get()});
    }
    bool settle(Bytes hello, Instant now = kStart) { return wish.settle(hello, wishes, task, now); }
    // The rest of the handshake, from the ClientHello on: whether it was resumed.
    bool resumes(Client& c, Buffer hello) {
        for (Buffer from = std::move(hello); task.status == TlsHandshakeStatus::want_more;) {
            task.input = from;
            task.output.clear();
            task.run();
            from = c.exchange(task.output);
        }
        EXPECT_EQ(task.status, TlsHandshakeStatus::done) << c.error();
        return task.detached && task.detached->resumed;
    }
    unsigned woken(const TlsSessionId* id) {
        unsigned n = 0;
        wishes.wake(id, [&](uint64_t token) { n += token == task.token; });
        return n;
    }

    std::vector<TlsSession> begun;
    OpensslPtr<SSL_SESSION, SSL_SESSION_free> kept;
    Source source;
    SessionWishes wishes{&source};
    HandshakeTask task{77, load(mixed())};
    SessionWish wish{kService, kPatience};
};

TEST_F(SessionWishTest, WhatIsHereIsOffered) {
    ASSERT_EQ(begun.size(), 1u);
    source.here = begun;
    const auto c = client();
    const Buffer hello = c->exchange({});
    EXPECT_TRUE(settle(hello));
    EXPECT_TRUE(resumes(*c, hello));
    EXPECT_TRUE(source.asked.empty());
}

TEST_F(SessionWishTest, WhatNobodyKnowsBeginsAnewAtOnce) {
    const auto c = client();
    const Buffer hello = c->exchange({});
    EXPECT_TRUE(settle(hello));
    EXPECT_EQ(wish.next_deadline(), Instant::max());
    EXPECT_FALSE(resumes(*c, hello));
    EXPECT_EQ(wishes.counters.named, 1u);
    EXPECT_EQ(wishes.counters.waited, 0u);
}

TEST_F(SessionWishTest, WhatAPeerHasIsWaitedForAndComes) {
    source.otherwise = TlsSessionAnswer::pending;
    const auto c = client();
    const Buffer hello = c->exchange({});
    EXPECT_FALSE(settle(hello));
    EXPECT_EQ(wish.next_deadline(), kStart + kPatience);
    EXPECT_FALSE(settle(hello, kStart + Duration::milliseconds(5)));
    EXPECT_EQ(source.asked.size(), 1u);  // once
    TlsSessionId other = begun[0].id;
    other.bytes[0] ^= std::byte{1};
    EXPECT_EQ(woken(&other), 0u);
    source.here = begun;
    EXPECT_EQ(woken(&begun[0].id), 1u);
    EXPECT_EQ(woken(&begun[0].id), 0u);
    EXPECT_TRUE(settle(hello, kStart + Duration::milliseconds(6)));
    EXPECT_EQ(wish.next_deadline(), Instant::max());
    EXPECT_TRUE(resumes(*c, hello));
    EXPECT_EQ(wishes.counters.came, 1u);
}

TEST_F(SessionWishTest, NobodyWaitsForLonger) {
    source.otherwise = TlsSessionAnswer::pending;
    const auto c = client();
    const Buffer hello = c->exchange({});
    EXPECT_FALSE(settle(hello));
    EXPECT_FALSE(settle(hello, kStart + kPatience - Duration::nanoseconds(1)));
    EXPECT_TRUE(settle(hello, kStart + kPatience));
    source.here = begun;  // too late
    EXPECT_TRUE(settle(hello, kStart + kPatience));
    EXPECT_FALSE(resumes(*c, hello));
    EXPECT_EQ(wishes.counters.given_up, 1u);
}

TEST_F(SessionWishTest, AllThatWaitAreToldWhenNothingMoreWillCome) {
    source.otherwise = TlsSessionAnswer::pending;
    EXPECT_FALSE(settle(client()->exchange({})));
    source.otherwise = TlsSessionAnswer::none;
    EXPECT_EQ(woken(nullptr), 1u);
    EXPECT_TRUE(settle(client()->exchange({}), kStart + Duration::milliseconds(1)));
    EXPECT_EQ(wishes.waiting(), 0u);
}

TEST_F(SessionWishTest, AHelloMayComeInPieces) {
    source.here = begun;
    const auto c = client();
    const Buffer hello = c->exchange({});
    for (size_t i = 0; i + 1 < hello.size(); ++i) {
        const Bytes octet = Bytes(hello).subspan(i, 1);
        ASSERT_TRUE(settle(octet));
        task.input.assign(octet.begin(), octet.end());
        task.run();
    }
    EXPECT_EQ(wishes.counters.named, 0u);
    const Buffer last(hello.end() - 1, hello.end());
    EXPECT_TRUE(settle(last));
    EXPECT_TRUE(resumes(*c, last));
}

TEST_F(SessionWishTest, NoMoreThanSoManyOctetsAreRead) {
    Buffer hello = client()->exchange({});
    hello.resize(SessionWish::kMaxHello + 1);
    EXPECT_TRUE(settle(Bytes(hello).first(100)));
    EXPECT_TRUE(settle(Bytes(hello).subspan(100)));
    source.here = begun;
    EXPECT_TRUE(settle(client()->exchange({})));  // not looked at any more
    EXPECT_EQ(wishes.counters.named, 0u);
}

TEST_F(SessionWishTest, TicketsAndTls13NameNothing) {
    source.otherwise = TlsSessionAnswer::pending;
    EXPECT_TRUE(settle(Client({.version = TLS1_3_VERSION}).exchange({})));
    Client first({.version = TLS1_2_VERSION});
    const Shaken shaken = shake(load(mixed()), first);
    EXPECT_TRUE(shaken.detached.sessions.empty());
    const auto ticket = first.session();
    wish = SessionWish(kService, kPatience);
    EXPECT_TRUE(settle(Client({.version = TLS1_2_VERSION, .session = ticket.get()}).exchange({})));
    EXPECT_EQ(wishes.counters.named, 0u);
}

TEST_F(SessionWishTest, OnlySoManyWait) {
    source.otherwise = TlsSessionAnswer::pending;
    const Buffer hello = client()->exchange({});
    std::vector<SessionWish> many(SessionWishes::kMaxWaiting, wish);
    for (SessionWish& w : many) EXPECT_FALSE(w.settle(hello, wishes, task, kStart));
    EXPECT_TRUE(settle(hello));
    EXPECT_EQ(wishes.counters.crowded, 1u);
    // Those whose patience has ended make room.
    SessionWish later(kService, kPatience);
    EXPECT_FALSE(later.settle(hello, wishes, task, kStart + kPatience));
    EXPECT_EQ(wishes.waiting(), 1u);
    SessionWish never(kService, Duration{});
    EXPECT_TRUE(never.settle(hello, wishes, task, kStart));
}

}  // namespace
}  // namespace holdfast
