// What lies between the endpoints of a `tls` session: the handshake, then records opened towards
// the backend and sealed towards the client.
//
// Two ledgers make it carry on elsewhere (docs/invariants.md I2, I3). `cuts`: every record of ours
// that the client has not acknowledged whole, as its length and type; a record's bytes leave only
// once its cut is held elsewhere (marks()), so whoever adopts the session seals the same plaintext
// into the same record under the same nonce. `openings`: where records of the client's end in both
// streams; the client is acknowledged a record when the backend has acknowledged its plaintext, and
// that is held elsewhere too, because a record's number cannot be had from TCP. What is not
// acknowledged comes again from who sent it. A client whose congestion window is smaller than its
// record is acknowledged the part that came, once that is held elsewhere as `payload`; so is, after
// an adoption, a backend whose window is smaller than the record that was cut elsewhere.
//
// Pure: endpoints are passed in, time too; handshakes run where `Handshakes` runs them. Sequence
// numbers towards the backend are offsets in its streams, as a connection to it may begin anew.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/byte_queue.h"
#include "base/secret_memory.h"
#include "dataplane/relay/patience.h"
#include "dataplane/relay/proxy_header.h"
#include "dataplane/relay/session_wish.h"
#include "dataplane/relay/tls_payload.h"
#include "dataplane/tcp/endpoint.h"
#include "dataplane/tls/handshake_pool.h"
#include "dataplane/tls/record.h"

namespace holdfast {

// Up to where output may leave once what was published with it is held.
struct TlsMarks {
    SeqNum send;  // towards the client: the end of the last cut record, and of our FIN behind it
    SeqNum ack;   // of the client's
    uint32_t held = 0;  // offset in the backend's stream up to which its octets are held; 0: none
    uint8_t payload_turn = 0;
    friend bool operator==(const TlsMarks&, const TlsMarks&) = default;
};

struct TlsStreamCounters {
    uint64_t handshakes = 0, resumed = 0, handshakes_failed = 0, overloaded = 0, no_room = 0,
             cuts = 0, recut = 0, alerts_sent = 0, early_acknowledged = 0, early_taken_back = 0,
             unprovable = 0, octets_lost = 0;
};
extern const std::span<const CounterInfo<TlsStreamCounters>> kTlsStreamCounters;

// What the streams of one worker share.
struct TlsShared {
    TlsRecordWorker records;
    SecretArena states;  // as the handshakes left them
    Handshakes& handshakes;
    TlsStreamCounters counters;
    uint32_t outstanding = 0;  // steps that have not come back
    SessionWishes wishes;
    std::vector<std::byte> scratch = std::vector<std::byte>(kTlsMaxRecord);

    TlsShared(size_t connections, Handshakes& runs, TlsSessionSource* sessions)
        : records(connections),
          states(sizeof(TlsRecordState), connections),
          handshakes(runs),
          wishes(sessions) {}
};

class TlsStream {
public:
    enum class Phase : uint8_t { handshake, records, failed };

    TlsStream(TlsShared& shared, std::shared_ptr<const TlsContext> context, uint64_t token,
              uint16_t service);
    // Carries on from what another node published; nothing when that does not prove where writing
    // stands.
    static std::unique_ptr<TlsStream> restore(TlsShared& shared, Bytes credential, Bytes progress,
                                              std::span<const std::vector<std::byte>> payloads);

    Phase phase() const { return phase_; }
    // Bytes in order, as the endpoints deliver them; the client's begin at `at`.
    void on_client_bytes(Bytes bytes);
    void on_backend_bytes(Bytes bytes);
    // What the handshake told, and what the backend is to be told of it before the client's first
    // octet: once, before the stream to it begins. False: what another node told it was longer or
    // shorter.
    const TlsSuite& suite() const { return *find_tls_suite(initial_->suite); }
    const TlsClientFacts& facts() const { return facts_; }
    uint16_t preface_size() const { return preface_size_; }
    bool set_preface(std::vector<std::byte> octets);
    void on_client_fin() { client_fin_ = true; }
    void on_backend_fin() { backend_fin_ = true; }
    // The client's handshake of TCP is over: its stream begins here.
    void begin(SeqNum client_start) { in_start_ = client_start; }
    // A handshake step that was run elsewhere.
    void on_handshake(std::unique_ptr<HandshakeTask> task, TcpEndpoint& client);

    // Does all that can be done now, after any of the above or an acknowledgement of either side.
    void advance(TcpEndpoint& client, TcpEndpoint& backend, Instant now);
    uint32_t client_room() const;
    uint32_t backend_room() const;

    // Whether something waits to be held elsewhere. Publish what write_*() and payload() say, then
    // note(); once that is held, apply the marks and say on_held().
    bool wants_commit() const;
    TlsMarks marks() const;
    void note(const TlsMarks& marks) { noted_ = marks; }
    void on_held(const TlsMarks& marks) { payload_.on_held(marks.payload_turn); }
    // Try again: it could not be published.
    void forget_note() { noted_ = {}; }

    // How far another node knows it: restore() of these and of the endpoints' records.
    size_t write_credential(MutableBytes to) const;
    size_t write_progress(MutableBytes to) const;
    TlsPayload* payload();                                       // nullptr: none is needed
    size_t largest_payload() const { return largest_payload_; }  // that ever was

    // Where the endpoints of a restored session stand.
    SeqNum client_acknowledged() const { return marks().ack; }
    uint32_t backend_delivered() const { return point_.backend; }  // offset in our stream to it
    uint32_t backend_acknowledged() const {                        // offset in its stream
        return cut_offset_ + static_cast<uint32_t>(plain_.size());
    }
    // Our FIN to the client, once its place is known: behind a closing alert.
    std::optional<SeqNum> client_stream_end() const {
        return closing_ ? std::optional(cuts_end_) : std::nullopt;
    }
    bool client_ended() const { return point_.fin; }
    bool backend_shut() const { return point_.shut; }

    // Records the client has not acknowledged; alerts and KeyUpdates may come on top.
    static constexpr size_t kMaxCuts = 128;
    static constexpr size_t kMaxHeldCuts = kMaxCuts + 8;
    static constexpr size_t kMaxCredential = 1'100;
    static constexpr size_t kMaxProgress = 900;
    // When a part of a record is to be held elsewhere, or a session to be waited for no longer.
    Instant next_deadline() const {
        const Instant parts = earlier(early_wait_.until(), plain_wait_.until());
        return earlier(earlier(parts, gap_wait_.until()), wish_.next_deadline());
    }

private:
    // A client that has more to send and may goes on within this.
    static constexpr Duration kPatience = Duration::milliseconds(2);
    // And sends again what it still has, many times.
    static constexpr Duration kGivenUp = Duration::seconds(30);

    // A record of ours on its way: application data of `value` octets, an alert or a KeyUpdate.
    struct Cut {
        TlsContentType type = TlsContentType::application_data;
        uint16_t value = 0;
    };
    // Where the client's stream stands behind a record, and with it the others.
    struct Point {
        SeqNum client;
        uint32_t backend = 0;
        bool fin = false;       // the client's FIN is before it
        bool shut = false;      // and so is ours to the backend
        bool prefaced = false;  // the backend has our preface
        TlsProgress rx;         // its reading part
    };

    explicit TlsStream(TlsShared& shared) : shared_(shared) {}
    void start_step(Instant now);
    void finish_handshake(HandshakeTask& task, TcpEndpoint& client);
    bool write_preface(TcpEndpoint& backend);
    void open_records(TcpEndpoint& backend, Instant now);
    bool open_one(size_t size, TcpEndpoint& backend, Instant now);
    void take_end(TcpEndpoint& backend);
    void note_opening();
    void end_backend(TcpEndpoint& backend);
    void drain_openings(const TcpEndpoint& backend);
    void drain_cuts(const TcpEndpoint& client, TcpEndpoint& backend);
    void pop_cut(TcpEndpoint& backend);
    void recut(TcpEndpoint& client);
    void cut_records(TcpEndpoint& client, Instant now);
    size_t next_record(size_t room, Instant now);
    bool cut(TlsContentType type, uint16_t value, std::expected<TlsRecordName, TlsRefusal> name,
             TcpEndpoint& client);
    void seal_next(TcpEndpoint& client);
    void write_at(TcpEndpoint& client, SeqNum position, Bytes bytes);
    void close_towards_client(TcpEndpoint& client);
    void hold_early(Instant now);
    void note_payload();
    void take_payload(std::span<const std::vector<std::byte>> payloads, size_t early, size_t plain);
    void hold_plain(Instant now);
    void give_up_gaps(const TcpEndpoint& client, const TcpEndpoint& backend, Instant now);
    void fail(TlsAlert alert);
    size_t plain_size(const Cut& c) const;
    uint32_t wire_size(const Cut& c) const;
    static uint32_t stream_size(const Cut& c);
    static TlsRecordName name_after(TlsRecordName name, const Cut& c);
    size_t record_limit(Instant now);
    void write_facts(ByteWriter& w) const;
    bool read_facts(ByteReader& r);
    bool read_credential(Bytes bytes);
    bool read_progress(Bytes bytes, size_t& early, size_t& plain);
    bool read_cuts(ByteReader& r);

    TlsShared& shared_;
    Phase phase_ = Phase::handshake;
    uint64_t token_ = 0;
    std::unique_ptr<HandshakeTask> task_;  // none while it is run, or over
    SessionWish wish_;
    std::optional<TlsRecordLayer> layer_;
    SecretPtr<TlsRecordState> initial_;
    TlsClientFacts facts_;
    uint16_t preface_size_ = 0;
    std::vector<std::byte> preface_;  // until it is written

    // From the client.
    ByteQueue in_;
    SeqNum in_start_;       // of in_'s first octet
    uint32_t written_ = 0;  // octets for the backend so far: preface and plaintext
    std::deque<Point> openings_;
    Point point_;  // all before it is acknowledged by the backend
    std::vector<std::byte> early_;
    TlsPayload payload_;  // of early_ and plain_ as they were noted last
    size_t largest_payload_ = 0;
    Patience early_wait_{kPatience};
    bool client_fin_ = false, client_closed_ = false, shut_backend_ = false;

    // To the client.
    std::vector<std::byte> tail_;  // the handshake's last flight
    SeqNum tail_start_;
    bool tail_written_ = true;
    ByteQueue out_;  // plaintext behind the last sealed cut
    std::deque<Cut> cuts_;
    size_t sealed_ = 0;             // of them, from the front
    std::vector<std::byte> plain_;  // of the first cut, as far as it is held elsewhere
    Patience plain_wait_{kPatience};
    SeqNum cut_start_;         // of the first cut, in our stream
    uint32_t cut_offset_ = 0;  // of the first cut, in the backend's stream
    TlsRecordName cut_name_;   // of the first cut
    SeqNum cuts_end_;          // of the last
    SeqNum seal_start_;        // of the first that is not sealed, or of the next
    TlsRecordName seal_name_;
    Instant cut_at_{};
    uint32_t cut_since_pause_ = 0;  // octets
    std::optional<TlsAlert> alert_;
    bool backend_fin_ = false, closing_ = false;
    // After an adoption: nobody had what was agreed of the first record of either side.
    bool lacks_record_ = false, lacks_text_ = false;
    Patience gap_wait_{kGivenUp};
    TlsMarks noted_;
};

}  // namespace holdfast
