// From the backend to the client: records are cut, sealed, and kept in mind until the client has
// them.
#include <algorithm>

#include "dataplane/relay/tls_stream.h"

namespace holdfast {
namespace {

// A record ends with its segment and is of use at once: so at the beginning, and after a pause,
// when a client waits for the first of it and congestion windows are small. Below any MSS that
// wake_senders() leaves (1,280 octets of IPv6 packet, 72 of headers).
constexpr size_t kSmallRecord = 1'200;
// Then as large as what waits.
constexpr uint32_t kSmallUntil = 64 * 1024;
constexpr Duration kPause = Duration::seconds(1);

}  // namespace

size_t TlsStream::plain_size(const Cut& c) const {
    switch (c.type) {
        case TlsContentType::alert:
            return tls_alert_message({}).size();
        case TlsContentType::handshake:
            return tls_key_update_message(false).size();
        case TlsContentType::application_data:
        case TlsContentType::change_cipher_spec:
            break;
    }
    return c.value;
}

uint32_t TlsStream::wire_size(const Cut& c) const {
    return static_cast<uint32_t>(layer_->sealed_size(plain_size(c)));
}

uint32_t TlsStream::stream_size(const Cut& c) {
    return c.type == TlsContentType::application_data ? c.value : 0;
}

TlsRecordName TlsStream::name_after(TlsRecordName name, const Cut& c) {
    if (c.type == TlsContentType::handshake) return {name.generation + 1, 0};
    return {name.generation, name.sequence + 1};
}

size_t TlsStream::record_limit(Instant now) {
    if (now - cut_at_ >= kPause) cut_since_pause_ = 0;
    return std::min(layer_->max_fragment(),
                    cut_since_pause_ < kSmallUntil ? kSmallRecord : kTlsMaxPlaintext);
}

void TlsStream::drain_cuts(const TcpEndpoint& client, TcpEndpoint& backend) {
    const SeqNum una = client.state().snd_una;
    while (!cuts_.empty() && cut_start_ + wire_size(cuts_.front()) <= una) pop_cut(backend);
    if (una > cuts_end_ + 1) {  // more than anybody can have sent
        ++shared_.counters.unprovable;
        phase_ = Phase::failed;
        return;
    }
    if (!backend.has_stream()) return;
    const Tcb& t = client.state();
    const bool all = closing_ && t.has(Tcb::fin_queued) && una > t.fin_seq;
    backend.allow_ack(all ? backend.state().rcv_nxt : backend.state().irs + 1 + cut_offset_);
}

void TlsStream::pop_cut(TcpEndpoint& backend) {
    const Cut c = cuts_.front();
    const uint32_t size = stream_size(c);
    if (sealed_ > 0) {
        --sealed_;
    } else if (size > 0) {
        // Another node had sent it, and the client has it: the backend's octets are of no more use.
        if (out_.size() >= size) {
            out_.drop_front(size);
        } else {
            out_.clear();
            backend.advance_receive(backend.state().irs + 1 + cut_offset_ + size);
        }
    }
    cut_start_ = cut_start_ + wire_size(c);
    cut_offset_ += size;
    plain_.clear();
    lacks_text_ = false;
    cut_name_ = name_after(cut_name_, c);
    if (cut_start_ > seal_start_) {
        seal_start_ = cut_start_;
        seal_name_ = cut_name_;
    }
    cuts_.pop_front();
    if (layer_->progress().has_previous && cut_name_.generation == layer_->progress().tx_generation)
        layer_->drop_previous();
}

// After an adoption: the records that were cut elsewhere, from the same plaintext.
void TlsStream::recut(TcpEndpoint& client) {
    if (!tail_written_) {
        tail_written_ = true;
        write_at(client, tail_start_, tail_);
    }
    while (sealed_ < cuts_.size()) {
        const Cut& c = cuts_[sealed_];
        // Of the first the client may have acknowledged some already.
        const auto known =
            static_cast<uint32_t>(std::max(client.write_position() - seal_start_, 0));
        const uint32_t rest = wire_size(c) - std::min(known, wire_size(c));
        if (out_.size() < stream_size(c) || client.write_room() < rest) return;
        ++shared_.counters.recut;
        seal_next(client);
    }
}

// The first record that was cut elsewhere cannot be sealed, and the rest of its plaintext does not
// come: nothing of it was acknowledged, and the backend's window is smaller.
void TlsStream::hold_plain(Instant now) {
    const bool waits = !cuts_.empty() && sealed_ == 0 && out_.size() > plain_.size() &&
                       out_.size() < stream_size(cuts_.front());
    if (!plain_wait_.is_over(waits, out_.size(), payload_.is_held(), now)) return;
    const Bytes part = out_.view();
    plain_.assign(part.begin(), part.end());
    note_payload();
}

void TlsStream::cut_records(TcpEndpoint& client, Instant now) {
    if (phase_ != Phase::records || sealed_ < cuts_.size()) return;
    if (alert_ && !closing_) {
        const bool passing = is_passing(*alert_);
        if (cut(TlsContentType::alert, static_cast<uint16_t>(*alert_),
                layer_->reserve_alert(*alert_), client)) {
            ++shared_.counters.alerts_sent;
            closing_ = !passing;
            if (passing) alert_.reset();
        }
    }
    if (!closing_ && layer_->key_update_due())
        cut(TlsContentType::handshake, 0, layer_->reserve_key_update(), client);
    while (!closing_ && !out_.empty() && cuts_.size() < kMaxCuts) {
        const size_t size = next_record(client.write_room(), now);
        if (size == 0 || !cut(TlsContentType::application_data, static_cast<uint16_t>(size),
                              layer_->reserve(size), client))
            return;
        cut_at_ = now;
        cut_since_pause_ =
            std::min<uint32_t>(cut_since_pause_ + static_cast<uint32_t>(size), 1u << 30);
    }
}

// Of what waits; none when there is too little room to begin one.
size_t TlsStream::next_record(size_t room, Instant now) {
    const size_t most = std::min(out_.size(), record_limit(now));
    if (room >= layer_->sealed_size(most)) return most;
    const size_t overhead = layer_->sealed_size(most) - most;
    return room >= kSmallRecord + overhead ? std::min(most, room - overhead) : 0;
}

bool TlsStream::cut(TlsContentType type, uint16_t value,
                    std::expected<TlsRecordName, TlsRefusal> name, TcpEndpoint& client) {
    if (!name) {
        if (name.error() == TlsRefusal::wait) return false;
        phase_ = Phase::failed;  // the key has served its time and cannot be changed
        return false;
    }
    cuts_.push_back({type, value});
    ++shared_.counters.cuts;
    cuts_end_ = cuts_end_ + wire_size(cuts_.back());
    seal_next(client);
    return true;
}

// Seals the first cut that is not, from the front of out_.
void TlsStream::seal_next(TcpEndpoint& client) {
    const Cut& c = cuts_[sealed_];
    const auto alert = tls_alert_message(static_cast<TlsAlert>(c.value));
    const auto update = tls_key_update_message(false);
    Bytes plain = out_.view().first(stream_size(c));
    if (c.type == TlsContentType::alert) plain = alert;
    if (c.type == TlsContentType::handshake) plain = update;
    const auto size = layer_->seal(seal_name_, c.type, {&plain, 1}, shared_.scratch);
    if (!size) {
        ++shared_.counters.unprovable;
        phase_ = Phase::failed;
        return;
    }
    write_at(client, seal_start_, Bytes(shared_.scratch).first(*size));
    seal_start_ = seal_start_ + static_cast<uint32_t>(*size);
    seal_name_ = name_after(seal_name_, c);
    out_.drop_front(stream_size(c));
    ++sealed_;
}

// What stands before the client's stream goes on there was acknowledged already.
void TlsStream::write_at(TcpEndpoint& client, SeqNum position, Bytes bytes) {
    const int32_t known = client.write_position() - position;
    if (known < 0 ||
        (known < static_cast<int32_t>(bytes.size()) &&
         client.write(bytes.subspan(static_cast<size_t>(known))) + known != bytes.size())) {
        ++shared_.counters.unprovable;
        phase_ = Phase::failed;
    }
}

// RFC 8446 section 6.1: close_notify, then FIN.
void TlsStream::close_towards_client(TcpEndpoint& client) {
    if (phase_ != Phase::records || sealed_ < cuts_.size()) return;
    if (backend_fin_ && out_.empty() && !closing_ &&
        cut(TlsContentType::alert, static_cast<uint16_t>(TlsAlert::close_notify),
            layer_->reserve_alert(TlsAlert::close_notify), client)) {
        closing_ = true;
        ++shared_.counters.alerts_sent;
    }
    if (closing_ && (backend_fin_ || alert_)) client.shutdown();
}

}  // namespace holdfast
