// One end of a TCP connection: a Tcb, its queues, and RFC 9293 section 3.10 as functions on them.
//
// Knows no addresses, ports, checksums or clock: the caller finds the endpoint, verifies what
// arrives, and builds the packets. Nothing but RSTs leaves from within on_segment(): call flush()
// when a burst is through, so that one ACK answers all of it and rides on data where there is any.
// No allocation but chunks of the pool; without any queued byte an endpoint holds none.
//
// Unusual, and why this is a stack of our own (docs/invariants.md): the ACK number sent is bounded
// by allow_ack(), what is sent by allow_send(), and restore() carries on from another node's record
// even when that is old. Not here: listening, TIME-WAIT for many (time_wait.h), SYN cookies
// (syn_cookie.h), urgent data (delivered in-band), Nagle's algorithm (the consumer writes whole
// messages).
#pragma once

#include "dataplane/tcp/config.h"
#include "dataplane/tcp/output.h"
#include "dataplane/tcp/reassembly.h"
#include "dataplane/tcp/send_queue.h"
#include "dataplane/tcp/sent_log.h"
#include "dataplane/tcp/tcb.h"

namespace holdfast {

struct TcpOpening {
    SeqNum iss;              // initial_sequence.h
    uint32_t ts_offset = 0;  // added to milliseconds of the clock
};

struct CookieOptions;  // syn_cookie.h

struct TcpTakeover {
    Duration age{};               // of the record, as far as the nodes' clocks agree
    uint32_t ts_slack_ms = 1000;  // TSval jumps by that much: more than they may disagree
    bool relearn = true;          // the other node went on after it wrote the record
};

class TcpEndpoint {
public:
    TcpEndpoint(const TcpConfig& config, ChunkPool& pool);
    TcpEndpoint(const TcpEndpoint&) = delete;
    TcpEndpoint& operator=(const TcpEndpoint&) = delete;

    // Opening: one of these, once, unless restored.
    void connect(const TcpOpening& opening, Instant now, TcpOutput& out);
    void accept(const TcpInput& syn, const TcpOpening& opening, Instant now, TcpOutput& out);
    // `ack` completes a handshake that a cookie kept; opening.iss is ack - 1.
    void accept_cookie(const TcpInput& ack, const CookieOptions& cookie, const TcpOpening& opening,
                       Instant now, TcpOutput& out);

    void on_segment(const TcpInput& in, Instant now, TcpOutput& out);
    Instant next_deadline() const;
    void on_deadline(Instant now, TcpOutput& out);
    // Sends what may be sent, and the ACK that is owed.
    void flush(Instant now, TcpOutput& out);
    // ICMP says a segment at quoted_seq was too big: `mss` is what fits, headers taken off.
    // RFC 5927: ignored unless that is in flight.
    void on_packet_too_big(uint16_t mss, SeqNum quoted_seq, Instant now);

    size_t write_room() const;
    size_t write(Bytes bytes);                     // what was taken, not more than write_room()
    void shutdown() { shutdown_at(send_.end()); }  // FIN after what is queued
    // The stream ends at `end`: before what is acknowledged where another node sent the FIN, of
    // which nobody told us.
    void shutdown_at(SeqNum end);
    void abort(Instant now, TcpOutput& out);  // RST, and closed

    // The ACK sent is at most `upto` from the first call on; raising it owes an ACK.
    void allow_ack(SeqNum upto);
    void allow_all_acks();
    // Bytes (and FIN) at or above `upto` are not sent, from the first call on; it only rises.
    void allow_send(SeqNum upto);
    void allow_all_sends() { tcb_.clear(Tcb::limited_send); }
    // The consumer takes that many bytes beyond RCV.NXT. Until the first call: receive_buffer.
    void set_receive_room(uint32_t bytes);
    // Bytes below `upto` were delivered by another node (after restore).
    void advance_receive(SeqNum upto);
    // The same, and the last of it is the peer's FIN.
    void advance_receive_past_fin(SeqNum upto, Instant now);
    // Octets that the peer sent and another node kept, as if they came now. Whether any was new.
    bool receive_copy(SeqNum seq, Bytes bytes, TcpOutput& out);
    // Asks the peer where it stands: an old octet, which any TCP answers with an ACK.
    void probe(Instant now, TcpOutput& out);
    // Makes a peer that waits for its timer send again what is before `peer_next`, its SND.NXT: by
    // a SACK of the last segment, which has overtaken all others then (RFC 8985). That one never
    // came; the peer keeps it all the same until it is acknowledged (RFC 2018 section 8).
    void urge(SeqNum peer_next, Instant now, TcpOutput& out);

    const Tcb& state() const { return tcb_; }
    // It is established, or was, and its own stream was acknowledged to its end.
    bool has_stream() const;
    // For another node: its clock begins at the moment `now`.
    Tcb record(Instant now) const { return rebase(tcb_, now, Instant{0}); }
    // Carries on from record() of another node. The queue is empty: the same bytes are written
    // again from write_position() on, and leave at once. What was received under a limit and not
    // acknowledged is not here either: it is delivered again when the peer has sent it again.
    void restore(const Tcb& record, const TcpTakeover& how, Instant now);
    // Carries on as if nothing had happened: same clock, and the other's queues.
    void restore(TcpEndpoint& other);

    SeqNum write_position() const { return send_.end(); }
    SeqNum ack_point() const {
        return tcb_.has(Tcb::limited_ack) && tcb_.ack_limit < tcb_.rcv_nxt ? tcb_.ack_limit
                                                                           : tcb_.rcv_nxt;
    }
    // Something came before what precedes it.
    bool has_gap() const { return !reassembly_.empty(); }
    bool ack_owed() const { return tcb_.has(Tcb::ack_now); }
    // Sequence numbers in flight, and whether anything waits to be sent that may be sent.
    uint32_t in_flight() const { return static_cast<uint32_t>(tcb_.snd_nxt - tcb_.snd_una); }
    bool has_work() const;
    // While in transmit(): this segment should carry ECT(0).
    bool transmits_ect() const { return ect_; }
    const TcpConfig& config() const { return config_; }

private:
    // handshake.cc
    void begin(const TcpOpening& opening, Instant now);
    void take_syn(const TcpInput& syn, Instant now);
    void send_syn(Instant now, TcpOutput& out);
    void on_segment_syn_sent(const TcpInput& in, Instant now, TcpOutput& out);
    void on_segment_syn_received(const TcpInput& in, Instant now, TcpOutput& out);
    void establish(const TcpInput& in, Instant now, TcpOutput& out);

    // receive.cc: RFC 9293 section 3.10.7.4, in its order
    void on_segment_synchronized(const TcpInput& in, Instant now, TcpOutput& out);
    bool check_sequence(const TcpInput& in, Instant now);
    bool check_reset(const TcpInput& in, Instant now, TcpOutput& out);
    void take_marks(const TcpInput& in);
    void take_timestamp(const TcpInput& in, Instant now);
    void take_text(const TcpInput& in, Instant now, TcpOutput& out);
    bool deliver_in_order(Bytes bytes, TcpOutput& out);
    void deliver_ready(TcpOutput& out);
    void check_fin(Instant now, TcpOutput& out);
    void become_fin_received(Instant now);
    void owe_ack(Instant now, bool at_once);
    void challenge(Instant now);
    SeqNum take_limit() const;

    // acknowledge.cc: its fifth step
    bool check_ack(const TcpInput& in, Instant now, TcpOutput& out);
    bool believe_ack(const TcpInput& in, TcpOutput& out);
    void take_window(const TcpInput& in, bool news);
    uint32_t take_sack(const TcpInput& in, Instant now);
    void advance_una(const TcpInput& in, Instant now);
    void after_fin_acked(Instant now, TcpOutput& out);
    void take_duplicate_report(const SackBlock& block);
    uint32_t take_sack_block(const SackBlock& block, const TcpInput& in, Instant now);
    void sample(const SentSegment& s, const TcpInput& in, Instant now);

    // recovery.cc
    void react_to_ack(const TcpInput& in, uint32_t newly_acked, uint32_t newly_sacked, Instant now);
    void count_duplicate(const TcpInput& in, Instant now);
    void detect_losses(Instant now);
    Duration reorder_window() const;
    void enter_recovery(Instant now);
    void leave_recovery();
    void remember_for_undo(Instant now);
    void take_congestion_echo();
    void undo_if_spurious(const TcpInput& in);
    void settle_tail_probe(const TcpInput& in);
    void on_retransmit_timeout(Instant now, TcpOutput& out);
    void on_tail_probe(Instant now, TcpOutput& out);
    void on_persist(Instant now, TcpOutput& out);
    void rewind();
    uint32_t outstanding() const;  // RFC 6675 pipe

    // transmit.cc
    bool may_send_data() const;
    SeqNum send_end() const;
    uint32_t segment_limit() const;
    uint32_t next_length() const;
    bool send_lost(Instant now, TcpOutput& out);
    bool send_new(Instant now, TcpOutput& out);
    bool send_fresh(uint32_t length, Instant now, TcpOutput& out);
    void resend(SentSegment& s, Instant now, TcpOutput& out);
    uint32_t emit_range(SeqNum from, uint32_t length, Instant now, TcpOutput& out);
    uint8_t sack_options(TcpOptions& options, bool alone);
    SeqNum ack_sequence() const;
    void send_ack(SeqNum seq, Instant now, TcpOutput& out);
    void emit(TcpSegment header, std::span<const Bytes> payload, Instant now, TcpOutput& out);
    void send_reset(SeqNum seq, bool with_ack, Instant now, TcpOutput& out);
    uint16_t window_field(SeqNum ack);
    SeqNum next_edge() const;
    bool window_update_due() const;
    void note_fin_sent();
    void note_fin_acked_elsewhere(Instant now, TcpOutput& out);

    // timers.cc
    void arm_send_timer(Instant now, bool restart);
    Duration rto() const;
    Duration tail_probe_delay() const;
    bool tail_probe_fits() const;
    void on_send_timer(Instant now, TcpOutput& out);
    Instant keepalive_at() const;
    Duration relearn_interval() const;
    bool relearn_unanswered() const;
    void on_keepalive(Instant now, TcpOutput& out);
    void on_linger(TcpOutput& out);
    bool given_up(Instant since, Instant now) const;
    void enter_time_wait(Instant now);

    void close(TcpEvent event, TcpOutput& out);
    void forget_unacknowledged();

    const TcpConfig& config_;
    ChunkPool& pool_;
    Tcb tcb_;
    SendQueue send_;
    SentLog log_;
    Reassembly reassembly_;
    std::optional<SackBlock> duplicate_;  // to be told in the next ACK (RFC 2883)
    bool ect_ = false;
};

// What RFC 9293 section 3.10.7.1 answers to a segment that belongs to no connection, ports swapped.
// During an adoption nobody can know that yet: ask for this only when the tuple is certainly ours.
std::optional<TcpSegment> reset_for(const TcpSegment& segment);

}  // namespace holdfast
