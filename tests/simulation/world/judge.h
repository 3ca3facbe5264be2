// Judges watch what leaves the nodes of a world and hold it against one invariant each. They know
// the product's state only where the invariant is about it, and change nothing.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataplane/worker.h"
#include "tests/simulation/world/simple_wire.h"

namespace holdfast::simulation {

// A node as judges see it.
struct NodeSeen {
    uint8_t id = 0;
    const Worker* worker = nullptr;  // none: dead
    bool paused = false;
    bool ring_cut = false;
    Instant cut_since{};  // on the world's clock
    Instant clock{};      // its own
};

struct FrameSeen {
    const NodeSeen& from;
    Side side;
    MacAddress source;
    const Segment* segment;  // none: not TCP
};

class Judge {
public:
    virtual ~Judge() = default;
    virtual const char* name() const = 0;
    virtual void on_frame(const FrameSeen&, std::span<const NodeSeen>, Instant) {}
    virtual void on_host_segment(const Segment&) {}
    virtual void on_ring(const NodeSeen&, Bytes, Instant) {}
    // Now and then.
    virtual void on_look(std::span<const NodeSeen>, Instant) {}

    const std::vector<std::string>& complaints() const { return complaints_; }

protected:
    void complain(Instant now, const std::string& what) {
        if (complaints_.size() < 5)
            complaints_.push_back(std::to_string(now.ns / 1'000) + " us: " + name() + ": " + what);
    }

private:
    std::vector<std::string> complaints_;
};

}  // namespace holdfast::simulation
