#include "tests/simulation/world/membership_trace.h"

namespace holdfast::simulation {

std::string MembershipTrace::line_of(const NodeSeen& node) const {
    const std::string name = std::to_string(node.id);
    if (!node.worker) return name + " 0 0 0 0 0 0 0";
    const Membership& m = node.worker->replicator().membership();
    const Epoch epoch = m.epoch(group_);
    const uint64_t of = epoch.value % kMaxNodes;
    std::string line = name + " 1 ";
    line += m.role(group_) == Role::holder ? "1 " : "0 ";
    line += std::to_string(epoch.count()) + " " + std::to_string(of) + " ";
    if (m.role(group_) != Role::holder) return line + "0 0 0";
    return line + std::to_string(m.announced().number) + " " +
           std::to_string(m.announced().members.bits()) + " " +
           std::to_string(m.view().number == 0 ? 0 : m.view().members.bits());
}

void MembershipTrace::look(std::span<const NodeSeen> nodes, Instant now) {
    if (!begun_) return;
    last_.resize(nodes.size());
    for (size_t i = 0; i < nodes.size(); ++i) {
        std::string line = line_of(nodes[i]);
        if (line == last_[i]) continue;
        file_ << now.ns / 1'000 << " " << line << "\n";
        last_[i] = std::move(line);
    }
}

}  // namespace holdfast::simulation
