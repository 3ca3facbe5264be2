// Resumable sessions on their way between the workers of one node.
//
// A client that comes back may meet another worker than before: its port decides. So each worker
// gives every session of its shard to all others, who keep a copy and publish nothing. Between any
// two workers is a bounded queue each way; what finds it full is not shared, and its client begins
// anew there. Also tells whether all workers have what there is of a group: before that, a session
// may still come. All functions are for the worker they name, on its thread; nobody waits.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "base/cluster.h"
#include "base/spsc_queue.h"
#include "dataplane/tls/sessions.h"

namespace holdfast {

class TlsSessionExchange {
public:
    // `queue`: sessions between two workers, a power of two.
    TlsSessionExchange(unsigned workers, size_t queue);

    // How many of the others had no room for it.
    unsigned give(unsigned from, const TlsSession& session);
    // The next that others gave; nothing when there is none.
    std::unique_ptr<TlsSession> take(unsigned worker);

    void set_complete(unsigned worker, GroupId group, bool complete);
    bool complete(GroupId group) const;

private:
    using Queue = SpscQueue<std::unique_ptr<TlsSession>>;
    struct alignas(64) Groups {
        std::atomic<uint16_t> complete = 0;  // a bit each
    };
    static_assert(kMaxGroups <= 16);

    Queue& between(unsigned from, unsigned to) { return *queues_[from * workers_ + to]; }

    unsigned workers_;
    std::vector<std::unique_ptr<Queue>> queues_;
    std::vector<Groups> groups_;
};

}  // namespace holdfast
