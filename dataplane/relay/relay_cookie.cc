// Clients that come while too many sessions are half open.
#include "dataplane/relay/relay_link.h"
#include "dataplane/relay/segment_frame.h"
#include "dataplane/tcp/syn_cookie.h"

namespace holdfast {
namespace {

// syn_cookie.h: a cookie is good for one to two periods of 64 s.
constexpr Duration kGood = Duration::seconds(128);

}  // namespace

size_t Relay::answer_syn(Bytes syn, MutableBytes to, Instant now) {
    const auto read = read_segment_frame(syn);
    if (!read) {
        ++counters_.unreadable;
        return 0;
    }
    const TcpTuple tuple = read->tuple();
    const Duration wall = now + options_.wall_offset - Instant{0};
    const uint32_t timestamp =
        timestamp_ms(now) + timestamp_offset(options_.secret, tuple, now, wall);
    const CookieAnswer answer =
        answer_with_cookie(client_config(read->ip.v4), {options_.secret, options_.secret}, tuple,
                           read->tcp, read->options, timestamp, wall);
    const size_t size = build_answer_frame(*read, answer.segment, answer.options, to);
    if (size == 0) return 0;
    ++counters_.cookies_sent;
    cookies_until_ = now + kGood;
    return size;
}

// The client has long been told that there is a session. Should we die before its backend is, the
// client's next segment proves the same to another node.
bool Relay::accept_cookie(Bytes ack, Instant now) {
    const auto read = read_segment_frame(ack);
    if (!read) return false;
    const TcpTuple tuple = read->tuple();
    const Duration wall = now + options_.wall_offset - Instant{0};
    const TcpSegment& segment = read->tcp;
    const bool v4 = read->ip.v4;
    const auto cookie = open_cookie(client_config(v4), {options_.secret, options_.secret}, tuple,
                                    segment, read->options, wall);
    if (!cookie) {
        if (now < cookies_until_) ++counters_.cookies_refused;
        return false;
    }
    TcpOptions seen;
    seen.mss = cookie->mss;
    seen.window_scale = cookie->window_scale;
    seen.sack_permitted = cookie->sack;
    seen.timestamps = read->options.timestamps;
    const auto index = forwarder_.open_proven(read->ethernet, read->ip, segment, seen, now);
    if (!index) return false;
    ++counters_.cookies_accepted;
    ++counters_.opened;
    RelaySession& s = begin(*index, v4);
    begin_tls(s);
    Link link(*this, s, Direction::from_client, now);
    s.client.accept_cookie(read->input(), *cookie,
                           {segment.ack - 1, timestamp_offset(options_.secret, tuple, now, wall)},
                           now, link);
    s.heard = true;
    touch(*index);
    return true;
}

}  // namespace holdfast
