#include "dataplane/relay/tls_payload.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <string_view>

namespace holdfast {
namespace {

Bytes octets(std::string_view text) { return std::as_bytes(std::span(text)); }
std::string text(Bytes bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class TlsPayloadTest : public testing::Test {
protected:
    const std::vector<std::byte> older =
        write_tls_octets({{100}, 7, octets("part"), octets("plain")});
    const std::vector<std::byte> newer = write_tls_octets({{200}, 7, octets("second"), {}});
    using Fragments = std::vector<std::vector<std::byte>>;
};

TEST_F(TlsPayloadTest, FindsEachHalfWhereverItIs) {
    for (const Fragments& fragments : {Fragments{older, newer}, Fragments{newer, older}}) {
        const TlsOctets found = find_tls_octets(fragments, {{200}, 7, 6, 5});
        EXPECT_EQ(text(found.record), "second");
        EXPECT_EQ(text(found.text), "plain");
    }
}

// The progress of another commit than the newest payload's: what it needs is in the other one.
TEST_F(TlsPayloadTest, AnOlderCommitFindsItsOwn) {
    const Fragments fragments{older, newer};
    EXPECT_EQ(text(find_tls_octets(fragments, {{100}, 9, 4, 0}).record), "part");
}

// A place that no longer matters does not make the other half worthless.
TEST_F(TlsPayloadTest, AnotherPlaceOfWhatIsNotNeeded) {
    const Fragments fragments{older};
    const TlsOctets found = find_tls_octets(fragments, {{100}, 8, 4, 0});
    EXPECT_EQ(text(found.record), "part");
    EXPECT_TRUE(found.text.empty());
}

TEST_F(TlsPayloadTest, NoMoreThanIsNeededNorThanThereIs) {
    const Fragments fragments{older};
    EXPECT_EQ(text(find_tls_octets(fragments, {{100}, 7, 2, 3}).record), "pa");
    EXPECT_EQ(text(find_tls_octets(fragments, {{100}, 7, 99, 99}).record), "part");
    EXPECT_TRUE(find_tls_octets(fragments, {{101}, 6, 4, 5}).record.empty());
    EXPECT_TRUE(find_tls_octets(fragments, {{101}, 6, 4, 5}).text.empty());
    EXPECT_TRUE(find_tls_octets({}, {{100}, 7, 4, 5}).record.empty());
}

TEST_F(TlsPayloadTest, BrokenOnesSayNothing) {
    for (size_t size = 0; size < 14; ++size) {  // the head, and the record that it tells
        const Fragments fragments{{older.begin(), older.begin() + static_cast<ptrdiff_t>(size)}};
        const TlsOctets found = find_tls_octets(fragments, {{100}, 7, 4, 5});
        EXPECT_TRUE(found.record.empty() && found.text.empty()) << size;
    }
}

// Whatever of a commit's publication came to its owner before the holder died, what the last one
// that was held needs is there.
TEST(TlsPayload, WhatIsHeldOutlivesACommitThatIsCutShort) {
    TlsPayload payload;
    std::array<std::vector<std::byte>, 2> owner;  // what it keeps, by turn; empty: in pieces
    for (uint32_t n = 1; n < 10; ++n) {
        const std::string held(n, 'a'), next(n + 1, 'b');
        ASSERT_TRUE(payload.is_held());
        payload.replace({{n}, 0, octets(held), {}});
        EXPECT_FALSE(payload.is_held());
        owner[payload.turn()] = payload.value();
        payload.on_held(payload.turn() ^ 1);  // an older commit
        EXPECT_FALSE(payload.is_held());
        payload.on_held(payload.turn());

        TlsPayload successor = payload;
        successor.replace({{n + 1}, 0, octets(next), {}});
        for (const bool whole : {false, true}) {
            auto found = owner;
            found[successor.turn()] = whole ? successor.value() : std::vector<std::byte>{};
            EXPECT_EQ(text(find_tls_octets(found, {{n}, 0, n, 0}).record), held) << n << whole;
        }
    }
}

}  // namespace
}  // namespace holdfast
