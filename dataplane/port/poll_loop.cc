#include "dataplane/port/poll_loop.h"

#include <rte_mbuf.h>
#include <rte_pause.h>
#include <sys/prctl.h>
#include <time.h>

#include <algorithm>

#include "base/check.h"

namespace holdfast {

PollLoop::PollLoop(const PollLoopOptions& options, Clock& clock, Transmitter& out,
                   PollTarget& target)
    : options_(options),
      clock_(clock),
      out_(out),
      target_(target),
      side_of_port_(RTE_MAX_ETHPORTS, Side::front),
      mailbox_([this] { sleeper_.wake(); }),
      sorter_(options.workers, options.rss_key, options.first_ring_port) {
    CHECK(options.worker < options.workers);
}

void PollLoop::add_port(Side side, Port& port) {
    side_of_port_[port.id()] = side;
    for (unsigned q = options_.worker; q < port.rx_queues(); q += options_.workers) {
        rx_.push_back({&port, q});
        for (int fd : port.doorbells(q)) sleeper_.add(fd);
        if (port.doorbells(q).empty()) all_ports_ring_ = false;
    }
}

void PollLoop::set_ring(RingSource& ring) {
    ring_ = &ring;
    if (ring.doorbell() < 0)
        all_ports_ring_ = false;
    else
        sleeper_.add(ring.doorbell());
}

void PollLoop::set_handover(Handover& handover) {
    handover_ = &handover;
    handover.bind(options_.worker, sleeper_);
}

void PollLoop::run() {
    prctl(PR_SET_TIMERSLACK, 1);  // the kernel's default adds 50 us to every sleep
    while (!stop_.load(std::memory_order_relaxed))
        if (!poll()) rest();
    mailbox_.close();
}

void PollLoop::stop() {
    stop_.store(true);
    sleeper_.wake();
}

bool PollLoop::poll() {
    Instant now = clock_.now();
    note_gap(now);
    out_.begin(now);
    unsigned work = mailbox_.poll() ? 1 : 0;
    counters_.commands += work;
    for (const Rx& rx : rx_) work += receive(rx, now);
    if (handover_ != nullptr) work += take_over(now);
    if (ring_ != nullptr) {
        unsigned datagrams = ring_->receive(target_, kBurst, now);
        counters_.ring_datagrams += datagrams;
        work += datagrams;
    }
    if (target_.next_deadline() <= now) {
        target_.on_deadline(now);
        ++work;
    }
    if (work > 0) target_.on_burst_end(now);
    out_.flush();
    if (out_.stalled().ns > 0) stall(out_.stalled(), clock_.now());
    measure(now, work > 0);
    return work > 0;
}

unsigned PollLoop::receive(const Rx& rx, Instant now) {
    unsigned n = rx.port->receive(rx.queue, mbufs_);
    if (n == 0) return 0;
    counters_.rx_frames += n;
    process(filter(keep_usable(rx, n)), now);
    return n;
}

unsigned PollLoop::take_over(Instant now) {
    unsigned n = handover_->take(options_.worker, mbufs_);
    if (n == 0) return 0;
    counters_.taken_over += n;
    process(filter(n), now);
    return n;
}

// What is left of the burst, moved to the front: not what is unusable, nor another worker's.
unsigned PollLoop::keep_usable(const Rx& rx, unsigned count) {
    unsigned kept = 0;
    for (unsigned i = 0; i < count; ++i) {
        rte_mbuf* m = mbufs_[i];
        if (!is_usable(m)) {
            ++counters_.rx_unusable;
            rte_pktmbuf_free(m);
        } else if (handover_ == nullptr || is_own(rx, m)) {
            mbufs_[kept++] = m;
        }
    }
    return kept;
}

unsigned PollLoop::filter(unsigned count) {
    if (filter_ == nullptr) return count;
    unsigned kept = 0;
    for (unsigned i = 0; i < count; ++i)
        if (!filter_->take(frame_of(mbufs_[i]), mbufs_[i])) mbufs_[kept++] = mbufs_[i];
    return kept;
}

Frame PollLoop::frame_of(rte_mbuf* m) const {
    return {rte_pktmbuf_mtod(m, std::byte*), rte_pktmbuf_data_len(m), side_of_port_[m->port]};
}

bool PollLoop::is_usable(rte_mbuf* m) {
    if (m->nb_segs > 1) {
        if (rte_pktmbuf_linearize(m) != 0) return false;
        ++counters_.rx_linearized;
    }
    return rte_pktmbuf_headroom(m) >= kFrameHeadroom && rte_mbuf_refcnt_read(m) == 1;
}

void PollLoop::process(unsigned count, Instant now) {
    if (count == 0) return;
    for (unsigned i = 0; i < count; ++i) {
        frames_[i] = frame_of(mbufs_[i]);
        decisions_[i] = Disposition::drop;
    }
    target_.on_burst({frames_.data(), count}, {decisions_.data(), count}, now);
    for (unsigned i = 0; i < count; ++i) dispose(i);
}

void PollLoop::dispose(unsigned i) {
    rte_mbuf* m = mbufs_[i];
    if (decisions_[i] == Disposition::drop) {
        ++counters_.dropped_by_target;
        rte_pktmbuf_free(m);
        return;
    }
    // The target may have moved the frame's start within its headroom, or cut its end.
    std::ptrdiff_t moved = frames_[i].data - rte_pktmbuf_mtod(m, std::byte*);
    m->data_off = static_cast<uint16_t>(m->data_off + moved);
    m->data_len = static_cast<uint16_t>(frames_[i].length);
    m->pkt_len = frames_[i].length;
    m->ol_flags = 0;
    out_.forward(decisions_[i] == Disposition::transmit_front ? Side::front : Side::back, m);
}

void PollLoop::note_gap(Instant now) {
    if (!first_ && now - last_poll_ > options_.stall_bound) stall(now - last_poll_, now);
    if (first_) last_work_ = now;
    first_ = false;
    last_poll_ = now;
}

void PollLoop::stall(Duration gap, Instant now) {
    ++counters_.stalls;
    counters_.longest_stall_ns =
        std::max(counters_.longest_stall_ns, static_cast<uint64_t>(gap.ns));
    target_.on_stall(gap, now);
    last_poll_ = now;  // told once
}

void PollLoop::measure(Instant began, bool busy) {
    Instant end = clock_.now();
    Duration took = end - began;
    ++counters_.polls;
    (busy ? counters_.busy_ns : counters_.idle_ns) += static_cast<uint64_t>(took.ns);
    counters_.longest_cycle_ns =
        std::max(counters_.longest_cycle_ns, static_cast<uint64_t>(took.ns));
    if (took > options_.overrun_bound) ++counters_.overruns;
    if (rang_ && !busy) ++counters_.false_rings;
    if (!busy) return;
    ++counters_.busy_polls;
    cycles_.add(took);
    last_work_ = end;
    rang_ = false;
    backoff_.reset();
}

void PollLoop::rest() {
    Instant now = clock_.now();
    if (options_.idle == Idle::spin || now - last_work_ < options_.spin_for) return rte_pause();
    sleeper_.prepare();
    Duration bound = sleep_bound(now);
    if (bound.ns <= 0 || mailbox_.pending() || stop_.load() ||
        (handover_ != nullptr && handover_->waiting(options_.worker)))
        return sleeper_.cancel();
    ++counters_.sleeps;
    if (rang_) {
        // A descriptor says "readable" and the driver gives nothing (no free buffers, say).
        // Sleeping on it would be spinning.
        timespec t{.tv_sec = 0, .tv_nsec = std::min(bound, IdleBackoff::kFirst).ns};
        nanosleep(&t, nullptr);
        sleeper_.cancel();
        rang_ = false;
    } else {
        rang_ = sleeper_.sleep(bound) == Sleeper::Woken::descriptor;
    }
    counters_.idle_ns += static_cast<uint64_t>((clock_.now() - now).ns);
}

// Never past the next deadline, and never so long that the sleep itself looks like a stall.
Duration PollLoop::sleep_bound(Instant now) {
    Duration bound = options_.stall_bound / 2;
    Instant deadline = target_.next_deadline();
    if (deadline != Instant::max()) bound = std::min(bound, deadline - now);
    if (!all_ports_ring_) bound = std::min(bound, backoff_.next());
    return bound;
}

}  // namespace holdfast
