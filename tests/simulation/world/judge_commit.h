// I2: a packet that reveals a session leaves when as many standbys hold it as was asked for: the
// SYN-ACK its header and alias, the first frame to a backend what was agreed with it. A TLS
// connection is promised to nobody before its handshake is done. What was said once reveals nothing
// when it is said again.
#pragma once

#include <set>

#include "tests/simulation/copies_held.h"
#include "tests/simulation/world/judge.h"

namespace holdfast::simulation {

class CommitJudge final : public Judge {
public:
    CommitJudge(MacAddress virtual_mac, Mode mode, CopiesWanted wanted)
        : mac_(virtual_mac), mode_(mode), wanted_(wanted) {}
    const char* name() const override { return "commit"; }

    void on_frame(const FrameSeen& f, std::span<const NodeSeen> nodes, Instant now) override {
        if (f.source != mac_ || !f.segment || !f.segment->has(Segment::kAck) ||
            f.segment->has(Segment::kRst))
            return;
        const bool syn = f.segment->has(Segment::kSyn);
        const bool accepts = !syn && f.side == Side::back && mode_ != Mode::forward;
        const std::pair flow{f.segment->to, f.segment->from};
        const std::pair opening{flow, f.segment->seq};
        if (syn && (f.side == Side::back || mode_ == Mode::tls)) return;
        if ((!syn && !accepts) || (accepts && accepted_.contains(flow)) ||
            (syn && opened_.contains(opening)))
            return;
        const SessionTable& sessions = f.from.worker->forwarder().sessions();
        const SessionIndex index = accepts ? sessions.find_backend(flow.first, flow.second)
                                           : sessions.find_client(flow.first, flow.second);
        const char* what = syn ? "a SYN-ACK" : "an acceptance";
        if (!index) return complain(now, std::string(what) + " of no session");
        std::vector<const Worker*> workers;
        for (const NodeSeen& n : nodes) workers.push_back(n.worker);
        CopiesWanted wanted = wanted_;
        wanted.agreed = accepts;
        const std::string missing =
            missing_copies(*f.from.worker, index, wanted, workers, f.from.clock);
        if (!missing.empty()) return complain(now, std::string(what) + " " + missing);
        accepts ? void(accepted_.insert(flow)) : void(opened_.insert(opening));
    }

private:
    MacAddress mac_;
    Mode mode_;
    CopiesWanted wanted_;
    std::set<std::pair<Endpoint, Endpoint>> accepted_;
    std::set<std::pair<std::pair<Endpoint, Endpoint>, uint32_t>> opened_;
};

}  // namespace holdfast::simulation
