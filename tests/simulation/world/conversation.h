// One connection of the simulator's: a client, the server that the appliance brings it to, and what
// each has to say. Every octet is a function of the stream's number and its offset; the first eight
// of a client's are the number, so that a server knows whom it hears.
//
// The judge of I1 is here: what is read is what was written, no end comes before its time.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/random.h"
#include "dataplane/tls/testing.h"
#include "tests/simulation/world/simple_tcp.h"

namespace holdfast::simulation {

struct Talk {
    uint32_t number = 0;
    Instant begins{};
    uint64_t client_says = 8, server_says = 8;  // octets; at least 8
    uint32_t burst = 4'000;                     // octets at once, then a pause
    Duration pause{};
    bool timestamps = false, v6 = false, tls = false;
    int tls_version = 0;
    uint16_t window = 65'535;
};

class Speaker {
public:
    // `stream` is said; `hears` is expected, once it is known.
    Speaker(const Talk& talk, uint64_t stream, uint64_t to_say, const SimpleTcp::Options& options,
            Endpoint self, Endpoint peer, uint32_t isn, SimpleTcp::Send send);

    void connect(Instant now);
    void on_segment(const Segment& s, Instant now);
    Instant next_deadline() const { return deadline_; }
    void on_deadline(Instant now);
    void hear(uint64_t stream, uint64_t length);
    void speak(uint64_t stream, uint64_t to_say, const Talk& talk, Instant now);

    // Has said and read all, and both know that it is all.
    bool ended() const;
    bool was_reset() const { return tcp.state() == SimpleTcp::State::reset; }
    uint64_t heard() const { return heard_; }
    // The number that the client's stream begins with, once it is here and until hear().
    std::optional<uint64_t> introduced() const;
    const std::string& complaint() const { return complaint_; }
    std::string describe() const;

    SimpleTcp tcp;
    std::unique_ptr<tls_testing::Client> tls;  // clients of `tls` services

    static std::string octets_of(uint64_t stream, uint64_t offset, size_t size);

private:
    void read(Instant now);
    void check(std::string_view octets);
    bool may_say() const;
    void say(Instant now);
    void arm();

    Talk talk_;
    uint64_t stream_, to_say_, said_ = 0, heard_ = 0;
    std::optional<uint64_t> hears_;
    uint64_t length_ = 0;
    std::string unchecked_, complaint_;
    bool closed_ = false;
    Instant next_burst_{}, deadline_ = Instant::max();
};

}  // namespace holdfast::simulation
