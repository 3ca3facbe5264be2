// Relayed sessions that terminate TLS: what differs from passing bytes on.
#include "dataplane/relay/align.h"
#include "dataplane/relay/relay.h"

namespace holdfast {

const TlsStream* Relay::tls(SessionIndex index) const {
    return has(index) ? sessions_[index.slot]->tls.get() : nullptr;
}

TlsPayload* Relay::tls_payload(SessionIndex index) {
    RelaySession* s = find(index);
    return s && s->tls ? s->tls->payload() : nullptr;
}

bool Relay::publishable(SessionIndex index) const {
    return has(index) && (!sessions_[index.slot]->tls || sessions_[index.slot]->is_protected);
}

bool Relay::poll_handshakes(Instant now) {
    if (!tls_) return false;
    bool any = false;
    while (auto task = tls_->handshakes.poll()) {
        --tls_->outstanding;
        const SessionIndex index = SessionIndex::from_packed(task->token);
        RelaySession* s = find(index);
        if (!s || !s->tls) continue;  // it went away meanwhile
        keep_sessions(*s, *task, now);
        s->tls->on_handshake(std::move(task), s->client);
        touch(index);
        any = true;
    }
    return any;
}

void Relay::step_tls(RelaySession& s, Instant now) {
    TlsStream& tls = *s.tls;
    tls.advance(s.client, s.backend, now);
    s.client.set_receive_room(tls.client_room());
    if (tls.phase() == TlsStream::Phase::failed) {
        // A failed handshake says so to the client; anything later ends at once.
        const bool told = s.stage == RelayStage::opening && s.client.state().has(Tcb::fin_queued);
        const TcpState state = s.client.state().state;
        s.failed = !told || state == TcpState::closed || state == TcpState::fin_wait_2;
        return;
    }
    if (tls.phase() != TlsStream::Phase::records) return;
    if (s.stage == RelayStage::opening) {
        forwarder_.set_state(s.index, SessionState::established, now);
        if (!s.is_protected) begin_preface(s);
        connect(s, now);
    }
    s.backend.set_receive_room(tls.backend_room());
    commit_tls(s, now);
}

void Relay::commit_tls(RelaySession& s, Instant now) {
    if (!s.tls->wants_commit() || s.commits == RelaySession::kMaxCommits) return;
    const TlsMarks marks = s.tls->marks();
    const bool first = !s.is_protected;
    s.is_protected = true;
    s.pending[s.serial % RelaySession::kMaxCommits] = marks;
    if (!events_.on_relay_commit(s.index, s.serial, first, now)) {
        s.is_protected = !first;
        return;
    }
    s.tls->note(marks);
    ++s.serial;
    ++s.commits;
}

void Relay::on_held(SessionIndex index, uint8_t serial) {
    RelaySession* s = find(index);
    if (!s || s->commits == 0) return;
    const TlsMarks& marks = s->pending[serial % RelaySession::kMaxCommits];
    --s->commits;
    s->client.allow_send(marks.send);
    s->client.allow_ack(marks.ack);
    if (s->tls) s->tls->on_held(marks);  // none: over meanwhile
    if (marks.held != 0) s->backend.allow_ack(s->backend.state().irs + 1 + marks.held);
    touch(index);
}

bool Relay::restore_tls(SessionIndex index, const RelayState& state, Bytes credential,
                        Bytes progress, std::span<const std::vector<std::byte>> payloads,
                        Instant now) {
    CHECK(tls_ && !has(index));
    auto tls = TlsStream::restore(*tls_, credential, progress, payloads);
    if (!tls) return false;
    if (tls->preface_size() > 0 &&
        !tls->set_preface(make_preface(*forwarder_.sessions().get(index), state.client, tls.get())))
        return false;
    RelaySession& s = begin(index, forwarder_.sessions().get(index)->client.address.is_v4());
    s.tls = std::move(tls);
    s.is_protected = true;
    carry_on(s, align_tls(state, *s.tls), now);
    s.client.allow_send(s.tls->marks().send);
    if (s.stage == RelayStage::opening) {
        forwarder_.set_state(index, SessionState::established, now);
        connect(s, now);
    }
    return true;
}

}  // namespace holdfast
