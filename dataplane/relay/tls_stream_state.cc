// A stream's state as another node gets it: docs/protocol.md has the bytes.
#include <algorithm>

#include "dataplane/relay/tls_stream.h"

namespace holdfast {
namespace {

constexpr uint8_t kFormat = 2;
constexpr uint8_t kClosing = 1, kFin = 2, kShut = 4, kPrefaced = 8, kOddPayload = 16;
constexpr uint8_t kCertificate = 1, kResumed = 2;

// The reading part of one, the writing part of the other.
TlsProgress joined(const TlsProgress& writing, const TlsProgress& reading) {
    TlsProgress p = writing;
    p.rx_sequence = reading.rx_sequence;
    p.rx_generation = reading.rx_generation;
    p.rx_closed = reading.rx_closed;
    p.handshake_size = reading.handshake_size;
    p.handshake = reading.handshake;
    return p;
}

}  // namespace

size_t TlsStream::write_credential(MutableBytes to) const {
    ByteWriter w(to);
    w.le(kFormat);
    w.le(tail_start_.value);
    w.le(static_cast<uint16_t>(tail_.size()));
    w.put(tail_);
    write_facts(w);
    const size_t head = w.used();
    const size_t state = w.ok() ? serialise(*initial_, to.subspan(head)) : 0;
    CHECK(state > 0);
    return head + state;
}

size_t TlsStream::write_progress(MutableBytes to) const {
    std::array<std::byte, kMaxTlsProgress> progress;
    const size_t size = serialise(joined(layer_->progress(), point_.rx), progress);
    ByteWriter w(to);
    w.le(kFormat);
    w.le(static_cast<uint8_t>((closing_ ? kClosing : 0) | (point_.fin ? kFin : 0) |
                              (point_.shut ? kShut : 0) | (point_.prefaced ? kPrefaced : 0) |
                              (payload_.turn() ? kOddPayload : 0)));
    w.le(point_.client.value);
    w.le(point_.backend);
    w.le(static_cast<uint16_t>(early_.size()));
    w.le(static_cast<uint16_t>(plain_.size()));
    w.le(static_cast<uint8_t>(size));
    w.put(Bytes(progress).first(size));
    w.le(cut_start_.value);
    w.le(cut_offset_);
    w.le(cut_name_.sequence);
    w.le(cut_name_.generation);
    w.le(static_cast<uint8_t>(cuts_.size()));
    for (const Cut& c : cuts_) {
        w.le(static_cast<uint8_t>(c.type));
        w.le(c.value);
    }
    CHECK(w.ok());
    return w.used();
}

// They are needed where the preface has to be made again.
void TlsStream::write_facts(ByteWriter& w) const {
    w.le(preface_size_);
    if (preface_size_ == 0) return;
    w.le(static_cast<uint8_t>((facts_.certificate ? kCertificate : 0) |
                              (facts_.resumed ? kResumed : 0)));
    for (const std::string* name : {&facts_.common_name, &facts_.protocol, &facts_.server_name}) {
        w.le(static_cast<uint8_t>(name->size()));
        w.put(std::as_bytes(std::span(*name)));
    }
}

bool TlsStream::read_facts(ByteReader& r) {
    preface_size_ = r.le<uint16_t>();
    if (preface_size_ == 0) return r.ok();
    const uint8_t flags = r.le<uint8_t>();
    facts_.certificate = flags & kCertificate;
    facts_.resumed = flags & kResumed;
    for (std::string* name : {&facts_.common_name, &facts_.protocol, &facts_.server_name}) {
        const Bytes text = r.take(r.le<uint8_t>());
        name->assign(reinterpret_cast<const char*>(text.data()), text.size());
    }
    return r.ok();
}

bool TlsStream::read_credential(Bytes bytes) {
    ByteReader r(bytes);
    if (r.le<uint8_t>() != kFormat) return false;
    tail_start_.value = r.le<uint32_t>();
    const Bytes tail = r.take(r.le<uint16_t>());
    tail_.assign(tail.begin(), tail.end());
    if (!read_facts(r)) return false;
    const auto state = parse_tls_record_state(r.rest());
    if (!r.ok() || !state) return false;
    initial_ = SecretPtr<TlsRecordState>(shared_.states);
    if (!initial_) return false;
    *initial_ = *state;
    return true;
}

bool TlsStream::set_preface(std::vector<std::byte> octets) {
    const auto size = static_cast<uint16_t>(octets.size());
    if (preface_size_ != 0 && preface_size_ != size) return false;
    preface_size_ = size;
    if (!point_.prefaced) preface_ = std::move(octets);
    return true;
}

bool TlsStream::read_progress(Bytes bytes, size_t& early, size_t& plain) {
    ByteReader r(bytes);
    if (r.le<uint8_t>() != kFormat) return false;
    const uint8_t flags = r.le<uint8_t>();
    closing_ = flags & kClosing;
    point_.fin = flags & kFin;
    point_.shut = flags & kShut;
    point_.prefaced = flags & kPrefaced;
    payload_.set_turn(flags & kOddPayload ? 1 : 0);
    point_.client.value = r.le<uint32_t>();
    point_.backend = r.le<uint32_t>();
    early = r.le<uint16_t>();
    plain = r.le<uint16_t>();
    const auto progress = parse_tls_progress(r.take(r.le<uint8_t>()));
    if (!r.ok() || !progress) return false;
    Wiped<TlsRecordState> state(*initial_);
    if (!holdfast::advance(*state, *progress, shared_.records.keys())) return false;
    layer_ = TlsRecordLayer::make(shared_.records, *state);
    if (!layer_) return false;
    point_.rx = *progress;
    cut_start_.value = r.le<uint32_t>();
    cut_offset_ = r.le<uint32_t>();
    cut_name_.sequence = r.le<uint64_t>();
    cut_name_.generation = r.le<uint32_t>();
    return read_cuts(r);
}

// Their names must lead to just where writing goes on.
bool TlsStream::read_cuts(ByteReader& r) {
    const uint8_t count = r.le<uint8_t>();
    if (count > kMaxHeldCuts) return false;
    TlsRecordName name = seal_name_ = cut_name_;
    cuts_end_ = seal_start_ = cut_start_;
    for (uint8_t i = 0; i < count; ++i) {
        const auto type = static_cast<TlsContentType>(r.le<uint8_t>());
        const Cut c{type, r.le<uint16_t>()};
        const bool known = type == TlsContentType::application_data ||
                           type == TlsContentType::alert || type == TlsContentType::handshake;
        if (!known || plain_size(c) > kTlsMaxPlaintext) return false;
        cuts_.push_back(c);
        cuts_end_ = cuts_end_ + wire_size(c);
        name = name_after(name, c);
    }
    return r.done() && name == layer_->next_tx();
}

std::unique_ptr<TlsStream> TlsStream::restore(TlsShared& shared, Bytes credential, Bytes progress,
                                              std::span<const std::vector<std::byte>> payloads) {
    std::unique_ptr<TlsStream> s(new TlsStream(shared));
    size_t early = 0, plain = 0;
    if (!s->read_credential(credential) || !s->read_progress(progress, early, plain)) {
        ++shared.counters.unprovable;
        return nullptr;
    }
    s->phase_ = Phase::records;
    s->tail_written_ = false;
    s->in_start_ = s->point_.client;
    s->written_ = s->point_.backend - (s->point_.shut ? 1 : 0);
    s->client_closed_ = s->point_.rx.rx_closed;
    s->shut_backend_ = s->point_.fin;
    s->noted_ = s->marks();
    if (early + plain > 0) {
        s->take_payload(payloads, early, plain);
        s->note_payload();  // which is another mark: it is agreed anew
    }
    return s;
}

void TlsStream::take_payload(std::span<const std::vector<std::byte>> payloads, size_t early,
                             size_t plain) {
    const TlsOctets found = find_tls_octets(payloads, {point_.client, cut_offset_, early, plain});
    lacks_record_ = found.record.size() < early;
    lacks_text_ = found.text.size() < plain;
    shared_.counters.early_taken_back += lacks_record_ || lacks_text_;
    in_.assign(found.record);
    early_.assign(found.record.begin(), found.record.end());
    out_.assign(found.text);
    plain_.assign(found.text.begin(), found.text.end());
}

// If a peer was told that it had arrived (more nodes were lost than copies allow), it does not come
// again, and everything after it waits for ever.
void TlsStream::give_up_gaps(const TcpEndpoint& client, const TcpEndpoint& backend, Instant now) {
    const bool waits = (lacks_record_ && client.has_gap()) || (lacks_text_ && backend.has_gap());
    if (!gap_wait_.is_over(waits, 0, true, now)) return;
    ++shared_.counters.octets_lost;
    phase_ = Phase::failed;
}

void TlsStream::note_payload() {
    ++shared_.counters.early_acknowledged;
    payload_.replace({point_.client, cut_offset_, early_, plain_});
    largest_payload_ = std::max(largest_payload_, payload_.value().size());
}

TlsPayload* TlsStream::payload() { return early_.empty() && plain_.empty() ? nullptr : &payload_; }

}  // namespace holdfast
