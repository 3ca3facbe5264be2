// What comes for sessions whose TCP terminates here, or would.
#include "dataplane/worker.h"

namespace holdfast {

void Worker::relay(const Frame& frame, const Step& step, Instant now) {
    if (step.stateless) return answer_syn(frame, step, now);
    if (step.created && replicator_.gate().room() == 0) [[unlikely]] {
        ++counters_.pushed_back;
        forwarder_.drop(step.session, now);
        return;
    }
    relay_->on_frame(step, frame, now);
}

// Reveals nothing: whoever holds the group when the client answers can check it.
void Worker::answer_syn(const Frame& frame, const Step& step, Instant now) {
    if (!may_transmit_[step.group.value]) return void(++counters_.held_silent);
    std::array<std::byte, 128> buffer;
    const size_t size = relay_->answer_syn(Bytes(frame.data, frame.length), buffer, now);
    if (size > 0) outlet_.transmit(Side::front, Bytes(buffer).first(size));
}

bool Worker::secrets_are_locked() const {
    const TlsShared* tls = relay_ ? relay_->tls_shared() : nullptr;
    const auto is_locked = [](SecretProtection p) { return p != SecretProtection::unlocked; };
    return is_locked(replicator_.store().protection()) &&
           (!tls ||
            (is_locked(tls->records.arena().protection()) && is_locked(tls->states.protection())));
}

void Worker::on_relay_finished(SessionIndex index, Instant now) {
    takeover_.publish_finished(index, now);
}

void Worker::on_relay_copies(SessionIndex index, Instant now) {
    takeover_.publish_copies(index, now);
}

// With a full gate the session would find no room to be told of: as with a SYN.
bool Worker::accept_cookie(const Frame& frame, const Step& step, Instant now) {
    return relay_ && step.direction == Direction::from_client && replicator_.gate().room() > 0 &&
           relay_->accept_cookie(Bytes(frame.data, frame.length), now);
}

}  // namespace holdfast
