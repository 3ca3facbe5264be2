#include "dataplane/tls/record.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/random.h"
#include "dataplane/tls/testing.h"

namespace holdfast {
namespace {

using namespace tls_testing;

ClientOptions options_of(const TlsSuite& suite) {
    return {.version = suite.is_tls13() ? TLS1_3_VERSION : TLS1_2_VERSION,
            .suites = std::string(suite.name)};
}

class Suites : public testing::TestWithParam<TlsSuite> {
protected:
    Suites() : client_(options_of(GetParam())), shaken_(shake(context(), client_)) {}

    static std::shared_ptr<TlsContext> context() {
        static const auto context = load(usual());
        return context;
    }

    Client client_;
    Shaken shaken_;
};

INSTANTIATE_TEST_SUITE_P(Tls, Suites, testing::ValuesIn(kTlsSuites), [](const auto& suite) {
    std::string name(suite.param.name);
    std::ranges::replace(name, '-', '_');
    return name;
});

TEST_P(Suites, RandomTalkAcrossManyMoves) {
    Server server(*shaken_.detached.state);
    Random random(7);
    int updates = 0;
    for (int i = 0; i < 300; ++i) {
        const std::string text(1 + random.below(16'384), static_cast<char>('a' + i % 26));
        switch (random.below(GetParam().is_tls13() ? 6 : 3)) {
            case 0:
                EXPECT_EQ(server.open(client_.write(text)), text);
                break;
            case 1:
                client_.exchange(server.seal(text));
                EXPECT_EQ(client_.received(), text);
                break;
            case 2:
                server.move_house();
                break;
            case 3:
                ASSERT_EQ(server.open(client_.update_key(random.chance(0.5))), "");
                EXPECT_EQ(server.events.back(), TlsEvent::key_update);
                break;
            case 4: {
                if (server.layer().progress().has_previous) server.layer().drop_previous();
                const Buffer update = server.key_update(random.chance(0.5));
                server.move_house();
                const Buffer answer = client_.exchange(update);
                EXPECT_EQ(client_.key_updates_seen, ++updates);
                ASSERT_EQ(server.open(answer), "");
                break;
            }
            case 5:
                if (server.layer().key_update_due()) {
                    client_.exchange(server.key_update(false));
                    ++updates;
                }
                break;
        }
        server.now = server.now + Duration::seconds(1);
    }
    EXPECT_EQ(client_.error(), "");
}

TEST_P(Suites, SealingAgainGivesTheSameBytesAnywhere) {
    Server server(*shaken_.detached.state);
    std::vector<std::pair<TlsRecordName, std::string>> ledger;
    std::vector<Buffer> sent;
    for (int i = 0; i < 20; ++i) {
        ledger.emplace_back(server.layer().next_tx(), std::string(1 + 700 * i, 'x'));
        sent.push_back(server.seal(ledger.back().second));
        if (i == 9 && GetParam().is_tls13()) server.key_update(false);
    }
    server.move_house();
    for (size_t i = ledger.size(); i-- > 0;) {
        const std::string& text = ledger[i].second;
        Buffer again(server.layer().sealed_size(text.size()));
        // The same octets in other pieces.
        const Bytes pieces[] = {
            bytes_of(text).first(text.size() / 3), {}, bytes_of(text).subspan(text.size() / 3)};
        ASSERT_TRUE(server.layer()
                        .seal(ledger[i].first, TlsContentType::application_data, pieces, again)
                        .has_value());
        EXPECT_EQ(again, sent[i]);
    }
}

TEST_P(Suites, OnlyReservedNamesAreSealed) {
    Server server(*shaken_.detached.state);
    TlsRecordLayer& layer = server.layer();
    Buffer room(kTlsMaxRecord);
    const auto refusal = [&](TlsRecordName name) {
        const auto sealed = layer.seal(name, TlsContentType::application_data, {}, room);
        return sealed ? std::optional<TlsRefusal>() : sealed.error();
    };
    EXPECT_EQ(refusal(layer.next_tx()), TlsRefusal::not_reserved);
    EXPECT_EQ(refusal({1, 0}), TlsRefusal::not_reserved);
    const auto name = layer.reserve(0);
    EXPECT_EQ(refusal(*name), std::nullopt);
    EXPECT_EQ(layer.seal(*name, TlsContentType::application_data, {}, MutableBytes(room).first(20))
                  .error(),
              TlsRefusal::no_room);
    EXPECT_EQ(layer.reserve(16'385).error(), TlsRefusal::too_large);
    if (!GetParam().is_tls13()) {
        EXPECT_EQ(layer.reserve_key_update().error(), TlsRefusal::wait);
    } else {
        const auto update = layer.reserve_key_update();
        EXPECT_EQ(update->generation, 0u);
        EXPECT_EQ(refusal(*name), std::nullopt);
        EXPECT_EQ(refusal({0, update->sequence + 1}), TlsRefusal::not_reserved);
        EXPECT_EQ(layer.reserve_key_update().error(), TlsRefusal::wait);
        layer.drop_previous();
        EXPECT_EQ(refusal(*name), TlsRefusal::key_gone);
    }
    EXPECT_TRUE(layer.reserve_alert(TlsAlert::close_notify).has_value());
    EXPECT_EQ(layer.reserve(1).error(), TlsRefusal::closed);
    EXPECT_EQ(layer.reserve_alert(TlsAlert::internal_error).error(), TlsRefusal::closed);
}

TEST_P(Suites, AStaleReadingPositionIsFound) {
    Server server(*shaken_.detached.state);
    const TlsRecordState stale = server.layer().state();
    for (int i = 0; i < 10; ++i) server.open(client_.write("lost"));
    Server taker(stale);
    taker.layer().search(16);
    EXPECT_EQ(taker.open(client_.write("found")), "found");
    EXPECT_EQ(taker.open(client_.write("again")), "again");
    EXPECT_EQ(taker.worker().counters().resynchronised, 1u);
    Server near(stale);
    near.layer().search(9);
    EXPECT_EQ(near.open(client_.write("too far")), std::unexpected(TlsAlert::bad_record_mac));
    Server none(stale);
    EXPECT_EQ(none.open(client_.write("never")), std::unexpected(TlsAlert::bad_record_mac));
}

TEST_P(Suites, ProgressCarriesAnOldStateForward) {
    Server server(*shaken_.detached.state);
    const TlsRecordState old = server.layer().state();
    for (int i = 0; i < 5; ++i) {
        server.open(client_.write("in"));
        client_.exchange(server.seal("out"));
        if (GetParam().is_tls13() && i % 2 == 0) {
            server.open(client_.update_key(false));
            server.layer().drop_previous();
            client_.exchange(server.key_update(false));
        }
    }
    std::array<std::byte, kMaxTlsProgress> bytes;
    const size_t size = serialise(server.layer().progress(), bytes);
    EXPECT_LE(size, GetParam().is_tls13() ? 33u : 17u);
    const auto progress = parse_tls_progress(Bytes(bytes).first(size));
    ASSERT_TRUE(progress);
    TlsRecordState state = old;
    TlsKeySchedule keys;
    ASSERT_TRUE(advance(state, *progress, keys));
    EXPECT_EQ(state, server.layer().state());
    EXPECT_FALSE(advance(state, old.progress, keys));  // never back
    EXPECT_EQ(state, server.layer().state());
    Server taker(state);
    client_.exchange(taker.seal("on"));
    EXPECT_EQ(client_.received(), "outoutoutoutouton");
    EXPECT_EQ(taker.open(client_.write("and on")), "and on");
}

// --- limits ---

TEST(RecordLayer, AKeyIsChangedLongBeforeItsLimit) {
    TlsRecordState state = made_up_state(0x1301);
    state.progress.tx_sequence = TlsRecordLayer::kUpdateAt - 1;
    Server server(state);
    EXPECT_FALSE(server.layer().key_update_due());
    server.seal("x");
    EXPECT_TRUE(server.layer().key_update_due());
    server.key_update(false);
    EXPECT_FALSE(server.layer().key_update_due());
    EXPECT_EQ(server.layer().next_tx(), (TlsRecordName{1, 0}));
}

TEST(RecordLayer, AKeyThatCannotBeChangedIsGivenUp) {
    TlsRecordState state = made_up_state(0xc02b);
    state.progress.tx_sequence = TlsRecordLayer::kDrainAt - 1;
    Server server(state);
    EXPECT_TRUE(server.layer().drain_due());
    server.seal("last");
    EXPECT_EQ(server.layer().reserve(1).error(), TlsRefusal::key_exhausted);
    server.alert(TlsAlert::close_notify);  // that much is left
}

TEST(RecordLayer, TheSecretMemoryIsTheLimit) {
    TlsRecordWorker worker(1);
    auto layer = TlsRecordLayer::make(worker, made_up_state(0x1302));
    ASSERT_TRUE(layer);
    EXPECT_FALSE(TlsRecordLayer::make(worker, made_up_state(0x1302)));
    layer.reset();
    EXPECT_TRUE(TlsRecordLayer::make(worker, made_up_state(0x1302)));
    EXPECT_FALSE(TlsRecordLayer::make(worker, TlsRecordState{}));
}

TEST(RecordLayer, ManyConnectionsShareFewContexts) {
    TlsRecordWorker worker(64, 2);
    std::vector<TlsRecordLayer> ours, theirs;
    for (uint64_t i = 0; i < 20; ++i) {
        const TlsRecordState state = made_up_state(kTlsSuites[i % 9].id, i);
        ours.push_back(std::move(*TlsRecordLayer::make(worker, state)));
        theirs.push_back(std::move(*TlsRecordLayer::make(worker, mirrored(state))));
    }
    Buffer record(kTlsMaxRecord), plain(kTlsMaxRecord);
    for (int round = 0; round < 5; ++round) {
        for (size_t i = 0; i < ours.size(); ++i) {
            const std::string text = "connection " + std::to_string(i);
            const Bytes piece = bytes_of(text);
            const auto size = ours[i].seal(*ours[i].reserve(text.size()),
                                           TlsContentType::application_data, {&piece, 1}, record);
            const Bytes sealed = Bytes(record).first(*size);
            const auto opened = theirs[i].open({&sealed, 1}, plain, Instant{});
            ASSERT_TRUE(opened);
            EXPECT_EQ(text_of(opened->data), text);
        }
        if (round == 2) ours.erase(ours.begin()), theirs.erase(theirs.begin());
    }
}

// A record may come in as many pieces as segments carried it.
TEST(RecordLayer, OpensRecordsInPieces) {
    Random random(3);
    for (const TlsSuite& suite : kTlsSuites) {
        Server writer(made_up_state(suite.id)), reader(mirrored(made_up_state(suite.id)));
        Buffer plain(kTlsMaxRecord);
        for (int i = 0; i < 50; ++i) {
            const std::string text(random.below(2'000), 'p');
            const Buffer record = writer.seal(text);
            std::vector<Bytes> pieces;
            for (Bytes rest = record; !rest.empty();) {
                pieces.push_back(rest.first(random.below(std::min<size_t>(rest.size(), 90)) + 1));
                rest = rest.subspan(pieces.back().size());
            }
            const auto opened = reader.layer().open(pieces, plain, Instant{});
            ASSERT_TRUE(opened);
            EXPECT_EQ(text_of(opened->data), text);
        }
    }
}

// The nonce of every record of ours, as the wire would show it: none twice under one key.
TEST(RecordLayer, NoNonceTwice) {
    for (const TlsSuite& suite : kTlsSuites) {
        std::set<std::tuple<uint32_t, uint64_t>> names;
        Server server(made_up_state(suite.id));
        for (int i = 0; i < 400; ++i) {
            if (i % 7 == 0) server.move_house();
            if (suite.is_tls13() && i % 50 == 49) {
                server.layer().drop_previous();
                const auto name = *server.layer().reserve_key_update();
                EXPECT_TRUE(names.emplace(name.generation, name.sequence).second);
            }
            const auto name = *server.layer().reserve(10);
            EXPECT_TRUE(names.emplace(name.generation, name.sequence).second);
        }
    }
}

TEST(RecordLayer, Tls12GcmNoncesGoOnFromOpenSslsOwn) {
    Client client({.version = TLS1_2_VERSION, .suites = "ECDHE-ECDSA-AES128-GCM-SHA256"});
    const Shaken shaken = shake(load(usual()), client);
    const uint64_t first = shaken.detached.state->explicit_nonce;
    Server server(*shaken.detached.state);
    for (uint64_t i = 1; i < 5; ++i)
        EXPECT_EQ(load_be<uint64_t>(server.seal("x").data() + 5), first + i);
}

// --- the state's own format ---

TEST(RecordState, IsReadAsItWasWrittenOrNotAtAll) {
    for (const TlsSuite& suite : kTlsSuites) {
        TlsRecordState state = made_up_state(suite.id);
        state.max_fragment = 512;
        state.progress.tx_sequence = 77;
        state.progress.rx_closed = true;
        if (suite.is_tls13()) {
            state.progress.tx_generation = 3;
            state.progress.has_previous = state.progress.key_update_owed = true;
            state.progress.previous_end = 5;
            state.progress.handshake_size = 2;
            state.progress.handshake = {std::byte{24}, std::byte{0}};
            std::fill_n(state.previous_tx.begin(), suite.hash_size, std::byte{4});
        }
        std::array<std::byte, kMaxTlsRecordState> bytes;
        const size_t size = serialise(state, bytes);
        ASSERT_GT(size, 0u);
        EXPECT_EQ(parse_tls_record_state(Bytes(bytes).first(size)), state);
        for (size_t i = 0; i < size; ++i)
            EXPECT_FALSE(parse_tls_record_state(Bytes(bytes).first(i)));
        EXPECT_FALSE(parse_tls_record_state(Bytes(bytes).first(size + 1)));
        bytes[0] = std::byte{2};
        EXPECT_FALSE(parse_tls_record_state(Bytes(bytes).first(size)));
        EXPECT_EQ(serialise(state, MutableBytes(bytes).first(size - 1)), 0u);
    }
}

TEST(RecordState, Sizes) {
    std::array<std::byte, kMaxTlsRecordState> bytes;
    EXPECT_EQ(serialise(made_up_state(0x1301), bytes), 87u);
    EXPECT_EQ(serialise(made_up_state(0x1302), bytes), 119u);
    EXPECT_EQ(serialise(made_up_state(0xc02b), bytes), 71u);
    EXPECT_EQ(serialise(made_up_state(0xcca9), bytes), 111u);
}

}  // namespace
}  // namespace holdfast
