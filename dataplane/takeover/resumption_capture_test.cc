#include "dataplane/takeover/resumption_capture.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace holdfast {
namespace {

constexpr Instant kNow{Duration::seconds(1'700'000'000).ns};

TlsSession session(size_t size = 130) {
    TlsSession s;
    for (size_t i = 0; i < 32; ++i) s.id.bytes[i] = std::byte(i + 1);
    s.id.size = 32;
    s.service = 7;
    s.der.assign(size, std::byte{0x30});
    return s;
}

TEST(Resumable, IsReadAsItWasWritten) {
    const TlsSession s = session();
    const auto key = resumption_key(s.id);
    EXPECT_EQ(key.size, 33);
    EXPECT_EQ(parse_resumption_key(key), s.id);
    EXPECT_FALSE(parse_session_key(key));
    const auto read = read_resumable(s.id, write_resumable(s, kNow + Duration::seconds(100)), kNow);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->id, s.id);
    EXPECT_EQ(read->service, 7);
    EXPECT_EQ(read->lifetime_s, 100u);
    EXPECT_EQ(read->der, s.der);
}

TEST(Resumable, KeysOfOthersNameNone) {
    Session live;
    live.client = {IpAddress::v4(0x0a000001), 1000};
    live.vip = {IpAddress::v4(0x0a000002), 443};
    EXPECT_FALSE(parse_resumption_key(session_key(live)));
    SessionKey key;
    EXPECT_FALSE(parse_resumption_key(key));
    key = resumption_key(session().id);
    key.size = 1;
    EXPECT_FALSE(parse_resumption_key(key));
    key.size = 37;  // no identifier is as long
    EXPECT_FALSE(parse_resumption_key(key));
}

TEST(Resumable, EndsInTime) {
    const TlsSession s = session();
    const auto value = write_resumable(s, kNow + Duration::seconds(100));
    EXPECT_EQ(read_resumable(s.id, value, kNow + Duration::seconds(99))->lifetime_s, 1u);
    EXPECT_FALSE(read_resumable(s.id, value, kNow + Duration::seconds(100)));
    const auto never = write_resumable(s, Instant::max());
    EXPECT_EQ(read_resumable(s.id, never, kNow)->lifetime_s, 86'400u);
}

TEST(Resumable, NonsenseIsRefused) {
    const TlsSession s = session();
    const auto value = write_resumable(s, kNow + Duration::seconds(100));
    for (size_t n = 0; n <= kResumableHead; ++n)
        EXPECT_FALSE(read_resumable(s.id, Bytes(value).first(n), kNow)) << n;
    auto newer = value;
    newer[0] = std::byte{2};
    EXPECT_FALSE(read_resumable(s.id, newer, kNow));
    const auto longest = write_resumable(session(kMaxTlsSession), kNow + Duration::seconds(1));
    EXPECT_TRUE(read_resumable(s.id, longest, kNow));
    const auto longer = write_resumable(session(kMaxTlsSession + 1), kNow + Duration::seconds(1));
    EXPECT_FALSE(read_resumable(s.id, longer, kNow));
    Random random(1);
    for (unsigned i = 0; i < 100'000; ++i) {
        std::vector<std::byte> any(random.below(40));
        for (std::byte& b : any) b = std::byte(random.below(256));
        if (!any.empty() && random.chance(0.5)) any[0] = std::byte{1};
        const auto read = read_resumable(s.id, any, kNow);
        EXPECT_TRUE(!read || read->der.size() + kResumableHead == any.size());
    }
}

}  // namespace
}  // namespace holdfast
