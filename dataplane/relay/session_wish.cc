#include "dataplane/relay/session_wish.h"

namespace holdfast {

bool SessionWishes::wait(const TlsSessionId& id, uint64_t token, Instant until, Instant now) {
    if (waiting_.size() >= kMaxWaiting)
        std::erase_if(waiting_, [&](const Waiting& w) { return w.until <= now; });
    if (waiting_.size() >= kMaxWaiting) return false;
    waiting_.push_back({id, token, until});
    return true;
}

bool SessionWish::settle(Bytes next, SessionWishes& wishes, HandshakeTask& task, Instant now) {
    if (over_ || !wishes.source()) return true;
    if (!wanted_ && !read(next, wishes)) return true;
    TlsSession session;
    const bool waited = until_ != Instant::max();
    switch (wishes.source()->find(*wanted_, service_, now, session)) {
        case TlsSessionAnswer::found:
            wishes.counters.came += waited;
            task.handshake.offer(std::move(session));
            return finish();
        case TlsSessionAnswer::none:
            return finish();
        case TlsSessionAnswer::pending:
            break;
    }
    if (waited) {
        if (now < until_) return false;
        ++wishes.counters.given_up;
        return finish();
    }
    if (patience_ <= Duration{} || !wishes.wait(*wanted_, task.token, now + patience_, now)) {
        ++wishes.counters.crowded;
        return finish();
    }
    until_ = now + patience_;
    ++wishes.counters.waited;
    wishes.source()->ask_peers(*wanted_, service_, now);
    return false;
}

// Whether there is something to look for now.
bool SessionWish::read(Bytes next, SessionWishes& wishes) {
    if (hello_.size() + next.size() > kMaxHello) return !finish();
    hello_.insert(hello_.end(), next.begin(), next.end());
    const auto info = parse_client_hello(hello_);
    if (info && !*info) return false;  // more is to come
    if (!info || (*info)->offers_tls13 || (*info)->sessions().empty()) return !finish();
    wanted_ = (*info)->identity[0];
    ++wishes.counters.named;
    return true;
}

bool SessionWish::finish() {
    hello_ = {};
    until_ = Instant::max();
    return over_ = true;
}

}  // namespace holdfast
