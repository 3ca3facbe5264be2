// A TCP for the simulator's hosts, as simple as can be and independent of the product's (RFC 9293):
// no SACK, no window scale, timestamps if asked for; what is lost is sent again after a timeout or
// three duplicate ACKs. Offsets count from the SYN: it is 0, data begins at 1.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/time.h"
#include "tests/simulation/world/simple_wire.h"

namespace holdfast::simulation {

class SimpleTcp {
public:
    enum class State { listening, opening, accepting, open, reset };
    struct Options {
        uint16_t mss = 1'460;
        uint16_t window = 65'535;
        bool timestamps = false;
    };
    using Send = std::function<void(const Segment&)>;

    SimpleTcp(const Options& options, Endpoint self, Endpoint peer, uint32_t isn, Send send);

    void connect(Instant now);
    void on_segment(const Segment& s, Instant now);
    Instant next_deadline() const { return deadline_; }
    void on_deadline(Instant now);

    void write(std::string_view octets, Instant now);
    void close(Instant now);  // after all that was written
    // What came in order and was not taken yet; taking it opens the window.
    std::string take(Instant now);
    size_t waiting() const { return received_.size(); }
    size_t unacknowledged() const { return unsent_and_unacked_.size(); }

    State state() const { return state_; }
    bool peer_closed() const { return peer_fin_taken_; }
    bool all_acknowledged() const { return fin_acked_; }
    const Endpoint& self() const { return self_; }
    const Endpoint& peer() const { return peer_; }
    std::string describe() const;

private:
    static constexpr Duration kFirstTimeout = Duration::milliseconds(250),
                              kLongestTimeout = Duration::seconds(4);
    static constexpr size_t kInFlight = 16;  // segments

    void on_syn(const Segment& s, Instant now);
    void refuse(const Segment& s);
    void on_acknowledgement(const Segment& s, Instant now);
    void on_data(const Segment& s, Instant now);
    void on_reset(const Segment& s, Instant now);
    uint64_t end() const { return una_ + unsent_and_unacked_.size() + (una_ == 0 ? 1 : 0); }
    void push(Instant now);
    void send_at(uint64_t offset, size_t size, Instant now);
    void send(uint8_t flags, uint64_t offset, std::string data, Instant now);
    void acknowledge(Instant now) { send(Segment::kAck, highest_, {}, now); }
    void arm(Instant now) { deadline_ = now + timeout_; }
    uint16_t room() const;

    Options options_;
    Endpoint self_, peer_;
    uint32_t isn_, peer_isn_ = 0;
    Send send_;
    State state_ = State::listening;
    // Sending: `una_` to `next_` is in flight.
    std::string unsent_and_unacked_;
    uint64_t una_ = 0, next_ = 0, highest_ = 0;
    uint32_t peer_window_ = 0;
    unsigned duplicates_ = 0;
    bool closing_ = false, fin_acked_ = false;
    // Receiving.
    uint64_t expected_ = 0;
    std::string received_;
    std::map<uint64_t, std::string> early_;
    std::optional<uint64_t> fin_at_;
    bool peer_fin_taken_ = false;
    uint32_t ts_recent_ = 0;
    Duration timeout_ = kFirstTimeout;
    Instant deadline_ = Instant::max();
};

}  // namespace holdfast::simulation
