// What passes between the ports and the packet worker: frames in place, what to do with each, and
// where frames made by the worker itself go.
#pragma once

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "base/time.h"

namespace holdfast {

// A port's role. One device may play several; a frame's role is then decided by its addresses.
enum class Side : uint8_t { front, back, ring };

// A received Ethernet frame without FCS, linear and writable in place. At least kFrameHeadroom
// bytes before data belong to the frame too.
inline constexpr uint32_t kFrameHeadroom = 64;
struct Frame {
    std::byte* data = nullptr;
    uint32_t length = 0;
    Side in = Side::front;
};

enum class Disposition : uint8_t {
    drop,            // free it
    transmit_front,  // send the frame, rewritten in place, out of the front port
    transmit_back,
};

// Frames that are not a received frame passed on: replies, announcements, released SYN-ACKs. Copied
// by the callee.
class Outlet {
public:
    virtual ~Outlet() = default;
    virtual void transmit(Side side, Bytes frame) = 0;
};

// What the poll loop drives: the packet worker, or a test's stand-in for it. Single-threaded.
class PollTarget {
public:
    virtual ~PollTarget() = default;
    // One burst of received frames. out[i] says what becomes of frames[i].
    virtual void on_burst(std::span<Frame> frames, std::span<Disposition> out, Instant now) = 0;
    // One replication datagram (UDP payload) from the ring.
    virtual void on_ring_datagram(Bytes datagram, Instant now) = 0;
    // Called after each poll that received anything: flush what was batched.
    virtual void on_burst_end(Instant now) = 0;
    virtual Instant next_deadline() const = 0;
    virtual void on_deadline(Instant now) = 0;
    // The worker was not scheduled for longer than the stall bound: `gap` lies between two polls,
    // or between stamping a poll's time and its transmit burst. Nothing may leave until epochs are
    // confirmed again.
    virtual void on_stall(Duration gap, Instant now) = 0;
};

}  // namespace holdfast
