#include "dataplane/tls/handshake.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "dataplane/tls/testing.h"

namespace holdfast {
namespace {

using namespace tls_testing;
using Status = TlsHandshakeStatus;

// Both directions work with the detached state, through a move of house each time.
void talk(const Shaken& shaken, Client& client) {
    Server server(*shaken.detached.state);
    EXPECT_EQ(server.open(shaken.leftover), "");
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(server.open(client.write("ping")), "ping");
        server.move_house();
        client.exchange(server.seal("pong"));
        EXPECT_EQ(client.received(), "pong");
        server.move_house();
    }
    client.exchange(server.alert(TlsAlert::close_notify));
    EXPECT_TRUE(client.saw_close());
    EXPECT_EQ(client.error(), "");
}

class EverySuite : public testing::TestWithParam<TlsSuite> {};

TEST_P(EverySuite, IsDetachedAndCarriedOn) {
    const TlsSuite& suite = GetParam();
    Client client({.version = suite.is_tls13() ? TLS1_3_VERSION : TLS1_2_VERSION,
                   .suites = std::string(suite.name)});
    const Shaken shaken = shake(load(usual()), client);
    ASSERT_EQ(shaken.status, Status::done) << client.error();
    EXPECT_EQ(shaken.detached.state->suite, suite.id);
    EXPECT_EQ(shaken.detached.sni, "www.example.com");
    EXPECT_FALSE(shaken.detached.resumed);
    EXPECT_EQ(shaken.detached.sessions.size(), 1u);
    talk(shaken, client);
}

INSTANTIATE_TEST_SUITE_P(Tls, EverySuite, testing::ValuesIn(kTlsSuites), [](const auto& suite) {
    std::string name(suite.param.name);
    std::ranges::replace(name, '-', '_');
    return name;
});

TEST(Handshake, Tls13WithTheRsaCertificate) {
    Client client({.version = TLS1_3_VERSION, .signatures = "rsa_pss_rsae_sha256"});
    const Shaken shaken = shake(load(usual()), client);
    ASSERT_EQ(shaken.status, Status::done) << client.error();
    talk(shaken, client);
}

TEST(Handshake, OneByteAtATime) {
    for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        Client client({.version = version});
        TlsHandshake handshake(load(usual()));
        Buffer to_server = client.exchange({}), out;
        Status status = Status::want_more;
        while (status == Status::want_more && !to_server.empty()) {
            out.clear();
            for (size_t i = 0; i < to_server.size(); ++i) {
                const auto step = handshake.feed(Bytes(to_server).subspan(i, 1), out);
                EXPECT_EQ(step.consumed, 1u);
                status = step.status;
            }
            to_server = client.exchange(out);
        }
        EXPECT_EQ(status, Status::done);
    }
}

TEST(Handshake, WhatFollowsTheFinishedIsNotTouched) {
    for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        Client client({.version = version});
        TlsHandshake handshake(load(usual()));
        Buffer hello = client.exchange({}), out;
        ASSERT_EQ(handshake.feed(hello, out).status, Status::want_more);
        Buffer finished = client.exchange(out);
        const Buffer request = version == TLS1_3_VERSION ? client.write("GET /") : Buffer(40);
        const size_t end = finished.size();
        finished.insert(finished.end(), request.begin(), request.end());
        out.clear();
        const auto step = handshake.feed(finished, out);
        ASSERT_EQ(step.status, Status::done);
        EXPECT_EQ(step.consumed, end);
        if (version == TLS1_2_VERSION) continue;
        Server server(*handshake.detach().state);
        EXPECT_EQ(server.open(request), "GET /");
    }
}

TEST(Handshake, HelloRetryRequest) {
    TlsOptions options = usual();
    options.groups = "P-384";
    Client client({.version = TLS1_3_VERSION, .groups = "X25519:P-384"});
    const Shaken shaken = shake(load(options), client);
    ASSERT_EQ(shaken.status, Status::done) << client.error();
    talk(shaken, client);
}

TEST(Handshake, MaxFragmentLengthIsKept) {
    Client client({.version = TLS1_2_VERSION, .fragment_code = TLSEXT_max_fragment_length_1024});
    const Shaken shaken = shake(load(usual()), client);
    ASSERT_EQ(shaken.status, Status::done);
    EXPECT_EQ(shaken.detached.state->max_fragment, 1024);
    Server server(*shaken.detached.state);
    EXPECT_EQ(server.layer().reserve(1025).error(), TlsRefusal::too_large);
}

TEST(Handshake, ChoosesCertificatesByName) {
    TlsOptions options = usual();
    options.certificates.push_back(certificate("wild"));
    options.certificates.push_back(certificate("other"));
    options.certificates.push_back(certificate("client", {"Named.Example"}));
    const auto context = load(options);
    const std::pair<const char*, const char*> expected[] = {{"www.example.com", "www.example.com"},
                                                            {"other.example", "other.example"},
                                                            {"a.wild.example", "wild"},
                                                            {"wild.example", "wild"},
                                                            {"a.b.wild.example", "www.example.com"},
                                                            {"A.WILD.EXAMPLE", "wild"},
                                                            {"named.example", "a client"},
                                                            {"unknown.example", "www.example.com"},
                                                            {"", "www.example.com"}};
    for (const auto& [sni, subject] : expected) {
        for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
            Client client({.version = version, .sni = sni});
            const Shaken shaken = shake(context, client);
            ASSERT_EQ(shaken.status, Status::done) << sni;
            char name[64];
            X509_NAME_get_text_by_NID(
                X509_get_subject_name(SSL_get0_peer_certificate(client.ssl())), NID_commonName,
                name, sizeof name);
            EXPECT_STREQ(name, subject) << sni;
            talk(shaken, client);
        }
    }
}

TEST(Handshake, AgreesOnAProtocolOrSaysNo) {
    TlsOptions options = usual();
    options.alpn = {"h2", "http/1.1"};
    const auto context = load(options);
    Client both({.alpn = {"http/1.1", "h2"}});
    EXPECT_EQ(shake(context, both).detached.alpn, "h2");
    Client none;
    const Shaken silent = shake(context, none);
    EXPECT_EQ(silent.status, Status::done);
    EXPECT_EQ(silent.detached.alpn, "");
    Client other({.alpn = {"gopher"}});
    EXPECT_EQ(shake(context, other).failure, TlsHandshakeFailure::refused);
    EXPECT_EQ(other.error(), "tlsv1 alert no application protocol");
}

TEST(Handshake, ClientCertificates) {
    TlsOptions options = usual();
    options.client_certificate = TlsClientCertificate::required;
    options.client_ca = chain_file("ca");
    for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        options.client_certificate = TlsClientCertificate::required;
        Client with({.version = version, .with_certificate = true});
        const Shaken shaken = shake(load(options), with);
        ASSERT_EQ(shaken.status, Status::done) << with.error();
        EXPECT_EQ(shaken.detached.client_subject, "CN=a client");
        talk(shaken, with);
        Client without({.version = version});
        EXPECT_EQ(shake(load(options), without).failure, TlsHandshakeFailure::refused);
        options.client_certificate = TlsClientCertificate::optional;
        Client neither({.version = version});
        EXPECT_EQ(shake(load(options), neither).status, Status::done);
    }
}

struct Resumption {
    int version;
    bool tickets;
    TlsResumption mode;
    bool client_certificate;
};

TlsOptions shared_options(const Resumption& how) {
    TlsOptions options = usual();
    options.resumption = how.mode;
    TlsTicketKey key;
    key.aes.fill(std::byte{1});
    key.hmac.fill(std::byte{2});
    options.ticket_keys = {key};
    if (how.client_certificate) {
        options.client_certificate = TlsClientCertificate::required;
        options.client_ca = chain_file("ca");
    }
    return options;
}

class Resumes : public testing::TestWithParam<Resumption> {};

// Every connection is with another node: another context, which has only what was handed over.
TEST_P(Resumes, OnAnotherNode) {
    const Resumption how = GetParam();
    Client first({.version = how.version,
                  .with_certificate = how.client_certificate,
                  .with_tickets = how.tickets});
    const Shaken begun = shake(load(shared_options(how)), first);
    ASSERT_EQ(begun.status, Status::done) << first.error();
    talk(begun, first);
    const bool stateful =
        how.mode == TlsResumption::stateful || (how.mode == TlsResumption::mixed && !how.tickets);
    EXPECT_EQ(begun.detached.sessions.size(), stateful ? 1u : 0u);
    std::vector<TlsSession> sessions = begun.detached.sessions;
    auto session = first.session();
    ASSERT_TRUE(session);
    for (int i = 0; i < 3; ++i) {
        Client again({.version = how.version,
                      .with_certificate = how.client_certificate,
                      .with_tickets = how.tickets,
                      .session = session.get()});
        if (stateful) {
            const auto info = parse_client_hello(
                Client(
                    {.version = how.version, .with_tickets = how.tickets, .session = session.get()})
                    .exchange({}));
            ASSERT_TRUE(info && *info);
            ASSERT_EQ((*info)->identities, 1);
            EXPECT_EQ((*info)->identity[0], sessions.back().id);
        }
        const Shaken resumed = shake(load(shared_options(how)), again, sessions);
        ASSERT_EQ(resumed.status, Status::done) << again.error();
        EXPECT_TRUE(resumed.detached.resumed);
        EXPECT_TRUE(again.reused());
        EXPECT_EQ(resumed.detached.client_subject, how.client_certificate ? "CN=a client" : "");
        talk(resumed, again);
        if (auto newer = again.session()) session = std::move(newer);
        for (const auto& s : resumed.detached.sessions) sessions.push_back(s);
    }
}

INSTANTIATE_TEST_SUITE_P(
    Tls, Resumes,
    testing::Values(Resumption{TLS1_2_VERSION, false, TlsResumption::stateful, false},
                    Resumption{TLS1_2_VERSION, true, TlsResumption::stateful, false},
                    Resumption{TLS1_2_VERSION, true, TlsResumption::stateless, false},
                    Resumption{TLS1_3_VERSION, true, TlsResumption::stateful, false},
                    Resumption{TLS1_3_VERSION, true, TlsResumption::stateless, false},
                    Resumption{TLS1_2_VERSION, false, TlsResumption::mixed, false},
                    Resumption{TLS1_2_VERSION, true, TlsResumption::mixed, false},
                    Resumption{TLS1_3_VERSION, true, TlsResumption::mixed, false},
                    Resumption{TLS1_2_VERSION, false, TlsResumption::mixed, true},
                    Resumption{TLS1_2_VERSION, true, TlsResumption::stateful, true},
                    Resumption{TLS1_3_VERSION, true, TlsResumption::stateful, true}));

TEST(Handshake, ASessionThatIsNotThereMeansAFullHandshake) {
    for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        Client first({.version = version});
        const Shaken begun = shake(load(usual()), first);
        talk(begun, first);
        const auto session = first.session();
        Client again({.version = version, .session = session.get()});
        const Shaken shaken = shake(load(usual()), again);
        ASSERT_EQ(shaken.status, Status::done);
        EXPECT_FALSE(shaken.detached.resumed);
        talk(shaken, again);
        // Nor does a session that is not what it says.
        std::vector<TlsSession> broken = begun.detached.sessions;
        broken[0].der.resize(broken[0].der.size() / 2);
        Client third({.version = version, .session = session.get()});
        EXPECT_EQ(shake(load(usual()), third, broken).status, Status::done);
        EXPECT_FALSE(third.reused());
    }
}

TEST(Handshake, EarlyDataIsSkipped) {
    for (const bool known : {true, false}) {
        Client first({.version = TLS1_3_VERSION});
        const Shaken begun = shake(load(usual()), first);
        talk(begun, first);
        const auto session = first.session();
        Client again({.version = TLS1_3_VERSION,
                      .session = session.get(),
                      .early_data = std::string(10'000, 'e')});
        const auto sessions = known ? begun.detached.sessions : std::vector<TlsSession>();
        const Shaken shaken = shake(load(usual()), again, sessions);
        ASSERT_EQ(shaken.status, Status::done) << again.error();
        EXPECT_EQ(shaken.detached.resumed, known);
        EXPECT_EQ(SSL_get_early_data_status(again.ssl()), SSL_EARLY_DATA_REJECTED);
        talk(shaken, again);
    }
}

TEST(Handshake, TicketKeysRotate) {
    Resumption how{TLS1_3_VERSION, true, TlsResumption::stateless, false};
    TlsTicketKey keys[2];
    keys[0].name.fill(std::byte{9});
    Client first({.version = how.version});
    const auto context = load(shared_options(how));
    talk(shake(context, first), first);
    context->set_ticket_keys(keys);  // the second is not the one in use so far
    const auto session = first.session();
    Client unknown({.version = how.version, .session = session.get()});
    EXPECT_FALSE(shake(context, unknown).detached.resumed);
    keys[1] = shared_options(how).ticket_keys[0];
    context->set_ticket_keys(keys);
    Client known({.version = how.version, .session = session.get()});
    EXPECT_TRUE(shake(context, known).detached.resumed);
}

TEST(Handshake, RefusesWhatCannotBeCarriedOn) {
    const auto context = load(usual());
    const ClientOptions refused[] = {
        {.version = TLS1_2_VERSION, .suites = "ECDHE-ECDSA-AES128-SHA256"},
        {.version = TLS1_2_VERSION, .suites = "ECDHE-ECDSA-AES128-CCM"},
        {.version = TLS1_2_VERSION, .suites = "AES128-GCM-SHA256"},
        {.version = TLS1_2_VERSION, .suites = "DHE-RSA-AES128-GCM-SHA256"},
        {.min_version_any = TLS1_1_VERSION},
        {.min_version_any = TLS1_VERSION}};
    for (const auto& options : refused) {
        Client client(options);
        const Shaken shaken = shake(context, client);
        EXPECT_EQ(shaken.failure, TlsHandshakeFailure::refused) << options.suites;
        EXPECT_NE(client.error(), "");
    }
    TlsOptions modern = usual();
    modern.minimum = TlsVersion::tls13;
    Client old({.version = TLS1_2_VERSION});
    EXPECT_EQ(shake(load(modern), old).failure, TlsHandshakeFailure::refused);
}

TEST(Handshake, WhatIsNoTlsIsRefusedAtOnce) {
    const auto context = load(usual());
    for (const char* text : {"GET / HTTP/1.1\r\n\r\n", "\x16\x02\x00\x00\x05", "\x80", ""}) {
        TlsHandshake handshake(context);
        Buffer out;
        const auto step = handshake.feed(bytes_of(text), out);
        if (*text == '\0') {
            EXPECT_EQ(step.status, Status::want_more);
            continue;
        }
        EXPECT_EQ(step.status, Status::failed) << text;
        EXPECT_EQ(handshake.failure(), TlsHandshakeFailure::bad_record);
        EXPECT_EQ(out.size(), 7u);
    }
}

// OpenSSL has the last word on every damaged ClientHello; none is harmful, and none passes for
// whole.
TEST(Handshake, SurvivesEveryFlippedOctet) {
    const auto context = load(usual());
    for (int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        const Buffer hello = Client({.version = version}).exchange({});
        for (size_t i = 0; i < hello.size(); ++i) {
            Buffer changed = hello, out;
            changed[i] ^= std::byte{0x41};
            TlsHandshake handshake(context);
            EXPECT_NE(handshake.feed(changed, out).status, Status::done);
        }
    }
}

TEST(Handshake, EndlessOctetsEndIt) {
    TlsHandshake handshake(load(usual()));
    Client client({.version = TLS1_3_VERSION});
    Buffer out;
    handshake.feed(client.exchange({}), out);
    Buffer change(6);  // in TLS 1.3 such records are skipped, whatever their number
    for (size_t i = 0; const int octet : {20, 3, 3, 0, 1, 1}) change[i++] = std::byte(octet);
    Status status = Status::want_more;
    size_t fed = 0;
    for (; status == Status::want_more && fed < 1'000'000; fed += change.size())
        status = handshake.feed(change, out).status;
    EXPECT_EQ(status, Status::failed);
    EXPECT_LE(fed, TlsHandshake::kMaxOctets + change.size());
}

TEST(Context, SaysWhatIsWrongWithWhichFile) {
    const auto error = [](TlsOptions options) {
        const auto context = TlsContext::load(options);
        return context ? std::string("loaded") : context.error();
    };
    TlsOptions options;
    EXPECT_EQ(error(options), "no certificate");
    options = usual();
    options.certificates[0].chain = "/nonexistent.pem";
    EXPECT_EQ(error(options), "/nonexistent.pem: No such file or directory");
    options = usual();
    options.certificates[0].key = options.certificates[1].key;
    EXPECT_EQ(error(options),
              options.certificates[1].key + ": not the key of " + options.certificates[0].chain);
    options = usual();
    options.certificates[0].chain = options.certificates[0].key;
    EXPECT_TRUE(error(options).starts_with(options.certificates[0].key + ": no certificate"));
    options = usual();
    options.suites = {"ECDHE-RSA-AES128-SHA"};
    EXPECT_EQ(error(options), "cipher suite ECDHE-RSA-AES128-SHA: not one of ours");
    options = usual();
    options.client_certificate = TlsClientCertificate::optional;
    options.client_ca = "/nonexistent.pem";
    EXPECT_TRUE(error(options).starts_with("/nonexistent.pem: no certificates of an authority"));
    options = usual();
    options.resumption = TlsResumption::stateless;
    EXPECT_EQ(error(options), "stateless resumption needs ticket keys");
}

}  // namespace
}  // namespace holdfast
