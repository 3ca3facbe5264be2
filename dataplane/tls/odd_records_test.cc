// What no client should say and some do (RFC 8446 sections 5 and 6): the answer, alert by alert.
#include <gtest/gtest.h>

#include "dataplane/tls/record.h"
#include "dataplane/tls/testing.h"

namespace holdfast {
namespace {

using namespace tls_testing;

class Odd : public testing::Test {
protected:
    static constexpr uint16_t kTls13 = 0x1301, kTls12 = 0xc02b;

    // What our side says to a record of a client that writes whatever it likes.
    std::expected<std::string, TlsAlert> say(std::string_view content, int type,
                                             uint16_t suite = kTls13) {
        begin(suite);
        return server_->open(client_->seal(content, TlsContentType(type)));
    }
    void begin(uint16_t suite) {
        if (server_) return;
        server_.emplace(made_up_state(suite));
        client_.emplace(mirrored(made_up_state(suite)));
    }
    static constexpr auto refused(TlsAlert alert) {
        return std::expected<std::string, TlsAlert>(std::unexpected(alert));
    }
    std::string text(std::initializer_list<int> octets) {
        std::string s;
        for (int o : octets) s.push_back(static_cast<char>(o));
        return s;
    }

    std::optional<Server> server_, client_;
};

TEST_F(Odd, KeyUpdateInPieces) {
    begin(kTls13);
    const std::string update = text({24, 0, 0, 1, 1});
    for (char octet : update) {
        EXPECT_EQ(say({&octet, 1}, 22), "");
        server_->move_house();
    }
    EXPECT_EQ(server_->events.back(), TlsEvent::key_update);
    EXPECT_TRUE(server_->layer().key_update_due());
    EXPECT_EQ(server_->layer().progress().rx_generation, 1u);
}
TEST_F(Odd, SomethingBetweenThePiecesOfAKeyUpdate) {
    say(text({24, 0}), 22);
    EXPECT_EQ(say("data", 23), refused(TlsAlert::unexpected_message));
}
TEST_F(Odd, KeyUpdateWithSomethingBehindIt) {
    EXPECT_EQ(say(text({24, 0, 0, 1, 0, 24}), 22), refused(TlsAlert::unexpected_message));
}
TEST_F(Odd, KeyUpdateOfUnknownValue) {
    EXPECT_EQ(say(text({24, 0, 0, 1, 7}), 22), refused(TlsAlert::illegal_parameter));
}
TEST_F(Odd, KeyUpdateOfWrongLength) {
    EXPECT_EQ(say(text({24, 0, 0, 2, 0, 0}), 22), refused(TlsAlert::decode_error));
}
TEST_F(Odd, EmptyHandshakeRecord) { EXPECT_EQ(say("", 22), refused(TlsAlert::unexpected_message)); }
TEST_F(Odd, ClientHelloAfterTheHandshake) {
    EXPECT_EQ(say(text({1, 0, 0, 1, 0}), 22), refused(TlsAlert::unexpected_message));
}
TEST_F(Odd, NewSessionTicketFromAClient) {
    EXPECT_EQ(say(text({4, 0, 0, 1, 0}), 22), refused(TlsAlert::unexpected_message));
}
TEST_F(Odd, SealedChangeCipherSpec) {
    EXPECT_EQ(say(text({1}), 20), refused(TlsAlert::unexpected_message));
}
TEST_F(Odd, UnknownType) { EXPECT_EQ(say("x", 99), refused(TlsAlert::unexpected_message)); }
TEST_F(Odd, AllZeros) { EXPECT_EQ(say("", 0), refused(TlsAlert::unexpected_message)); }
TEST_F(Odd, PaddingIsTakenOff) {
    begin(kTls13);
    // The text, the type, zeros; sealed as if the last zero were the type.
    EXPECT_EQ(say(text({'h', 'i', 23, 0, 0, 0}), 0), "hi");
}
TEST_F(Odd, OneOctetAlert) { EXPECT_EQ(say("\x01", 21), refused(TlsAlert::decode_error)); }
TEST_F(Odd, UserCanceledIsPassedOver) {
    EXPECT_EQ(say(text({1, 90}), 21), "");
    EXPECT_EQ(say("on", 23), "on");
}
TEST_F(Odd, WarningsAreFatalInTls13) {
    EXPECT_EQ(say(text({1, 80}), 21), "");
    EXPECT_EQ(server_->events.back(), TlsEvent::fatal_alert);
    EXPECT_EQ(server_->layer().reserve(1).error(), TlsRefusal::closed);
}
TEST_F(Odd, WarningsAreNotInTls12) {
    EXPECT_EQ(say(text({1, 80}), 21, kTls12), "");
    EXPECT_EQ(server_->events.back(), TlsEvent::none);
    EXPECT_EQ(say("on", 23), "on");
    EXPECT_EQ(say(text({2, 80}), 21), "");
    EXPECT_EQ(server_->events.back(), TlsEvent::fatal_alert);
}
TEST_F(Odd, NothingCountsAfterCloseNotify) {
    EXPECT_EQ(say(text({1, 0}), 21), "");
    EXPECT_EQ(server_->events.back(), TlsEvent::close_notify);
    EXPECT_EQ(say("data", 23), "");
    EXPECT_TRUE(server_->layer().reserve(5).has_value());  // our side is still open
}
TEST_F(Odd, RenegotiationIsRefusedAndPassedOver) {
    EXPECT_EQ(say(text({1, 0, 0, 0}), 22, kTls12), "");
    EXPECT_EQ(server_->events.back(), TlsEvent::renegotiation_refused);
    EXPECT_TRUE(server_->layer().reserve_alert(TlsAlert::no_renegotiation).has_value());
    EXPECT_EQ(say("on", 23), "on");
}
TEST_F(Odd, ChangedReplayedAndCutRecords) {
    for (const uint16_t suite : {kTls13, kTls12}) {
        for (int what = 0; what < 4; ++what) {
            server_.reset();
            begin(suite);
            Buffer record = client_->seal("text");
            if (what == 0) record.back() ^= std::byte{1};
            if (what == 1) record[record.size() - 17] ^= std::byte{1};
            if (what == 2) {
                EXPECT_EQ(server_->open(record), "text");  // then the same again
            }
            if (what == 3) {
                record.resize(5 + 12);
                record[4] = std::byte{12};
            }
            EXPECT_EQ(server_->open(record), refused(TlsAlert::bad_record_mac)) << what;
            EXPECT_EQ(server_->open(client_->seal("later")), "");  // it is over
        }
    }
}
TEST_F(Odd, PlainRecords) {
    begin(kTls13);
    Buffer record = client_->seal("x");
    record[0] = std::byte{21};
    EXPECT_EQ(server_->open(record), refused(TlsAlert::unexpected_message));
    Server old(made_up_state(kTls12));
    Server other(mirrored(made_up_state(kTls12)));
    record = other.seal("x");
    record[2] = std::byte{1};
    EXPECT_EQ(old.open(record), refused(TlsAlert::protocol_version));
}
TEST_F(Odd, TooLong) {
    begin(kTls13);
    const std::byte header[] = {std::byte{23}, std::byte{3}, std::byte{3}, std::byte{0x41},
                                std::byte{1}};
    EXPECT_EQ(tls_record_size(header).error(), TlsAlert::record_overflow);
    // More plaintext than allowed, with padding to make it just fit the record.
    TlsRecordState loose = mirrored(made_up_state(kTls13));
    loose.max_fragment = 16'384 + 200;
    Server writer(loose);
    EXPECT_EQ(server_->open(writer.seal(std::string(16'385, 'x'))),
              refused(TlsAlert::record_overflow));
}
TEST_F(Odd, TooManyEmptyRecords) {
    for (unsigned i = 0; i < TlsRecordLayer::kMaxEmptyRecords; ++i) EXPECT_EQ(say("", 23), "");
    EXPECT_EQ(say("x", 23), "x");
    for (unsigned i = 0; i < TlsRecordLayer::kMaxEmptyRecords; ++i) EXPECT_EQ(say("", 23), "");
    EXPECT_EQ(say("", 23), refused(TlsAlert::unexpected_message));
}
TEST_F(Odd, TooManyKeyUpdates) {
    begin(kTls13);
    const auto update = [&] {
        const auto said = server_->open(client_->key_update(false));
        client_->layer().drop_previous();
        return said;
    };
    for (int i = 0; i < TlsRecordLayer::kNuisanceBurst; ++i) EXPECT_EQ(update(), "");
    server_->now = server_->now + TlsRecordLayer::kNuisanceInterval;
    EXPECT_EQ(update(), "");
    EXPECT_EQ(update(), refused(TlsAlert::unexpected_message));
}

}  // namespace
}  // namespace holdfast
