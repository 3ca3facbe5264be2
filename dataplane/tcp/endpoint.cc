// What the consumer asks for: RFC 9293 section 3.10.2 to 3.10.6, limits, and carrying on.
#include "dataplane/tcp/endpoint.h"

#include <algorithm>

namespace holdfast {

TcpEndpoint::TcpEndpoint(const TcpConfig& config, ChunkPool& pool)
    : config_(config), pool_(pool), send_(pool), log_(pool), reassembly_(pool) {}

size_t TcpEndpoint::write_room() const {
    if (tcb_.state == TcpState::closed) return 0;
    size_t room = config_.send_buffer - std::min(config_.send_buffer, send_.size());
    if (tcb_.has(Tcb::fin_queued))
        room =
            std::min<size_t>(room, static_cast<uint32_t>(std::max(tcb_.fin_seq - send_.end(), 0)));
    return std::min(room, std::max(pool_.share(send_.size()),
                                   pool_.available() > 0 ? size_t{send_.tail_room()} : 0));
}

size_t TcpEndpoint::write(Bytes bytes) {
    const size_t n = send_.append(bytes.first(std::min(bytes.size(), write_room())));
    if (n < bytes.size()) ++pool_.counters.no_memory;
    return n;
}

bool TcpEndpoint::has_stream() const {
    const bool ended =
        tcb_.state == TcpState::closed && tcb_.has(Tcb::fin_queued) && tcb_.snd_una > tcb_.fin_seq;
    return ended || tcb_.state >= TcpState::established;
}

void TcpEndpoint::shutdown_at(SeqNum end) {
    if (tcb_.has(Tcb::fin_queued) || tcb_.state == TcpState::closed) return;
    tcb_.set(Tcb::fin_queued);
    tcb_.fin_seq = end;
    if (end < tcb_.snd_una) send_.reset(end);
}

void TcpEndpoint::abort(Instant now, TcpOutput& out) {
    if (tcb_.state == TcpState::closed) return;
    const bool quiet = tcb_.state == TcpState::syn_sent || tcb_.state == TcpState::time_wait;
    if (!quiet) send_reset(tcb_.snd_nxt, true, now, out);
    close(TcpEvent::closed, out);
}

void TcpEndpoint::close(TcpEvent event, TcpOutput& out) {
    become(tcb_, TcpState::closed);
    tcb_.timer = SendTimer::none;
    tcb_.send_at = tcb_.ack_at = tcb_.linger_at = Instant::max();
    tcb_.clear(Tcb::ack_now);
    send_.reset(send_.end());
    log_.clear();
    reassembly_.clear();
    out.on_tcp_event(event);
}

std::optional<TcpSegment> reset_for(const TcpSegment& segment) {
    if (segment.has(tcp_flag::rst)) return std::nullopt;
    TcpSegment reset;
    reset.source_port = segment.destination_port;
    reset.destination_port = segment.source_port;
    reset.flags = tcp_flag::rst;
    if (segment.has(tcp_flag::ack)) {
        reset.seq = segment.ack;
    } else {
        reset.flags |= tcp_flag::ack;
        reset.ack = segment.end();
    }
    return reset;
}

void TcpEndpoint::allow_ack(SeqNum upto) {
    if (!tcb_.has(Tcb::limited_ack)) {
        tcb_.set(Tcb::limited_ack);
        tcb_.ack_limit = upto;
        return;
    }
    tcb_.ack_limit = later(tcb_.ack_limit, upto);
    if (ack_point() > tcb_.last_ack_sent) tcb_.set(Tcb::ack_now);
}

void TcpEndpoint::allow_all_acks() {
    tcb_.clear(Tcb::limited_ack);
    if (ack_point() > tcb_.last_ack_sent) tcb_.set(Tcb::ack_now);
}

void TcpEndpoint::allow_send(SeqNum upto) {
    tcb_.send_limit = tcb_.has(Tcb::limited_send) ? later(tcb_.send_limit, upto) : upto;
    tcb_.set(Tcb::limited_send);
}

void TcpEndpoint::set_receive_room(uint32_t bytes) {
    tcb_.set(Tcb::managed_room);
    if (tcb_.has(Tcb::fin_received)) return;  // nothing will come
    tcb_.rcv_edge = later(tcb_.rcv_edge, tcb_.rcv_nxt + bytes);
}

void TcpEndpoint::advance_receive(SeqNum upto) {
    if (upto <= tcb_.rcv_nxt) return;
    tcb_.rcv_nxt = upto;
    reassembly_.drop_before(upto);
    tcb_.rcv_edge = later(tcb_.rcv_edge, upto);
    tcb_.rcv_offered = later(tcb_.rcv_offered, upto);
    if (tcb_.has(Tcb::relearn) || !tcb_.has(Tcb::managed_room))
        tcb_.rcv_edge = later(tcb_.rcv_edge, upto + config_.receive_buffer);
    if (tcb_.has(Tcb::relearn)) tcb_.rcv_offered = later(tcb_.rcv_offered, tcb_.rcv_edge);
    tcb_.set(Tcb::ack_now);
}

void TcpEndpoint::advance_receive_past_fin(SeqNum upto, Instant now) {
    advance_receive(upto);
    if (tcb_.has(Tcb::fin_received) || tcb_.rcv_nxt != upto) return;
    reassembly_.clear();
    become_fin_received(now);
}

void TcpEndpoint::probe(Instant now, TcpOutput& out) {
    const bool open = tcb_.state != TcpState::closed && tcb_.state != TcpState::syn_sent &&
                      tcb_.state != TcpState::syn_received;
    if (open) send_ack(tcb_.snd_una - 1, now, out);
}

void TcpEndpoint::urge(SeqNum peer_next, Instant now, TcpOutput& out) {
    const bool open = tcb_.state >= TcpState::established && tcb_.state != TcpState::time_wait;
    const SeqNum last = peer_next - config_.mss;
    if (!open || !tcb_.has(Tcb::sack) || peer_next <= tcb_.rcv_nxt + 1) return;
    duplicate_ = SackBlock{later(last, tcb_.rcv_nxt + 1), peer_next};
    send_ack(ack_sequence(), now, out);
}

void TcpEndpoint::on_packet_too_big(uint16_t mss, SeqNum quoted_seq, Instant now) {
    if (!may_send_data() || quoted_seq < tcb_.snd_una || quoted_seq >= tcb_.snd_max) return;
    mss = std::max(mss, std::min(config_.min_path_mss, tcb_.mss));
    if (mss >= tcb_.mss) return;
    ++pool_.counters.packets_too_big;
    tcb_.mss = mss;
    const uint32_t limit = segment_limit();
    // Not a sign of congestion: what cannot have arrived is sent again, no more.
    for (SentSegment* s = log_.first(); s != nullptr; s = s->next)
        if (!s->sacked && s->size() > limit) log_.set_lost(*s, true);
    tcb_.set(Tcb::force_retransmit);
    arm_send_timer(now, true);
}

void TcpEndpoint::restore(TcpEndpoint& other) {
    tcb_ = other.tcb_;
    send_.take_over(other.send_);
    log_.take_over(other.log_);
    reassembly_.take_over(other.reassembly_);
    duplicate_ = other.duplicate_;
    other.tcb_ = Tcb{};
}

// What a limit kept from being acknowledged died with the other node; a FIN did, if it was the
// last of it.
void TcpEndpoint::forget_unacknowledged() {
    tcb_.rcv_nxt = later(ack_point(), tcb_.last_ack_sent);
    if (!tcb_.has(Tcb::fin_received)) return;
    tcb_.clear(Tcb::fin_received);
    switch (tcb_.state) {
        case TcpState::close_wait:
            tcb_.state = TcpState::established;
            break;
        case TcpState::closing:
        case TcpState::last_ack:
            tcb_.state = TcpState::fin_wait_1;
            break;
        case TcpState::time_wait:
            tcb_.state = TcpState::fin_wait_2;
            break;
        case TcpState::closed:
        case TcpState::syn_sent:
        case TcpState::syn_received:
        case TcpState::established:
        case TcpState::fin_wait_1:
        case TcpState::fin_wait_2:
            break;
    }
}

// Timers are made from the state, never believed: what is in flight is not here, and nothing may
// fire for bytes that are not.
void TcpEndpoint::restore(const Tcb& record, const TcpTakeover& how, Instant now) {
    tcb_ = rebase(record, Instant{0}, now - how.age);
    ++pool_.counters.restored;
    log_.clear();
    reassembly_.clear();
    duplicate_.reset();
    tcb_.ts_offset += how.ts_slack_ms;
    tcb_.backoff = tcb_.dup_acks = tcb_.unacked_segments = tcb_.keepalives = tcb_.relearn_probes =
        0;
    tcb_.clear(Tcb::ack_now | Tcb::recovery | Tcb::after_timeout | Tcb::force_retransmit |
               Tcb::rack_valid | Tcb::reordering_seen | Tcb::tlp_outstanding | Tcb::ts_marked |
               Tcb::undo_valid | Tcb::cwnd_limited);
    tcb_.ack_at = tcb_.send_at = Instant::max();
    tcb_.timer = SendTimer::none;
    tcb_.heard_at = tcb_.progress_at = now;
    tcb_.cubic_epoch = {};
    if (ack_point() < tcb_.rcv_nxt) forget_unacknowledged();
    const bool opening = tcb_.state == TcpState::syn_sent || tcb_.state == TcpState::syn_received;
    if (opening) {  // the SYN again, soon
        send_.reset(tcb_.iss + 1);
        tcb_.set(Tcb::syn_retransmitted);
        tcb_.timer = SendTimer::retransmit;
        tcb_.send_at = now;
    } else {
        tcb_.snd_nxt = tcb_.recover = tcb_.rack_round = tcb_.ecn_recover = tcb_.snd_una;
        const bool fin_acked = tcb_.has(Tcb::fin_queued) && tcb_.snd_una > tcb_.fin_seq;
        send_.reset(fin_acked ? tcb_.fin_seq : tcb_.snd_una);
        // The path is the same, its queues may not be: half of what it bore, never less than a
        // connection begins with, and quickly back to where it was.
        tcb_.ssthresh = std::max(tcb_.ssthresh, tcb_.cwnd / 4 * 3);
        tcb_.cwnd = std::min(tcb_.cwnd, std::max(config_.initial_window, tcb_.cwnd / 2));
    }
    if (tcb_.state != TcpState::time_wait) tcb_.linger_at = Instant::max();
    tcb_.clear(Tcb::relearn);
    if (!how.relearn || tcb_.state == TcpState::time_wait || opening) return;
    tcb_.set(Tcb::relearn);
    // As far as the other node can have promised.
    tcb_.rcv_edge = later(tcb_.rcv_edge, tcb_.rcv_nxt + config_.receive_buffer);
    tcb_.rcv_offered = later(tcb_.rcv_offered, tcb_.rcv_edge);
}

}  // namespace holdfast
