#include "replication/ring/seal.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "replication/ring/frame.h"

namespace holdfast {
namespace {

std::vector<std::byte> unhex(const std::string& s) {
    std::vector<std::byte> out;
    for (size_t i = 0; i < s.size(); i += 2)
        out.push_back(static_cast<std::byte>(std::stoi(s.substr(i, 2), nullptr, 16)));
    return out;
}

// RFC 5869 appendix A.1.
TEST(Seal, HkdfMatchesTheRfc) {
    auto prk = hkdf_extract(unhex("000102030405060708090a0b0c"), std::vector(22, std::byte{0x0b}));
    EXPECT_EQ(std::vector(prk.begin(), prk.end()),
              unhex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"));
    std::vector<std::byte> okm(42);
    hkdf_expand(prk, unhex("f0f1f2f3f4f5f6f7f8f9"), okm);
    EXPECT_EQ(okm, unhex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208"
                         "d5b887185865"));
}

class EachCipher : public ::testing::TestWithParam<Cipher> {};
INSTANTIATE_TEST_SUITE_P(Seal, EachCipher,
                         ::testing::Values(Cipher::aes_128_gcm, Cipher::chacha20_poly1305));

std::vector<std::byte> frame_of(size_t body) {
    std::vector<std::byte> f(kMinFrame + body);
    for (size_t i = 0; i < f.size(); ++i) f[i] = static_cast<std::byte>(i * 7);
    return f;
}

TEST_P(EachCipher, OpensWhatItSealed) {
    KeySource source({});
    AeadKey key(GetParam());
    source.derive({KeyClass::data, {1}, 0, {5}, 0}, key);
    for (size_t size : {0, 1, 100, 1400, 8900}) {
        auto plain = frame_of(size), frame = plain;
        std::vector<std::byte> to(9000);
        key.seal({1, 2}, kFrameHeaderSize, frame);
        EXPECT_EQ(std::memcmp(frame.data(), plain.data(), kFrameHeaderSize), 0);
        Bytes body;
        ASSERT_TRUE(key.open({1, 2}, kFrameHeaderSize, frame, to, body));
        ASSERT_EQ(body.size(), size);
        EXPECT_EQ(std::memcmp(body.data(), plain.data() + kFrameHeaderSize, size), 0);
        EXPECT_FALSE(key.open({1, 3}, kFrameHeaderSize, frame, to, body));
        EXPECT_FALSE(key.open({0, 2}, kFrameHeaderSize, frame, to, body));
    }
}

TEST_P(EachCipher, AnyChangedBitIsNoticed) {
    KeySource source({});
    AeadKey key(GetParam());
    source.derive({KeyClass::control, {1}, 0, {5}, 0}, key);
    auto frame = frame_of(30);
    key.seal({0, 9}, kFrameHeaderSize, frame);
    std::vector<std::byte> to(100);
    Bytes body;
    for (size_t bit = 0; bit < frame.size() * 8; ++bit) {
        frame[bit / 8] ^= std::byte{1} << bit % 8;
        EXPECT_FALSE(key.open({0, 9}, kFrameHeaderSize, frame, to, body)) << bit;
        frame[bit / 8] ^= std::byte{1} << bit % 8;
    }
    EXPECT_TRUE(key.open({0, 9}, kFrameHeaderSize, frame, to, body));
}

TEST(Seal, EveryNameHasItsOwnKey) {
    KeySource source({});
    std::array<std::byte, 32> other{};
    other[0] = std::byte{1};
    KeySource foreign(other);
    EXPECT_NE(source.cluster(), foreign.cluster());
    const KeyName base{KeyClass::data, {1}, 2, {3}, 4};
    std::vector<KeyName> names(6, base);
    names[1].key_class = KeyClass::control;
    names[2].node = {9};
    names[3].worker = 9;
    names[4].incarnation = {9};
    names[5].generation = 9;
    std::set<std::vector<std::byte>> seen;
    auto seal_with = [&](KeySource& s, const KeyName& n) {
        AeadKey key(Cipher::aes_128_gcm);
        s.derive(n, key);
        auto frame = frame_of(16);
        key.seal({}, kFrameHeaderSize, frame);
        seen.insert(frame);
    };
    for (const KeyName& n : names) seal_with(source, n);
    seal_with(foreign, base);
    EXPECT_EQ(seen.size(), names.size() + 1);
    EXPECT_EQ(source.derived(), names.size());
}

TEST(Seal, DataKeysRotateAndKeepTwoGenerations) {
    KeySource source({});
    DataKeys keys(Cipher::aes_128_gcm);
    keys.restart(source, {1}, 0, {5});
    constexpr uint64_t kTurn = 1ull << DataKeys::kGenerationBits;
    for (int i = 0; i < 100; ++i) {  // across the turn and back again
        keys.at({kTurn - 1});
        keys.at({kTurn});
    }
    EXPECT_EQ(source.derived(), 2u);
    EXPECT_NE(&keys.at({kTurn - 1}), &keys.at({kTurn}));
    keys.restart(source, {1}, 0, {6});
    keys.at({kTurn});
    EXPECT_EQ(source.derived(), 3u);
}

}  // namespace
}  // namespace holdfast
