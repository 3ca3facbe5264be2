// A node's snapshot as Prometheus metrics, and the three paths that serve them:
//
//   /metrics   the text
//   /healthz   200 while the workers answer
//   /readyz    likewise; ?role=holder: 503 unless this node holds a group (?group=N: that one)
//
// Names are holdfast_*, base units, no label grows with clients or sessions. Module counters are
// summed over the workers: a node stays below 500 series; `holdctl ring` has them by worker.
// One snapshot serves all scrapes within kSnapshotAge. Called from several threads.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "base/time.h"
#include "controlplane/api/node_view.h"
#include "controlplane/api/server.h"

namespace holdfast {

std::string metrics_text(const snapshot::Node& node, const std::string& version);

class MetricsEndpoint {
public:
    static constexpr Duration kSnapshotAge = Duration::milliseconds(500);

    MetricsEndpoint(NodeView& view, std::string version, std::function<Instant()> clock)
        : view_(view), version_(std::move(version)), clock_(std::move(clock)) {}
    HttpReply handle(const ApiRequest& request);

private:
    Answer<snapshot::Node> node();
    HttpReply ready(const ApiRequest& request, const snapshot::Node& node) const;

    NodeView& view_;
    const std::string version_;
    const std::function<Instant()> clock_;
    std::mutex mutex_;
    std::optional<snapshot::Node> cached_;
    Instant cached_at_;
};

}  // namespace holdfast
