// ARP and neighbour discovery for all of our addresses, and what a switch between the ports and
// us would know: behind which port an Ethernet address was seen last.
//
// Several ports may carry one side: each leads to another node of the appliance. An announcement
// (gratuitous ARP, unsolicited advertisement), or any frame, from another port moves what is sent
// to that address there, as a learning switch would. Pure; what is asked and answered is written
// into the FrameOut. Entries do not expire; they are asked for again when somebody gets no answer.
#pragma once

#include <functional>
#include <unordered_map>
#include <vector>

#include "base/random.h"
#include "dataplane/neighbor/answer.h"
#include "tools/trafficgen/frame_out.h"
#include "tools/trafficgen/gen_counters.h"

namespace holdfast::gen {

struct Link {  // one side: ports between which we are the switch
    std::vector<unsigned> ports;
    MacAddress mac;                // ours, on all of them
    IpAddress own_v4{}, own_v6{};  // who asks; all zeros: nobody of that family
};

class Neighbors {
public:
    static constexpr uint16_t kNone = UINT16_MAX;
    static constexpr size_t kMost = 4096;
    static constexpr Duration kAskAgain = Duration::milliseconds(200);

    // `ours` says which addresses we answer for.
    Neighbors(Link front, Link back, FrameOut& out, GenCounters& counters,
              std::function<bool(const IpAddress&)> ours);

    // An address that will be sent to; kNone when there are too many.
    uint16_t add(const IpAddress& address, Side side);
    // What a frame from it showed.
    uint16_t learn(const IpAddress& address, Side side, const MacAddress& mac, unsigned port);
    // nullptr when it is not known yet: it was asked for.
    const Hop* hop(uint16_t neighbor, Instant now) {
        Entry& e = entries_[neighbor];
        if (e.known) [[likely]]
            return &e.hop;
        ask(e, now);
        return nullptr;
    }
    bool known(uint16_t neighbor) const { return entries_[neighbor].known; }
    // Somebody does not answer: is it still there? Asked at most every kAskAgain.
    void doubt(uint16_t neighbor, Instant now) { ask(entries_[neighbor], now); }

    // Of every frame that arrived.
    void on_source(unsigned port, const MacAddress& mac) {
        const uint16_t at = port < last_.size() ? last_[port] : kNone;
        if (at != kNone && stations_[at].port == port && stations_[at].mac == mac) [[likely]]
            return;
        station(port, mac);
    }
    void on_arp(unsigned port, const EthernetHeader& ethernet, Bytes body);
    void on_nd(unsigned port, const EthernetHeader& ethernet, const IpHeader& ip, Bytes icmp);

private:
    struct Entry {
        IpAddress address;
        Side side = Side::front;
        bool known = false;
        Hop hop{};
        Instant asked{};
    };
    struct Station {
        MacAddress mac;
        unsigned port;
    };
    struct HashAddress {
        size_t operator()(const IpAddress& a) const {
            const auto w = a.words();
            return mix64(w[0] ^ mix64(w[1]));
        }
    };

    Link& link(Side side) { return side == Side::front ? front_ : back_; }
    Side side_of(unsigned port) const;
    void station(unsigned port, const MacAddress& mac);
    void ask(Entry& entry, Instant now);
    void heard(const IpAddress& address, const MacAddress& mac, unsigned port);

    Link front_, back_;
    FrameOut& out_;
    GenCounters& counters_;
    std::function<bool(const IpAddress&)> ours_;
    std::vector<Entry> entries_;
    std::unordered_map<IpAddress, uint16_t, HashAddress> by_address_;
    std::vector<Station> stations_;
    std::vector<uint16_t> last_;  // of each port: the station it heard last
};

}  // namespace holdfast::gen
