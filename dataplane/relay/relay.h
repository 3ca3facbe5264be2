// Relays: sessions whose TCP terminates here on both sides (`mode = proxy` and `tls`), bytes passed
// on.
//
// End-to-end acknowledgement: a byte of one side is acknowledged to it only when the other side has
// acknowledged what became of it. Whoever adopts the session gets all other bytes again from
// whoever sent them, so no payload is replicated, and a data segment reveals nothing that has to be
// committed: sequence numbers of one side are those of the other plus a constant
// (docs/invariants.md, "End-to-end acknowledgement").
//
// Sessions, their tuples, backends, neighbours and idle timers are the forwarder's; the endpoints
// are dataplane/tcp's; when a frame may leave is the caller's decision. Single-threaded; memory for
// a session is taken when it begins. Knows no clock.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "base/counters.h"
#include "base/timer_wheel.h"
#include "dataplane/forward/forward.h"
#include "dataplane/relay/relay_session.h"
#include "dataplane/tcp/siphash.h"
#include "dataplane/wire/ethernet.h"

namespace holdfast {

// What a frame tells its receiver that another node could not yet know.
enum class Reveals : uint8_t {
    nothing,
    session,  // that there is one: header and alias must be held first
    backend,  // how far the backend's side was agreed: the header must be held first
    end,      // a reset: our epoch must be confirmed first
};

class RelayEvents {
public:
    virtual ~RelayEvents() = default;
    // False: it should wait, and there is no room for it.
    virtual bool on_relay_frame(SessionIndex index, Direction towards, Bytes frame, Reveals reveals,
                                Instant now) = 0;
    // Its state moved: publish the header again.
    virtual void on_relay_changed(SessionIndex index, Instant now) = 0;
    // A TLS session has moved: publish how far, and all else with it the first time; tell
    // on_held(index, serial) when that is held. False: not now.
    virtual bool on_relay_commit(SessionIndex index, uint8_t serial, bool first, Instant now) = 0;
    // Both its streams are over: what is left is to answer retransmissions, by a header alone.
    virtual void on_relay_finished(SessionIndex index, Instant now) = 0;
    // copies() of it are to be published, as far as there is room for them.
    virtual void on_relay_copies(SessionIndex index, Instant now) = 0;
};

struct RelayOptions {
    TcpConfig client, backend;  // as for IPv4; segments of IPv6 are 20 octets smaller
    TcpTakeover takeover;
    // Payload memory of the worker, in 2 KiB each; what was never needed is never touched.
    uint32_t chunks = 131'072;
    SipKey secret{};  // of the cluster: for initial sequence numbers
    // Of services that terminate TLS, by their index; and where handshakes run.
    std::vector<std::shared_ptr<const TlsContext>> tls;
    Handshakes* handshakes = nullptr;
    TlsSessionSource* sessions = nullptr;  // that clients resume by their identifier
    uint32_t tls_connections = 32'768;     // of the worker; each takes 640 octets of locked memory
    // A header is published again after so many bytes of either side: one that is older than
    // kRelearnBound would be of no use.
    uint32_t header_every = 1u << 28;
    Duration wall_offset{};  // makes an Instant a time that all nodes share, more or less
};

struct RelayCounters {
    uint64_t opened = 0, connected = 0, refused = 0, aborted = 0, finished = 0, unsendable = 0,
             adopted = 0, unreadable = 0, withheld = 0, woken = 0, urged = 0, cookies_sent = 0,
             cookies_accepted = 0, cookies_refused = 0, copies_left_out = 0, copies_used = 0,
             copies_refused = 0;
};
extern const std::span<const CounterInfo<RelayCounters>> kRelayCounters;

class Relay {
public:
    Relay(const RelayOptions& options, std::span<const Service> services, Forwarder& forwarder,
          RelayEvents& events, Instant now);
    ~Relay();
    Relay(const Relay&) = delete;
    Relay& operator=(const Relay&) = delete;

    // A frame of which the forwarder said `relay`.
    void on_frame(const Step& step, const Frame& frame, Instant now);
    // A SYN for which the forwarder has no room: the frame that answers it, which reveals nothing
    // that other nodes could not know. Its size; 0: none.
    size_t answer_syn(Bytes syn, MutableBytes to, Instant now);
    // Whether a segment of no session brings back what answer_syn() gave, here or on another node:
    // then its session has begun. Ask only when nobody can know the session.
    bool accept_cookie(Bytes ack, Instant now);
    // What was revealed by a frame that waited is held now, and the frame has left.
    void on_committed(SessionIndex index, Reveals what);
    void on_held(SessionIndex index, uint8_t serial);
    // A resumable session came from a peer; with none, all have come that will.
    void on_resumable(const TlsSessionId* id);
    // The session is about to leave the table. `tell`: its ends get a reset if they are still open.
    void on_closed(SessionIndex index, bool tell, Instant now);
    void on_burst_end(Instant now);
    Instant next_deadline() const;
    void on_deadline(Instant now);

    // Capture and takeover (dataplane/takeover translates to fragments).
    bool has(SessionIndex index) const;
    // Whether another node could carry it on from what there is to publish.
    bool publishable(SessionIndex index) const;
    const TlsStream* tls(SessionIndex index) const;
    RelayState state(SessionIndex index, Instant now) const;
    // Carries on what another node carried, as far as `state` knows it; may be called again with
    // newer state, which counts until a peer has spoken. Both peers are asked where they are.
    void restore(SessionIndex index, const RelayState& state, Instant now);
    // Of a TLS session: once, from the newest state there is. False when that does not prove where
    // writing stands; the session must be reset then.
    bool restore_tls(SessionIndex index, const RelayState& state, Bytes credential, Bytes progress,
                     std::span<const std::vector<std::byte>> payloads, Instant now);
    // What must be held beside its progress; none mostly.
    TlsPayload* tls_payload(SessionIndex index);

    // What its peers sent and is in flight, for others to keep; none where nobody asked for that.
    StreamCopies* copies(SessionIndex index);
    const Tcb& tcb(SessionIndex index, Direction side) const;
    // Publish all of it again.
    void copy_again(SessionIndex index);
    // What another node kept of `from`'s stream, for a session that was restored. Whether any of it
    // was news: then ask for what comes behind it.
    bool take_copy(SessionIndex index, Direction from, const StreamBlock& block, Instant now);

    const RelayCounters& counters() const { return counters_; }
    const ChunkPool& memory() const { return chunks_; }
    TlsShared* tls_shared() const { return tls_.get(); }
    uint32_t sessions() const { return open_; }

private:
    class Link;  // what an endpoint's output goes through
    RelaySession& begin(SessionIndex index, bool v4);
    RelaySession* find(SessionIndex index);
    TcpOpening opening(const RelaySession& s, Direction side, Instant now) const;
    void on_too_big(const Step& step, Instant now);
    const TcpConfig& client_config(bool v4) const { return v4 ? options_.client : client_v6_; }
    void note_sender(const Step& step, const EthernetHeader& ethernet, Instant now);
    void touch(SessionIndex index);
    void send(RelaySession& s, Direction towards, const TcpSegment& segment,
              const TcpOptions& options, std::span<const Bytes> payload, Instant now);
    Reveals what_is_revealed(const RelaySession& s, Direction towards,
                             const TcpSegment& segment) const;
    void on_event(RelaySession& s, Direction side, TcpEvent event, Instant now);
    void on_established(RelaySession& s, Direction side, Instant now);
    size_t pass_on(RelaySession& s, Direction from, Bytes bytes);
    size_t hand_on(RelaySession& s, Direction from, Bytes bytes);
    void keep_copy(RelaySession& s, Direction from, SeqNum start, Bytes bytes);
    void settle_copies(RelaySession& s, Instant now);
    void acknowledge(RelaySession& s, Direction side, Instant now);
    void note_fin(RelaySession& s, Direction side, Instant now);
    void settle(RelaySession& s, Instant now);
    void flush(RelaySession& s, Instant now);
    void step_tls(RelaySession& s, Instant now);
    void commit_tls(RelaySession& s, Instant now);
    bool poll_handshakes(Instant now);
    void keep_sessions(const RelaySession& s, HandshakeTask& task, Instant now);
    void connect(RelaySession& s, Instant now);
    std::vector<std::byte> make_preface(const Session& session, const Tcb& client,
                                        const TlsStream* tls) const;
    void begin_preface(RelaySession& s);
    void write_preface(RelaySession& s, Bytes octets);
    void carry_on(RelaySession& s, const RelayState& aligned, Instant now);
    void settle_touched(Instant now);
    void settle_all(Instant now);
    void begin_tls(RelaySession& s);
    void finish_if_done(RelaySession& s, Instant now);
    void note_progress(RelaySession& s);
    void abort_both(RelaySession& s, Instant now);
    void arm(RelaySession& s);
    void probe(RelaySession& s, Instant now);
    void wake_senders(RelaySession& s, Instant now);
    void watch_sender(RelaySession& s, Direction side, const TcpSegment& segment);
    void wake(RelaySession& s, Direction sender, Instant now);

    RelayOptions options_;
    TcpConfig client_v6_, backend_v6_;
    std::span<const Service> services_;
    Forwarder& forwarder_;
    RelayEvents& events_;
    ChunkPool chunks_;
    std::unique_ptr<TlsShared> tls_;                       // none where no service terminates TLS
    std::vector<std::unique_ptr<RelaySession>> sessions_;  // by slot
    std::vector<SessionIndex> touched_;                    // in this burst
    std::vector<std::unique_ptr<RelaySession>> over_;      // to be destroyed between calls
    Instant next_poll_;
    Instant cookies_until_{0};  // when the last one sent is no good any more
    TimerWheel wheel_;
    uint32_t open_ = 0;
    RelayCounters counters_;
};

}  // namespace holdfast
