// For tests: two endpoints over a virtual wire in virtual time, every segment a real packet with
// its checksum verified, and the rules that hold after every event.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "dataplane/tcp/endpoint.h"
#include "dataplane/wire/testing.h"

namespace holdfast::testing {

struct WireFaults {
    Duration delay = Duration::milliseconds(10);
    Duration jitter{};  // up to that much more: reorders
    double loss = 0, duplicate = 0, mark = 0;
};

std::string describe(const TcpEndpoint& end);

// One side: an endpoint, what it has to say, and what it heard.
class TcpSide final : public TcpOutput {
public:
    using Transmit = std::function<void(Buffer packet, bool ect)>;
    TcpSide(const char* side_name, const TcpConfig& side_config, ChunkPool& pool, Endpoint self,
            Endpoint other, uint8_t stream)
        : name(side_name),
          config(side_config),
          self_(self),
          other_(other),
          stream_(stream),
          pool_(pool) {
        remake();
    }
    // A fresh endpoint, as after a crash.
    void remake() { end = std::make_unique<TcpEndpoint>(config, pool_); }

    void transmit(const TcpEndpoint& e, const TcpSegment& header, const TcpOptions& options,
                  std::span<const Bytes> payload) override;
    size_t deliver(Bytes bytes) override;
    void on_tcp_event(TcpEvent event) override { events.push_back(event); }

    // What is to be said and heard is a function of the position alone.
    static std::byte at(uint8_t stream, uint64_t offset) {
        return static_cast<std::byte>(mix64(offset / 8 + stream * 0x100000000ull) >>
                                      offset % 8 * 8);
    }
    // Writes what there is room for, and the end when all is written.
    void pump();
    void check();
    std::string describe() const;
    bool saw(TcpEvent event) const { return std::ranges::count(events, event) > 0; }
    bool said_all() const { return written == to_say; }

    const char* name;
    TcpConfig config;
    std::unique_ptr<TcpEndpoint> end;
    Transmit wire;
    std::vector<TcpEvent> events;
    uint64_t to_say = 0, written = 0, heard = 0;
    bool then_close = false;
    // A slow reader: heard bytes wait here and are drained from time to time.
    uint32_t reader_capacity = 0, waiting = 0;
    uint64_t sent_segments = 0, resets = 0;
    Duration clock{};  // of this side's node, ahead of the world's

private:
    Endpoint self_, other_;
    uint8_t stream_;
    ChunkPool& pool_;
    // What the wire has seen, to be compared with what it sees next.
    bool acked_ = false, stamped_ = false;
    SeqNum ack_, edge_;
    uint32_t stamp_ = 0;
    friend class TcpWorld;
};

class TcpWorld {
public:
    explicit TcpWorld(const TcpConfig& config = {}, WireFaults wire_faults = {}, uint64_t seed = 1,
                      bool v4 = true);

    void connect();  // a to b
    void run_until(const std::function<bool()>& done, Duration limit);
    void run_for(Duration d) {
        const Instant end = now + d;
        run_until([] { return false; }, d);
        now = end;
    }
    bool step(Instant limit);  // the next event, if it is before
    void settle(TcpSide& side);
    // The side's node dies; another, with another clock, carries on from the record.
    void take_over(TcpSide& side, Duration new_clock);
    // Its endpoint is replaced by one that carries on as if nothing had happened.
    void replace(TcpSide& side);

    ChunkPool pool{4096};
    WireFaults faults;
    Random random;
    Instant now{Duration::seconds(1000).ns};
    TcpSide a, b;
    bool b_listens = true;
    // Looked at before a packet is put on the wire: false loses it.
    std::function<bool(const TcpSide& from, const TcpSegment&, Bytes payload)> filter;
    std::function<void(TcpSide&)> after_event;
    uint64_t on_wire = 0;

private:
    struct Packet {
        TcpSide* to;
        Buffer bytes;
        bool marked;
    };
    void send(TcpSide& from, TcpSide& to, Buffer packet, bool ect);
    void arrive(const Packet& packet);
    Instant here(const TcpSide& side) const { return now + side.clock; }
    Instant deadline(const TcpSide& side) const {
        const Instant at = side.end->next_deadline();
        return at == Instant::max() ? at : at - side.clock;
    }
    std::multimap<Instant, Packet> wire_;
};

}  // namespace holdfast::testing
