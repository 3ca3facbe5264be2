// Sessions that clients resume by their identifier: from handshakes to whoever keeps them, and
// back.
#include "dataplane/relay/relay.h"

namespace holdfast {
// Before the handshake's last flight is published: what is sent first is held first.
void Relay::keep_sessions(const RelaySession& s, HandshakeTask& task, Instant now) {
    if (!task.detached || !options_.sessions) return;
    for (TlsSession& session : task.detached->sessions) {
        session.service = forwarder_.sessions().get(s.index)->service;
        options_.sessions->on_new_session(session, now);
    }
    task.detached->sessions.clear();  // wiped
}

void Relay::on_resumable(const TlsSessionId* id) {
    if (!tls_) return;
    tls_->wishes.wake(id, [this](uint64_t token) {
        const SessionIndex index = SessionIndex::from_packed(token);
        if (find(index)) touch(index);
    });
}

}  // namespace holdfast
