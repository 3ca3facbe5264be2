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
    {"early_taken_back",
     "Adopted sessions where no node had the newest parts of records acknowledged early: unless "
     "more nodes were lost than copies allow, nobody was told of those, and they come again.",
     &C::early_taken_back},
    {"sessions_unprovable", "Sessions reset because where writing stood could not be proven.",
     &C::unprovable},
    {"sessions_octets_lost",
     "Adopted sessions reset because a peer had been told that octets arrived which no node had.",
     &C::octets_lost},
};

constexpr size_t kInLimit = 96 * 1024;   // ciphertext that waits: a few records
constexpr size_t kOutLimit = 96 * 1024;  // plaintext likewise
// Of the handshake's last flight, and of the names in TlsClientFacts beside the longest of these.
constexpr size_t kMaxTail = 1'024 - kMaxTlsRecordState - 8;
constexpr size_t kMaxNames = TlsStream::kMaxCredential - 1'024 - 6;

// Octets of our stream to the backend that it has acknowledged, a FIN among them.
uint32_t acknowledged_by(const TcpEndpoint& backend) {
    const Tcb& t = backend.state();
    if (!backend.has_stream()) return 0;
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
    in_.append(bytes);
    lacks_record_ = false;
}

void TlsStream::on_backend_bytes(Bytes bytes) {
    out_.append(bytes);
    lacks_text_ = false;
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
    cut_records(client, now);
    close_towards_client(client);
    give_up_gaps(client, backend, now);
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
    if (!wish_.settle(in_.view(), shared_.wishes, *task_, now)) return;
    const Bytes said = in_.view();
    task_->input.assign(said.begin(), said.end());
    task_->output.clear();
    if (shared_.handshakes.submit(task_)) {
        ++shared_.outstanding;
        return;
    }
    ++shared_.counters.overloaded;
    phase_ = Phase::failed;
}

void TlsStream::on_handshake(std::unique_ptr<HandshakeTask> task, TcpEndpoint& client) {
    in_.drop_front(std::min(task->consumed, in_.size()));
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
    seal_start_ = cut_start_;
    cut_name_ = seal_name_ = layer_->next_tx();
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
        const auto size = tls_record_size(in_.view());
        if (!size) return fail(size.error());
        if (!*size || in_.size() < **size) return;
        if (backend.write_room() < **size) return;  // its plaintext is smaller
        if (!open_one(**size, backend, now)) return;
    }
}

bool TlsStream::open_one(size_t size, TcpEndpoint& backend, Instant now) {
    const Bytes record = in_.view().first(size);
    const auto opened = layer_->open({&record, 1}, shared_.scratch, now);
    in_.drop_front(size);
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
            end_backend(backend);
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
    if (!client_fin_ || shut_backend_ || !backend.has_stream()) return;
    const auto size = tls_record_size(in_.view());
    if (size && *size && in_.size() >= **size && !alert_ && !client_closed_) return;
    shut_backend_ = true;
    end_backend(backend);
    Point p;
    p.client = in_start_ + static_cast<uint32_t>(in_.size()) + 1;
    p.backend = written_ + 1;
    p.fin = p.shut = p.prefaced = true;
    p.rx = layer_->progress();
    openings_.push_back(p);
}

void TlsStream::end_backend(TcpEndpoint& backend) {
    backend.shutdown_at(backend.state().iss + 1 + written_);
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
    const auto size = tls_record_size(in_.view());
    const bool partial = size && (!*size || in_.size() < **size);
    const bool waits =
        partial && openings_.empty() && !alert_ && !client_fin_ && in_.size() > early_.size();
    if (!early_wait_.is_over(waits, in_.size(), payload_.is_held(), now)) return;
    const Bytes part = in_.view();
    early_.assign(part.begin(), part.end());
    note_payload();
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
    return {cuts_end_ + (closing_ ? 1u : 0u), early, plain_.empty() ? 0 : backend_acknowledged(),
            payload_.turn()};
}

bool TlsStream::wants_commit() const { return phase_ == Phase::records && marks() != noted_; }

}  // namespace holdfast
