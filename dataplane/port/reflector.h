// A stand-in for the packet worker, for tests and measurements of ports: sends every frame back
// where it came from, addresses swapped, in place.
//
// Answers ARP requests, ICMP echo requests (IPv4) and UDP datagrams so that `ping` and a UDP client
// see a live host behind any address; everything else goes back with its Ethernet addresses
// swapped.
#pragma once

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "dataplane/frame.h"
#include "dataplane/wire/address.h"

namespace holdfast {

class Reflector : public PollTarget {
public:
    explicit Reflector(MacAddress own) : own_(own) {}

    void on_burst(std::span<Frame> frames, std::span<Disposition> out, Instant) override {
        for (size_t i = 0; i < frames.size(); ++i) {
            if (wire_)
                out[i] = frames[i].in == Side::back ? Disposition::transmit_front
                                                    : Disposition::transmit_back;
            else
                out[i] = reflect(frames[i]) ? side_of(frames[i].in) : Disposition::drop;
            ++frames_;
        }
    }
    void on_ring_datagram(Bytes, Instant) override { ++datagrams_; }
    void on_burst_end(Instant) override {}
    Instant next_deadline() const override { return deadline_; }
    void on_deadline(Instant now) override {
        deadline_ = now + interval_;
        ++deadlines_;
    }
    void on_stall(Duration, Instant) override { ++stalls_; }

    // Instead, be a piece of wire between front and back.
    void be_a_wire() { wire_ = true; }
    // Like a ring's heartbeat: something to wake up for.
    void tick_every(Duration interval) {
        interval_ = interval;
        deadline_ = {0};
    }
    uint64_t frames() const { return frames_; }
    uint64_t deadlines() const { return deadlines_; }
    uint64_t stalls() const { return stalls_; }

private:
    static Disposition side_of(Side side) {
        return side == Side::back ? Disposition::transmit_back : Disposition::transmit_front;
    }

    bool reflect(Frame& f) const {
        if (f.length < 14) return false;
        std::byte* p = f.data;
        uint16_t type = load_be<uint16_t>(p + 12);
        if (type == 0x0806 && f.length >= 42) return answer_arp(p);
        std::swap_ranges(p, p + 6, p + 6);
        if (type == 0x0800 && f.length >= 34) answer_ipv4(p + 14, f.length - 14);
        if (type == 0x86dd && f.length >= 62) answer_ipv6(p + 14);
        return true;
    }
    bool answer_arp(std::byte* p) const {
        std::byte* arp = p + 14;
        if (load_be<uint16_t>(arp + 6) != 1) return false;
        std::byte target[4];
        std::memcpy(target, arp + 24, 4);
        std::memcpy(arp + 18, arp + 8, 10);  // asker becomes target
        std::memcpy(arp + 8, own_.bytes.data(), 6);
        std::memcpy(arp + 14, target, 4);
        store_be<uint16_t>(arp + 6, 2);
        std::memcpy(p, arp + 18, 6);
        std::memcpy(p + 6, own_.bytes.data(), 6);
        return true;
    }
    // Swapping addresses or ports leaves every checksum as it was.
    static void answer_ipv4(std::byte* ip, uint32_t length) {
        std::swap_ranges(ip + 12, ip + 16, ip + 16);
        uint32_t header = (static_cast<uint32_t>(ip[0]) & 15) * 4;
        if (length < header + 8) return;
        std::byte* l4 = ip + header;
        if (ip[9] == std::byte{17}) std::swap_ranges(l4, l4 + 2, l4 + 2);
        if (ip[9] == std::byte{1} && l4[0] == std::byte{8}) {
            l4[0] = std::byte{0};
            uint32_t sum = load_be<uint16_t>(l4 + 2) + 0x0800u;  // RFC 1624
            store_be(l4 + 2, static_cast<uint16_t>((sum & 0xffff) + (sum >> 16)));
        }
    }

    static void answer_ipv6(std::byte* ip) {
        std::swap_ranges(ip + 8, ip + 24, ip + 24);
        if (ip[6] == std::byte{17}) std::swap_ranges(ip + 40, ip + 42, ip + 42);
    }

    MacAddress own_;
    bool wire_ = false;
    Duration interval_ = Duration::max();
    Instant deadline_ = Instant::max();
    uint64_t frames_ = 0, datagrams_ = 0, deadlines_ = 0, stalls_ = 0;
};

}  // namespace holdfast
