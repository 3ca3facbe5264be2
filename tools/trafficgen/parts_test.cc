// The small parts: contents, histogram, schedule, addresses, profiles.
#include <gtest/gtest.h>

#include <vector>

#include "tools/trafficgen/addresses.h"
#include "tools/trafficgen/histogram.h"
#include "tools/trafficgen/pattern.h"
#include "tools/trafficgen/profile.h"
#include "tools/trafficgen/schedule.h"

namespace holdfast::gen {
namespace {

constexpr Instant at_ms(int64_t ms) { return {ms * 1'000'000}; }

// ---- Contents

std::vector<std::byte> octets(const Stream& s, uint32_t offset, size_t n) {
    std::vector<std::byte> all(n);
    s.fill(offset, all);
    return all;
}

TEST(Pattern, AnyPieceIsAPieceOfTheWhole) {
    for (const Way way : {Way::to_server, Way::to_client}) {
        const Stream stream(7, {3, 1}, way);
        const auto whole = octets(stream, 0, 200);
        for (uint32_t from = 0; from < 40; ++from)
            for (size_t n = 0; n < 60; ++n) {
                const auto piece = octets(stream, from, n);
                ASSERT_TRUE(std::equal(piece.begin(), piece.end(), whole.begin() + from));
                ASSERT_EQ(stream.wrong(from, piece), 0u);
            }
    }
}

TEST(Pattern, EveryWrongOctetIsCounted) {
    const Stream stream(7, {3, 1}, Way::to_server);
    auto got = octets(stream, 3, 100);
    for (const size_t at : {0u, 2u, 3u, 50u, 99u}) got[at] ^= std::byte{1};
    EXPECT_EQ(stream.wrong(3, got), 5u);
    EXPECT_GT(stream.wrong(4, octets(stream, 3, 100)), 80u) << "moved by one";
}

TEST(Pattern, StreamsDiffer) {
    const auto first = octets(Stream(7, {3, 1}, Way::to_client), 0, 64);
    EXPECT_NE(first, octets(Stream(8, {3, 1}, Way::to_client), 0, 64));
    EXPECT_NE(first, octets(Stream(7, {4, 1}, Way::to_client), 0, 64));
    EXPECT_NE(first, octets(Stream(7, {3, 2}, Way::to_client), 0, 64));
    EXPECT_NE(first, octets(Stream(7, {3, 1}, Way::to_server), 0, 64));
}

TEST(Pattern, AStreamBeginsWithItsName) {
    const auto begin = octets(Stream(7, {300'000, 9}, Way::to_server), 0, kPreamble);
    EXPECT_EQ(read_preamble(7, begin), (StreamId{300'000, 9}));
    EXPECT_EQ(read_preamble(7, Bytes(begin).first(5)), std::nullopt);
    auto wrong = begin;
    wrong[5] ^= std::byte{4};
    EXPECT_EQ(read_preamble(7, wrong), std::nullopt);
}

// ---- Histogram

TEST(HistogramTest, QuantilesAreWithinAPartOfTheValue) {
    Histogram h;
    for (int64_t us = 1; us <= 100'000; ++us) h.add(Duration::microseconds(us));
    for (const double q : {0.001, 0.5, 0.9, 0.99, 0.999}) {
        const double wanted = q * 100'000;
        const double got = static_cast<double>(h.quantile(q).ns) / 1000;
        EXPECT_GE(got, wanted * 0.999) << q;
        EXPECT_LE(got, wanted * (1 + 1.0 / 64) + 1) << q;
    }
    EXPECT_EQ(h.max(), Duration::milliseconds(100));
    EXPECT_EQ(h.quantile(1), Duration::milliseconds(100)) << "never above the largest";
    EXPECT_EQ(h.count(), 100'000u);
    EXPECT_NEAR(static_cast<double>(h.mean().ns), 50'000'500, 1);
}

TEST(HistogramTest, TakesAnything) {
    Histogram h;
    EXPECT_EQ(h.quantile(0.5), Duration{});
    h.add(Duration{-5});
    h.add(Duration{});
    h.add(Duration::max());
    EXPECT_EQ(h.quantile(0.1), Duration{});
    EXPECT_EQ(h.max(), Duration::max());
    for (int64_t ns = 1; ns < 200; ++ns) h.add(Duration{ns});
    Histogram sum;
    sum.merge(h);
    sum.merge(h);
    EXPECT_EQ(sum.count(), 2 * h.count());
    EXPECT_EQ(sum.quantile(0.5), h.quantile(0.5));
    sum.clear();
    EXPECT_EQ(sum.count(), 0u);
}

// ---- Schedule

TEST(ScheduleTest, TicketsAreDueAtTheirTimeAndNotBefore) {
    Schedule s;
    s.set_rate(3, at_ms(0));
    EXPECT_EQ(s.take(at_ms(333)), std::nullopt);
    EXPECT_EQ(s.next_deadline(), (Instant{333'333'333}));
    EXPECT_EQ(s.take(Instant{333'333'333}), 0u);
    EXPECT_EQ(s.take(Instant{333'333'333}), std::nullopt);
    EXPECT_EQ(s.owed(at_ms(2000)), 5u);
    for (uint64_t ticket = 1; ticket <= 5; ++ticket) EXPECT_EQ(s.take(at_ms(2000)), ticket);
    EXPECT_EQ(s.take(at_ms(2000)), std::nullopt);
}

TEST(ScheduleTest, ATicketKeepsItsTimeWhateverHappensToTheRate) {
    Schedule s;
    s.set_rate(1000, at_ms(0));
    s.set_rate(10, at_ms(5));  // five are owed by then
    EXPECT_EQ(s.intended(4), at_ms(5));
    EXPECT_EQ(s.intended(5), at_ms(105));
    for (uint64_t ticket = 0; ticket < 5; ++ticket) EXPECT_EQ(s.take(at_ms(6)), ticket);
    EXPECT_EQ(s.take(at_ms(104)), std::nullopt);
    s.set_rate(0, at_ms(104));
    EXPECT_EQ(s.take(at_ms(10'000)), std::nullopt);
    EXPECT_EQ(s.next_deadline(), Instant::max());
    EXPECT_EQ(s.intended(4), at_ms(5));
    s.set_rate(1000, at_ms(20'000));
    EXPECT_EQ(s.take(at_ms(20'001)), 5u);
    EXPECT_EQ(s.intended(5), at_ms(20'001));
}

TEST(ScheduleTest, RoundingNeverMakesATicketEarly) {
    for (const double rate : {7.0, 999.0, 333'333.0, 1e6, 12'345'678.0}) {
        Schedule s;
        s.set_rate(rate, at_ms(17));
        for (uint64_t i = 0; i < 20'000; ++i) {
            const Instant due = *s.intended(i);
            ASSERT_EQ(s.take(due - Duration{1}), std::nullopt) << rate << " ticket " << i;
            ASSERT_EQ(s.take(due), i) << rate;
        }
    }
}

// ---- Addresses

TEST(AddressesTest, ASessionIsFoundByItsClient) {
    Addresses a;
    a.targets = {*parse_endpoint("198.51.100.10:80"), *parse_endpoint("[2001:db8:1::10]:80")};
    a.client_v4 = *parse_ip("198.51.100.128");
    a.client_v6 = *parse_ip("2001:db8:1::1:0");
    a.first_port = 1024;
    a.last_port = 2023;
    for (uint32_t s = 0; s < 5000; ++s) ASSERT_EQ(a.session_of(a.client_of(s), a.target_of(s)), s);
    EXPECT_EQ(a.client_addresses(5000), 5u);
    EXPECT_EQ(to_string(a.client_of(1000)), "198.51.100.129:1024");
    EXPECT_EQ(a.session_of(a.client_of(7), a.target_of(8)), std::nullopt) << "another target";
    EXPECT_EQ(a.session_of({a.client_v4, 1023}, a.targets[0]), std::nullopt);
    EXPECT_EQ(a.session_of(*parse_endpoint("198.51.100.127:1024"), a.targets[0]), std::nullopt);
}

// ---- Profiles

TEST(ProfileTest, KnowsItsNames) {
    for (const char* name :
         {"established", "connect", "http", "concurrent", "verify", "mixed", "attack"}) {
        const auto p = profile_by_name(name);
        ASSERT_TRUE(p) << p.error();
        EXPECT_EQ(p->name, name);
    }
    EXPECT_EQ(profile_by_name("bulk").error(),
              "no profile 'bulk': established, connect, http, concurrent, verify, mixed, attack");
}

TEST(ProfileTest, AMixIsReadLineByLine) {
    const auto mix = parse_mix("web.mix",
                               "# weight requests request response close\n"
                               "70 1 120 600 fin\n"
                               "\n"
                               "  30 4\t200 20000 rst  # images\n"
                               "1 1 6 0 silent");
    ASSERT_TRUE(mix) << mix.error();
    ASSERT_EQ(mix->size(), 3u);
    EXPECT_EQ((*mix)[1].requests, 4u);
    EXPECT_EQ((*mix)[1].response, 20'000u);
    EXPECT_EQ((*mix)[1].close, Close::rst);
    EXPECT_TRUE((*mix)[2].silent);
}

TEST(ProfileTest, AWrongMixIsRefusedWithItsLine) {
    const auto error = [](const char* text) {
        const auto mix = parse_mix("m", text);
        return mix ? std::string("fine") : mix.error();
    };
    EXPECT_EQ(error(""), "m:1: no class in it");
    EXPECT_EQ(error("1 1 6 0 fin\n1 2 3\n"),
              "m:2: 3 words, not 5: weight requests request response fin|rst|silent");
    EXPECT_EQ(error("\n\n0 1 6 0 fin"), "m:3: weight is '0', not a number from 1 to 1000000");
    EXPECT_EQ(error("1 1 5 0 fin"), "m:1: request is '5', not a number from 6 to 1073741824");
    EXPECT_EQ(error("1 1 6 9x fin"), "m:1: response is '9x', not a number from 0 to 1073741824");
    EXPECT_EQ(error("1 1 6 0 close"), "m:1: 'close' is none of fin, rst, silent");
}

TEST(ProfileTest, ClassesAreMixedByWeight) {
    std::vector<FlowClass> classes(2);
    classes[0].weight = 3;
    classes[1].request = 9;
    const ClassTable table(classes, 5), same(classes, 5);
    int second = 0;
    for (uint32_t s = 0; s < 100'000; ++s) {
        second += table.of(s).request == 9;
        ASSERT_EQ(table.number_of(s), same.number_of(s));
    }
    EXPECT_NEAR(second, 25'000, 1000);
}

}  // namespace
}  // namespace holdfast::gen
