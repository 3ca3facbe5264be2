// A node for the test of the daemon's life: it starts (unless its front device is "broken") and
// says on stderr what it was asked to do.
#include <cstdio>

#include "controlplane/api/fake_node_view.h"
#include "controlplane/node.h"

namespace holdfast {

namespace {

class FakeNode : public Node {
public:
    ~FakeNode() override { stop(); }
    NodeView& view() override { return view_; }
    bool secrets_are_locked() const override { return true; }
    bool alive() override { return true; }
    void stop() override {
        if (!running_) return;
        running_ = false;
        std::fprintf(stderr, "fake: stopped after %u handover(s)\n", view_.handovers);
    }

private:
    FakeNodeView view_;
    bool running_ = true;
};

}  // namespace

std::expected<std::unique_ptr<Node>, std::string> start_node(const Config& config, Incarnation) {
    if (config.front.device == "broken") return std::unexpected("the front device is broken");
    return std::make_unique<FakeNode>();
}

}  // namespace holdfast
