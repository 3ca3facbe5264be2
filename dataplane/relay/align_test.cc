// Two control blocks of any ages become two ends that agree.
#include "dataplane/relay/align.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

// One direction of a session as its two blocks describe it, in bytes from the beginning: what the
// sender has sent to us, what of it our peer on the other side has acknowledged.
struct Stream {
    uint32_t received = 0, acked = 0;
    bool fin_received = false, fin_queued = false, fin_acked = false;
    uint32_t size() const { return received; }
};

// An octet counts one, a FIN one.
RelayState state_of(const Stream& up, const Stream& down, RelayStage stage) {
    RelayState s;
    s.stage = stage;
    s.client.iss = {0xfffffff0};
    s.client.irs = {1000};
    s.backend.iss = {77};
    s.backend.irs = {0x80000000};
    const auto fill = [](Tcb& from, Tcb& to, const Stream& stream) {
        from.rcv_nxt = from.irs + 1 + stream.received + (stream.fin_received ? 1u : 0u);
        if (stream.fin_received) from.set(Tcb::fin_received | Tcb::peer_closed_told);
        to.snd_una = to.iss + 1 + stream.acked + (stream.fin_acked ? 1u : 0u);
        to.snd_nxt = to.snd_max = to.iss + 1 + stream.received;
        if (stream.fin_queued) {
            to.set(Tcb::fin_queued);
            to.fin_seq = to.iss + 1 + stream.received;
        }
    };
    fill(s.client, s.backend, up);
    fill(s.backend, s.client, down);
    s.client.state = s.backend.state = TcpState::established;
    return s;
}

void expect_agreed(const Stream& stream, const Tcb& from, const Tcb& to) {
    // Nothing but what the far side acknowledged is received.
    const uint32_t upto = stream.acked + (stream.fin_acked ? 1u : 0u);
    EXPECT_EQ(from.rcv_nxt, from.irs + 1 + upto);
    EXPECT_EQ(to.snd_una, to.iss + 1 + upto);
    EXPECT_EQ(to.snd_nxt, to.snd_una);
    EXPECT_EQ(from.has(Tcb::fin_received), stream.fin_acked);
    EXPECT_EQ(from.has(Tcb::peer_closed_told), stream.fin_acked);
    // Where the end is stays known: an acknowledgement may tell that it was passed on.
    EXPECT_EQ(to.has(Tcb::fin_queued), stream.fin_queued);
    EXPECT_TRUE(!stream.fin_queued || to.fin_seq == to.iss + 1 + stream.received);
}

TcpState expected_state(const Stream& in, const Stream& out) {
    if (out.fin_acked) return in.fin_acked ? TcpState::time_wait : TcpState::fin_wait_2;
    return in.fin_acked ? TcpState::close_wait : TcpState::established;
}

std::vector<Stream> streams() {
    std::vector<Stream> all;
    for (uint32_t received : {0u, 1u, 70'000u})
        for (uint32_t acked : {0u, received / 2, received})
            for (int fin = 0; fin < 4; ++fin) {
                if (fin == 3 && acked != received) continue;
                all.push_back({received, acked, fin >= 1, fin >= 2, fin >= 3});
            }
    return all;
}

TEST(Align, EveryCombinationOfProgressAndFins) {
    for (const RelayStage stage : {RelayStage::committing, RelayStage::open, RelayStage::closing})
        for (const Stream& up : streams())
            for (const Stream& down : streams()) {
                const RelayState a = align(state_of(up, down, stage));
                SCOPED_TRACE(std::to_string(up.received) + "/" + std::to_string(up.acked) + " " +
                             std::to_string(down.received) + "/" + std::to_string(down.acked));
                EXPECT_EQ(a.stage, stage);
                expect_agreed(up, a.client, a.backend);
                expect_agreed(down, a.backend, a.client);
                EXPECT_EQ(a.client.state, expected_state(up, down));
                EXPECT_EQ(a.backend.state, expected_state(down, up));
                if (HasFailure()) return;
            }
}

// It does not matter how often it is done.
TEST(Align, TwiceIsOnce) {
    for (const Stream& up : streams())
        for (const Stream& down : streams()) {
            const RelayState once = align(state_of(up, down, RelayStage::open));
            const RelayState twice = align(once);
            for (const auto& [x, y] : {std::pair(&once.client, &twice.client),
                                       std::pair(&once.backend, &twice.backend)}) {
                EXPECT_EQ(x->state, y->state);
                EXPECT_EQ(x->flags, y->flags);
                EXPECT_EQ(x->rcv_nxt, y->rcv_nxt);
                EXPECT_EQ(x->snd_una, y->snd_una);
            }
        }
}

// What lay between the ends is forgotten (TLS made other octets of the same stream): each knows
// where it ended.
TEST(Align, WhatIsOverStandsWhereItEnded) {
    const Stream ended{100, 100, true, true, true};
    RelayState s = state_of(ended, ended, RelayStage::closing);
    s.client.rcv_nxt = s.client.rcv_nxt + 4000;
    const RelayState a = align(s);
    EXPECT_EQ(a.client.rcv_nxt, s.client.rcv_nxt);
    EXPECT_EQ(a.client.state, TcpState::time_wait);
    EXPECT_EQ(a.backend.state, TcpState::time_wait);
}

// The two blocks are one end's each: one may know of less than the other.
TEST(Align, OneSideThatIsBehindIsBelieved) {
    RelayState s = state_of({.received = 1000, .acked = 1000}, {}, RelayStage::open);
    s.client.rcv_nxt = s.client.irs + 1 + 10;  // and knows only of ten
    const RelayState a = align(s);
    EXPECT_EQ(a.client.rcv_nxt, a.client.irs + 1 + 1000);
}

// Of two records of one session one is behind, unless they tell the same.
TEST(Align, WhatIsBehind) {
    const auto at = [](const Stream& up, const Stream& down, RelayStage stage) {
        return align(state_of(up, down, stage));
    };
    const Stream none, half{100, 50}, all{100, 100}, ended{100, 100, true, true, true},
        ending{100, 100, true, true, false};
    const RelayState history[] = {
        at(none, none, RelayStage::opening),   at(none, none, RelayStage::committing),
        at(half, none, RelayStage::open),      at(half, all, RelayStage::open),
        at(all, all, RelayStage::open),        at(ending, all, RelayStage::open),
        at(ended, all, RelayStage::open),      at(ended, ending, RelayStage::open),
        at(ended, ended, RelayStage::closing),
    };
    for (const RelayState& a : history)
        for (const RelayState& b : history)
            EXPECT_EQ(is_behind(a, b), &a < &b) << &a - history << " " << &b - history;
    // The backend's side begins again in both.
    EXPECT_FALSE(is_behind(history[0], at(half, none, RelayStage::connecting)));
}

// Before the backend's side is agreed it begins again, whatever was received meanwhile.
// Of TLS sessions: a progress older than the header takes the backend from it, and nothing else;
// one that knows the backend keeps it, for it moved on since.
TEST(Align, TheHeaderTellsWhatWasAgreedAfterTheProgress) {
    const Stream none, some{.received = 100, .acked = 40};
    for (const RelayStage stage : {RelayStage::committing, RelayStage::open}) {
        const RelayState header = state_of(none, none, stage);
        RelayState progress = state_of(some, none, RelayStage::connecting);
        progress.backend = {};
        const RelayState both = with_backend_of(progress, header);
        EXPECT_EQ(both.stage, stage);
        EXPECT_EQ(both.backend.iss, header.backend.iss);
        EXPECT_EQ(both.backend.irs, header.backend.irs);
        EXPECT_EQ(both.client.rcv_nxt, progress.client.rcv_nxt);

        progress = state_of(some, none, RelayStage::open);
        EXPECT_EQ(with_backend_of(progress, header).stage, RelayStage::open);
        EXPECT_EQ(with_backend_of(progress, header).backend.snd_una, progress.backend.snd_una);
    }
    const RelayState before = state_of(none, none, RelayStage::connecting);
    EXPECT_EQ(with_backend_of(before, before).stage, RelayStage::connecting);
}

TEST(Align, BeforeTheBackendIsAgreedItBeginsAgain) {
    for (const RelayStage stage : {RelayStage::opening, RelayStage::connecting}) {
        const RelayState a =
            align(state_of({.received = 500, .fin_received = true, .fin_queued = true}, {}, stage));
        EXPECT_EQ(a.stage, RelayStage::opening);
        EXPECT_EQ(a.client.state, TcpState::syn_received);
        EXPECT_EQ(a.client.rcv_nxt, a.client.irs + 1);
        EXPECT_EQ(a.client.snd_una, a.client.iss);
        EXPECT_EQ(a.client.snd_nxt, a.client.iss + 1);
        EXPECT_FALSE(a.client.has(Tcb::fin_received | Tcb::peer_closed_told));
        EXPECT_EQ(a.backend.state, TcpState::closed);
        EXPECT_EQ(a.backend.flags, 0u);
    }
}

}  // namespace
}  // namespace holdfast
