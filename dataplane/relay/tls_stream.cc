#include "dataplane/relay/tls_stream.h"

#include <algorithm>

namespace holdfast {
namespace {

using C = TlsStreamCounters;
constexpr CounterInfo<C> kTable[] = {
    {"handshakes", "Handshakes completed, resumed ones included.", &C::handshakes},
    {"handshakes_resumed", "Handshakes that resumed a session.", &C::resumed},
    {"handshakes_failed", "Handshakes that failed.", &C::handshakes_failed},
    {"handshakes_overloaded", "Clients turned away because too many handshakes waited.",
     &C::overloaded},
    {"sessions_refused",
     "Clients turned away at their ClientHello because worker.tls_sessions live ones were here.",
     &C::no_room},
    {"records_cut", "Records of ours begun.", &C::cuts},
    {"records_recut", "Records sealed again after an adoption.", &C::recut},
    {"alerts_sent", "Alerts of ours, close_notify included.", &C::alerts_sent},
    {"early_acknowledged", "Parts of records acknowledged to their senders before the whole came.",
     &C::early_acknowledged},
    {"sessions_unprovable", "Sessions reset because where writing stood could not be proven.",
     &C::unprovable},
};

constexpr size_t kInLimit = 96 * 1024;   // ciphertext that waits: a few records
constexpr size_t kOutLimit = 96 * 1024;  // plaintext likewise
// A record ends with its segment and is of use at once. More is not only slower to be of use: an
// adopter needs the whole of a record's plaintext again before it may acknowledge any of it, and a
// backend whose congestion window fell to one segment sends no second one before that. Below any
// MSS that wake_senders() leaves (1,280 octets of IPv6 packet, 72 of headers).
constexpr size_t kRecord = 1'200;
// Of the handshake's last flight, and of the names in TlsClientFacts beside the longest of these.
constexpr size_t kMaxTail = 1'024 - kMaxTlsRecordState - 8;
constexpr size_t kMaxNames = TlsStream::kMaxCredential - 1'024 - 6;
// A client that has more to send and may goes on within this.
constexpr Duration kPatience = Duration::milliseconds(2);

void drop_front(std::vector<std::byte>& bytes, size_t n) {
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(n));
}

// It is established, or was and came to its end.
bool has_stream(const TcpEndpoint& e) {
    const Tcb& t = e.state();
    const bool ended =
        t.state == TcpState::closed && t.has(Tcb::fin_queued) && t.snd_una > t.fin_seq;
    return ended || t.state >= TcpState::established;
}

// Octets of our stream to the backend that it has acknowledged, a FIN among them.
uint32_t acknowledged_by(const TcpEndpoint& backend) {
    const Tcb& t = backend.state();
    if (!has_stream(backend)) return 0;
    return static_cast<uint32_t>(t.snd_una - (t.iss + 1));
}

// As much as others can be told of: what names the client comes first.
TlsClientFacts facts_of(const TlsDetached& d, size_t room) {
    TlsClientFacts f{!d.client_subject.empty(), d.resumed, {}, {}, {}};
    const auto take = [&](std::string& to, std::string from) {
        if (from.size() > std::min<size_t>(room, 255)) return;
        room -= from.size();
        to = std::move(from);
    };
    take(f.common_name, common_name_of(d.client_subject));
    take(f.protocol, d.alpn);
    take(f.server_name, d.sni);
    return f;
}

}  // namespace

const std::span<const CounterInfo<TlsStreamCounters>> kTlsStreamCounters = kTable;

TlsStream::TlsStream(TlsShared& shared, std::shared_ptr<const TlsContext> context, uint64_t token,
                     uint16_t service)
    : shared_(shared),
      token_(token),
      task_(std::make_unique<HandshakeTask>(token, context)),
      wish_(service, context->options().resume_wait) {}

void TlsStream::on_client_bytes(Bytes bytes) {
    if (alert_ || client_closed_) {  // after our fatal alert, or its close_notify
        in_start_ = in_start_ + static_cast<uint32_t>(bytes.size());
        return;
    }
    in_.insert(in_.end(), bytes.begin(), bytes.end());
}

void TlsStream::on_backend_bytes(Bytes bytes) {
    out_.insert(out_.end(), bytes.begin(), bytes.end());
}

uint32_t TlsStream::client_room() const {
    return static_cast<uint32_t>(kInLimit - std::min(kInLimit, in_.size()));
}
uint32_t TlsStream::backend_room() const {
    return static_cast<uint32_t>(kOutLimit - std::min(kOutLimit, out_.size()));
}

void TlsStream::advance(TcpEndpoint& client, TcpEndpoint& backend, Instant now) {
    if (phase_ == Phase::handshake) start_step(now);
    if (phase_ != Phase::records) return;
    if (write_preface(backend)) {
        open_records(backend, now);
        take_end(backend);
    }
    drain_openings(backend);
    hold_early(now);
    drain_cuts(client, backend);
    recut(client);
    hold_plain(now);
    cut_records(client);
    close_towards_client(client);
}

// ---- The handshake
// ---------------------------------------------------------------------------------------------

void TlsStream::start_step(Instant now) {
    if (!task_ || in_.empty()) return;
    // Room for its keys, before a handshake is spent on it.
    if (!initial_) initial_ = SecretPtr<TlsRecordState>(shared_.states);
    if (!initial_) {
        ++shared_.counters.no_room;
        phase_ = Phase::failed;
        return;
    }
    if (!wish_.settle(in_, shared_.wishes, *task_, now)) return;
    task_->input.assign(in_.begin(), in_.end());
    task_->output.clear();
    if (shared_.handshakes.submit(task_)) {
        ++shared_.outstanding;
        return;
    }
    ++shared_.counters.overloaded;
    phase_ = Phase::failed;
}

void TlsStream::on_handshake(std::unique_ptr<HandshakeTask> task, TcpEndpoint& client) {
    drop_front(in_, std::min(task->consumed, in_.size()));
    in_start_ = in_start_ + static_cast<uint32_t>(task->consumed);
    switch (task->status) {
        case TlsHandshakeStatus::want_more:
            client.write(task->output);
            client.allow_ack(in_start_);
            task_ = std::move(task);
            return;
        case TlsHandshakeStatus::done:
            return finish_handshake(*task, client);
        case TlsHandshakeStatus::failed:
            ++shared_.counters.handshakes_failed;
            client.allow_all_acks();
            client.write(task->output);
            client.shutdown();
            phase_ = Phase::failed;
            return;
    }
}

// From here on everything is held elsewhere before it leaves, beginning with our last flight.
void TlsStream::finish_handshake(HandshakeTask& task, TcpEndpoint& client) {
    const TlsRecordState& state = *task.detached->state;
    layer_ = TlsRecordLayer::make(shared_.records, state);
    if (!layer_ || task.output.size() > kMaxTail) {
        ++shared_.counters.handshakes_failed;
        phase_ = Phase::failed;
        client.shutdown();
        return;
    }
    *initial_ = state;
    facts_ = facts_of(*task.detached, kMaxNames + kMaxTail - task.output.size());
    ++shared_.counters.handshakes;
    shared_.counters.resumed += task.detached->resumed;
    phase_ = Phase::records;
    tail_ = task.output;
    tail_start_ = client.write_position();
    client.allow_send(tail_start_);
    client.write(tail_);
    cut_start_ = cuts_end_ = client.write_position();
    cut_name_ = layer_->next_tx();
    point_.client = in_start_;
    point_.rx = layer_->progress();
    noted_ = {tail_start_, in_start_ - 1};  // nothing of what follows is held anywhere yet
}

// ---- From the client to the backend
// ------------------------------------------------------------------------------------

// Whether it is on its way, or the backend has it.
bool TlsStream::write_preface(TcpEndpoint& backend) {
    if (preface_.empty()) return true;
    if (backend.write_room() < preface_.size()) return false;
    // Another node may have sent it already; the backend says how much.
    const auto known = static_cast<uint32_t>(backend.write_position() - (backend.state().iss + 1));
    backend.write(Bytes(preface_).subspan(std::min<size_t>(known, preface_.size())));
    written_ = preface_size_;
    preface_.clear();
    return true;
}

void TlsStream::open_records(TcpEndpoint& backend, Instant now) {
    while (!alert_ && !client_closed_) {
        const auto size = tls_record_size(in_);
        if (!size) return fail(size.error());
        if (!*size || in_.size() < **size) return;
        if (backend.write_room() < **size) return;  // its plaintext is smaller
        if (!open_one(**size, backend, now)) return;
    }
}

bool TlsStream::open_one(size_t size, TcpEndpoint& backend, Instant now) {
    const Bytes record = Bytes(in_).first(size);
    const auto opened = layer_->open({&record, 1}, shared_.scratch, now);
    drop_front(in_, size);
    in_start_ = in_start_ + static_cast<uint32_t>(size);
    if (!opened) {
        fail(opened.error());
        return false;
    }
    switch (opened->event) {
        case TlsEvent::data: {
            // Another node may have sent part of it already; the backend says how much.
            const uint32_t known =
                static_cast<uint32_t>(backend.write_position() - (backend.state().iss + 1)) -
                written_;
            const size_t skip = std::min<size_t>(known, opened->data.size());
            backend.write(opened->data.subspan(skip));
            written_ += static_cast<uint32_t>(opened->data.size());
            break;
        }
        case TlsEvent::close_notify:
            client_closed_ = true;
            backend.shutdown();
            break;
        case TlsEvent::fatal_alert:
            phase_ = Phase::failed;
            return false;
        case TlsEvent::renegotiation_refused:
            alert_ = TlsAlert::no_renegotiation;
            break;
        case TlsEvent::key_update:
        case TlsEvent::none:
            break;
    }
    note_opening();
    return true;
}

void TlsStream::note_opening() {
    Point p;
    p.client = in_start_;
    p.shut = client_closed_;
    p.prefaced = true;
    p.backend = written_ + (client_closed_ ? 1 : 0);
    p.rx = layer_->progress();
    openings_.push_back(p);
}

// The client's FIN, with or without a close_notify before it: the backend's stream ends too.
void TlsStream::take_end(TcpEndpoint& backend) {
    if (!client_fin_ || shut_backend_ || !has_stream(backend)) return;
    const auto size = tls_record_size(in_);
    if (size && *size && in_.size() >= **size && !alert_ && !client_closed_) return;
    shut_backend_ = true;
    backend.shutdown();
    Point p;
    p.client = in_start_ + static_cast<uint32_t>(in_.size()) + 1;
    p.backend = written_ + 1;
    p.fin = p.shut = p.prefaced = true;
    p.rx = layer_->progress();
    openings_.push_back(p);
}

void TlsStream::drain_openings(const TcpEndpoint& backend) {
    const uint32_t acknowledged = acknowledged_by(backend);
    while (!openings_.empty() &&
           static_cast<int32_t>(acknowledged - openings_.front().backend) >= 0) {
        point_ = openings_.front();
        openings_.pop_front();
        early_.clear();
    }
}

// Nothing but the rest of this record can be acknowledged, and it does not come: the client's
// window is smaller than its record.
void TlsStream::hold_early(Instant now) {
    const auto size = tls_record_size(in_);
    const bool partial = size && (!*size || in_.size() < **size);
    const bool waits =
        partial && openings_.empty() && !alert_ && !client_fin_ && in_.size() > early_.size();
    if (!waits) {
        early_at_ = Instant::max();
        return;
    }
    if (early_at_ == Instant::max() || in_.size() != early_seen_) {
        early_seen_ = in_.size();
        early_at_ = now + kPatience;
        return;
    }
    if (now < early_at_) return;
    early_ = in_;
    early_at_ = Instant::max();
    ++shared_.counters.early_acknowledged;
}

// ---- From the backend to the client
// ------------------------------------------------------------------------------------

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

size_t TlsStream::record_limit() const { return std::min(layer_->max_fragment(), kRecord); }

void TlsStream::drain_cuts(const TcpEndpoint& client, TcpEndpoint& backend) {
    const SeqNum una = client.state().snd_una;
    while (!cuts_.empty() && cut_start_ + wire_size(cuts_.front()) <= una) pop_cut(backend);
    if (una > cuts_end_ + 1) {  // more than anybody can have sent
        ++shared_.counters.unprovable;
        phase_ = Phase::failed;
        return;
    }
    if (!has_stream(backend)) return;
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
            drop_front(out_, size);
        } else {
            out_.clear();
            backend.advance_receive(backend.state().irs + 1 + cut_offset_ + size);
        }
    }
    cut_start_ = cut_start_ + wire_size(c);
    cut_offset_ += size;
    plain_.clear();
    cut_name_ = name_after(cut_name_, c);
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
        if (out_.size() < stream_size(c) || client.write_room() < wire_size(c)) return;
        ++shared_.counters.recut;
        seal_next(client);
    }
}

// The first record that was cut elsewhere cannot be sealed, and the rest of its plaintext does not
// come: nothing of it was acknowledged, and the backend's window is smaller.
void TlsStream::hold_plain(Instant now) {
    const bool waits = !cuts_.empty() && sealed_ == 0 && out_.size() > plain_.size() &&
                       out_.size() < stream_size(cuts_.front());
    if (!waits) {
        plain_at_ = Instant::max();
        return;
    }
    if (plain_at_ == Instant::max() || out_.size() != plain_seen_) {
        plain_seen_ = out_.size();
        plain_at_ = now + kPatience;
        return;
    }
    if (now < plain_at_) return;
    plain_ = out_;
    plain_at_ = Instant::max();
    ++shared_.counters.early_acknowledged;
}

void TlsStream::cut_records(TcpEndpoint& client) {
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
        const auto size = static_cast<uint16_t>(std::min(out_.size(), record_limit()));
        if (client.write_room() < layer_->sealed_size(size)) return;
        if (!cut(TlsContentType::application_data, size, layer_->reserve(size), client)) return;
    }
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
    SeqNum start = cut_start_;
    TlsRecordName name = cut_name_;
    for (size_t i = 0; i < sealed_; ++i) {
        start = start + wire_size(cuts_[i]);
        name = name_after(name, cuts_[i]);
    }
    const Cut& c = cuts_[sealed_];
    const auto alert = tls_alert_message(static_cast<TlsAlert>(c.value));
    const auto update = tls_key_update_message(false);
    Bytes plain = Bytes(out_).first(stream_size(c));
    if (c.type == TlsContentType::alert) plain = alert;
    if (c.type == TlsContentType::handshake) plain = update;
    const auto size = layer_->seal(name, c.type, {&plain, 1}, shared_.scratch);
    if (!size) {
        ++shared_.counters.unprovable;
        phase_ = Phase::failed;
        return;
    }
    write_at(client, start, Bytes(shared_.scratch).first(*size));
    drop_front(out_, stream_size(c));
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

void TlsStream::fail(TlsAlert alert) {
    alert_ = alert;
    in_start_ = in_start_ + static_cast<uint32_t>(in_.size());
    in_.clear();
    early_.clear();
}

// ---- What is held elsewhere
// -------------------------------------------------------------------------------------------

TlsMarks TlsStream::marks() const {
    const SeqNum early = point_.client + static_cast<uint32_t>(early_.size());
    return {cuts_end_ + (closing_ ? 1u : 0u), early, plain_.empty() ? 0 : backend_acknowledged()};
}

bool TlsStream::wants_commit() const { return phase_ == Phase::records && marks() != noted_; }

}  // namespace holdfast
