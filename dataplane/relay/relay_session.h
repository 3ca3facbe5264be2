// One relayed session: two TCP endpoints back to back, and how the sequence numbers of one side
// follow from the other's.
#pragma once

#include <array>
#include <memory>

#include "dataplane/flow/session.h"
#include "dataplane/relay/stream_copy.h"
#include "dataplane/relay/tls_stream.h"
#include "dataplane/tcp/endpoint.h"

namespace holdfast {

// A side as a bit.
constexpr uint8_t side_bit(Direction side) { return side == Direction::from_client ? 1 : 2; }

enum class RelayStage : uint8_t {
    opening,     // the client's handshake
    connecting,  // ours with the backend
    committing,  // the backend answered; what was agreed with it is not held elsewhere yet
    open,
    closing,  // both directions are done; only retransmissions are answered
};
inline constexpr uint8_t kRelayStages = 5;

// What the backend is told before the client's first octet (proxy_header.h).
struct Preface {
    uint16_t size = 0;          // 0: nothing
    bool acknowledged = false;  // all of it; sequence numbers alone would not tell after 4 GiB
};

// What another node needs to carry the session on: TcpEndpoint::record() of both. May be old: both
// endpoints then learn from their peers how far they really are.
struct RelayState {
    RelayStage stage = RelayStage::opening;
    Tcb client, backend;
    Preface preface;  // where no TLS lies between them
    Duration age{};   // of the session

    bool knows_backend() const { return stage >= RelayStage::committing; }
};

struct RelaySession {
    RelaySession(const TcpConfig& client_config, const TcpConfig& backend_config, ChunkPool& chunks)
        : client(client_config, chunks), backend(backend_config, chunks) {}

    TcpEndpoint& end(Direction side) { return side == Direction::from_client ? client : backend; }

    SessionIndex index;
    RelayStage stage = RelayStage::opening;
    bool touched = false;              // settled at the end of the burst
    bool announced = false;            // header and alias are held: the SYN-ACK may leave
    bool gated = false;                // a frame that reveals the stage is waiting
    bool failed = false;               // one end is gone: so goes the other
    bool changed = false;              // a FIN came or was acknowledged: the header says so
    bool heard = false;                // by a peer, since it began here or was restored
    bool to_probe = false;             // restored: both peers are to be asked where they are
    uint8_t answered = 0;              // who has, since it was restored: one bit a side
    uint8_t waking = 0;                // whose sending is to be seen to, likewise
    Instant wake_by = Instant::max();  // whether or not all have answered
    std::array<SeqNum, 2> peer_next;   // SND.NXT of a peer that answered
    Instant armed = Instant::max();
    SeqNum told_client, told_backend;  // snd_una of both as a header has told
    std::unique_ptr<TlsStream> tls;    // where the service terminates TLS
    // What was published for it and is not held yet; a serial names each.
    static constexpr uint8_t kMaxCommits = 4;
    std::array<TlsMarks, kMaxCommits> pending{};
    uint8_t commits = 0, serial = 0;
    bool is_protected = false;             // all that carries it on has been published once
    Preface preface;                       // where no TLS lies between them
    std::unique_ptr<StreamCopies> copies;  // where the service wants octets in flight kept
    TcpEndpoint client, backend;
};

// `to`: our end towards the backend.
inline void note_preface(Preface& preface, const Tcb& to) {
    if (to.snd_una - (to.iss + 1) >= preface.size) preface.acknowledged = true;
}

// What `from`'s peer must have sent for us to have sent `to`'s peer up to `seq`: the same distance
// from the beginning, but for what we said ourselves.
inline SeqNum passed_from(const Tcb& from, const Tcb& to, SeqNum seq, const Preface& preface = {}) {
    const SeqNum start = from.irs + 1;
    if (preface.size > 0 && !preface.acknowledged) return start;
    return start + static_cast<uint32_t>(seq - (to.iss + 1)) - preface.size;
}

}  // namespace holdfast
