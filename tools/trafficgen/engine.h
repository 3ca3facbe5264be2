// The generator without ports and clock: frames in, frames out, time passed in.
//
// Clients and servers of one run, with what is between them and the wire: which frame is whose, ARP
// and ND, the schedules that say what is due, and attacks. A run goes through phases: the targets'
// Ethernet addresses are asked for; with a profile of sessions all of them are opened; then the
// schedule decides, until stop(). Single-threaded; allocates at construction, for new neighbours
// and for gaps.
#pragma once

#include "dataplane/drop.h"
#include "dataplane/wire/icmp.h"
#include "tools/trafficgen/attacker.h"
#include "tools/trafficgen/clients.h"
#include "tools/trafficgen/schedule.h"
#include "tools/trafficgen/servers.h"

namespace holdfast::gen {

struct EngineOptions {
    Addresses addresses;
    Profile profile;
    Link front, back;
    uint64_t seed = 1;
    TransferLimits limits;
    Duration timeout = Duration::milliseconds(200);  // of a segment: as Linux has it at least
    Duration gap = Duration::milliseconds(20);       // silence that counts as a gap
};

enum class Phase : uint8_t { stopped, resolving, opening, running };
constexpr const char* to_string(Phase p) {
    constexpr const char* kNames[] = {"stopped", "resolving", "opening", "running"};
    return kNames[static_cast<size_t>(p)];
}

class Engine {
public:
    Engine(const EngineOptions& options, FrameOut& out, Instant now);

    void start(Instant now);
    // Nothing more becomes due; what was is still sent, and may be answered.
    void stop(Instant now);
    // Requests or connections a second; from now on.
    void set_rate(double rate, Instant now);
    void set_attack(const Attack& attack, Instant now);

    void on_frame(unsigned port, Bytes frame, Instant now);
    Instant next_deadline() const;
    void on_deadline(Instant now);
    // The loop was not running for that long: what the clients saw meanwhile is our own doing.
    void on_stall(Duration gap);
    // Resets all sessions, some at each call; false when none is left.
    bool hang_up(Instant now) { return clients_.reset_some(hung_up_, kAtOnce, now); }

    Phase phase() const { return phase_; }
    const Profile& profile() const { return options_.profile; }
    const Addresses& addresses() const { return options_.addresses; }
    uint64_t seed() const { return options_.seed; }
    const GenCounters& counters() const { return counters_; }
    const DropCounters& drops() const { return drops_; }
    const FailoverDetector& detector() const { return detector_; }
    const Latencies& latencies() const { return latencies_; }
    const Clients& clients() const { return clients_; }
    const Servers& servers() const { return servers_; }
    // Due and not sent, because the generator itself does not keep up.
    uint64_t owed(Instant now) const { return requests_.owed(now); }
    // Counters, histograms and gaps begin anew; sessions stay.
    void clear();

private:
    // Counts on the way.
    class Counting final : public FrameOut {
    public:
        Counting(FrameOut& out, GenCounters& counters) : out_(out), counters_(counters) {}
        MutableBytes compose(unsigned port, size_t size) override {
            const MutableBytes room = out_.compose(port, size);
            ++(room.empty() ? counters_.tx_no_room : counters_.tx_frames);
            counters_.tx_octets += room.size();
            return room;
        }

    private:
        FrameOut& out_;
        GenCounters& counters_;
    };
    static constexpr unsigned kAtOnce = 64;  // sent in a poll, so that frames are not kept waiting

    bool is_ours(const IpAddress& address) const;
    void on_ip(unsigned port, const EthernetHeader& ethernet, Bytes packet, Instant now);
    void on_tcp(unsigned port, const EthernetHeader& ethernet, const IpHeader& ip, Bytes segment,
                Instant now);
    void on_nobodys(const IpAddress& address);
    void on_icmp(unsigned port, const EthernetHeader& ethernet, const IpHeader& ip, Bytes packet,
                 Instant now);
    void on_error(const IpHeader& ip, const IcmpHeader& icmp, Bytes quote, Instant now);
    void echo(unsigned port, const EthernetHeader& ethernet, const IpHeader& ip, Bytes packet);
    void open_some(Instant now);
    void run_some(Instant now);
    void run(Instant now);

    EngineOptions options_;
    ClassTable classes_;
    GenCounters counters_;
    Counting out_;
    DropCounters drops_;
    FailoverDetector detector_;
    Latencies latencies_;
    Neighbors neighbors_;
    Context context_;
    Clients clients_;
    Servers servers_;
    Attacker attacker_;
    Schedule opens_, requests_;
    uint32_t to_open_ = 0;
    uint32_t hung_up_ = 0;
    Phase phase_ = Phase::stopped;
};

}  // namespace holdfast::gen
