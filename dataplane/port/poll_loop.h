// The loop of one worker: receive, let the worker decide, transmit, sleep when there is nothing.
//
// Stamps an Instant once a poll and drives a PollTarget with it. Frames stay in their buffers from
// receive to transmit. Finds out when the worker was not scheduled (between two polls, or between
// stamp and transmit) and tells the target before anything more leaves. Functions from the control
// thread are executed between polls (mailbox). After construction nothing allocates, logs or
// formats. One thread; stop(), mailbox() and Sleeper::wake may be used by others.
#pragma once

#include <array>
#include <atomic>
#include <vector>

#include "dataplane/frame.h"
#include "dataplane/port/clock.h"
#include "dataplane/port/flow_sorter.h"
#include "dataplane/port/handover.h"
#include "dataplane/port/loop_counters.h"
#include "dataplane/port/mailbox.h"
#include "dataplane/port/port.h"
#include "dataplane/port/ring_source.h"
#include "dataplane/port/sleeper.h"
#include "dataplane/port/transmitter.h"

namespace holdfast {

struct PollLoopOptions {
    unsigned worker = 0;
    unsigned workers = 1;
    Duration stall_bound = Duration::milliseconds(50);   // 1 ms to 1 s
    Duration overrun_bound = Duration::milliseconds(1);  // only counted
    Idle idle = Idle::sleep;
    // How long an idle worker polls on before it sleeps. A guess: what a wake-up costs.
    Duration spin_for = Duration::microseconds(5);
    // How flows belong to workers, with a handover.
    RssKey rss_key = kDefaultRssKey;
    uint16_t first_ring_port = 0;  // of a ring on DPDK ports; 0: the ring does not come that way
};

// Frames that are not for the target: the ring's own, on a port that carries it.
class FrameFilter {
public:
    virtual ~FrameFilter() = default;
    // True when it keeps the frame, with its buffer.
    virtual bool take(const Frame& frame, rte_mbuf* buffer) = 0;
};

class PollLoop {
public:
    static constexpr unsigned kBurst = 32;

    PollLoop(const PollLoopOptions& options, Clock& clock, Transmitter& out, PollTarget& target);

    // Before run(). A device that plays several roles is added once, under the first.
    void add_port(Side side, Port& port);
    void set_ring(RingSource& ring);
    void set_filter(FrameFilter& filter) { filter_ = &filter; }
    // Several workers: what is not ours goes to its owner, and what is ours comes this way too.
    void set_handover(Handover& handover);

    void run();   // until stop()
    bool poll();  // one cycle; true when it found something to do
    void stop();  // any thread

    Mailbox& mailbox() { return mailbox_; }
    // By the worker itself, or through the mailbox.
    const LoopCounters& counters() const { return counters_; }
    const CycleHistogram& cycles() const { return cycles_; }

private:
    struct Rx {
        Port* port;
        unsigned queue;
    };

    unsigned receive(const Rx& rx, Instant now);
    unsigned take_over(Instant now);
    unsigned keep_usable(const Rx& rx, unsigned count);
    unsigned filter(unsigned count);
    bool is_own(const Rx& rx, rte_mbuf* m);
    unsigned owner_of(const Rx& rx, rte_mbuf* m);
    void give(unsigned owner, rte_mbuf* m);
    Frame frame_of(rte_mbuf* m) const;
    bool is_usable(rte_mbuf* m);
    void process(unsigned count, Instant now);
    void dispose(unsigned i);
    void note_gap(Instant now);
    void stall(Duration gap, Instant now);
    void measure(Instant began, bool busy);
    void rest();
    Duration sleep_bound(Instant now);

    PollLoopOptions options_;
    Clock& clock_;
    Transmitter& out_;
    PollTarget& target_;
    RingSource* ring_ = nullptr;
    FrameFilter* filter_ = nullptr;
    Handover* handover_ = nullptr;
    std::vector<Rx> rx_;
    std::vector<Side> side_of_port_;  // by DPDK's number
    Sleeper sleeper_;
    Mailbox mailbox_;
    IdleBackoff backoff_;
    std::atomic<bool> stop_{false};

    FlowSorter sorter_;
    bool trust_hash_ = true;  // the device's hash has always been the one we compute
    uint64_t hashes_seen_ = 0;

    bool all_ports_ring_ = true;  // every source has a descriptor to sleep on
    bool rang_ = false;           // the last sleep ended by one
    bool first_ = true;
    Instant last_poll_;
    Instant last_work_;
    std::array<rte_mbuf*, kBurst> mbufs_;
    std::array<Frame, kBurst> frames_;
    std::array<Disposition, kBurst> decisions_;
    LoopCounters counters_;
    CycleHistogram cycles_;
};

}  // namespace holdfast
