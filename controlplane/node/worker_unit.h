// All that belongs to one worker of a running node: the machine, its ring transport, its way out
// and its loop.
#pragma once

#include <expected>
#include <memory>
#include <string>

#include "controlplane/config/config.h"
#include "controlplane/node/epoch_file.h"
#include "controlplane/node/ring_link.h"
#include "controlplane/node/tls_services.h"
#include "dataplane/port/poll_loop.h"
#include "dataplane/port/port_transport.h"
#include "dataplane/worker.h"
#include "replication/transport/kernel_transport.h"
#include "replication/transport/loss_transport.h"

namespace holdfast {

// What the workers of a node share; outlives them.
struct SharedPorts {
    Port* front = nullptr;
    Port* back = nullptr;
    Port* ring = nullptr;  // none when the ring uses the kernel's UDP
    FramePool* pool = nullptr;
    Handover* handover = nullptr;  // none with one worker
    Clock* clock = nullptr;
    HeldGroups* held = nullptr;  // by worker 0; the others follow
    TlsServices* tls = nullptr;
};

class WorkerUnit {
public:
    static std::expected<std::unique_ptr<WorkerUnit>, std::string> create(
        const Config& config, uint8_t index, Incarnation incarnation, const SharedPorts& shared);

    uint8_t index() const { return index_; }
    Worker& worker() { return *worker_; }
    PollLoop& loop() { return *loop_; }
    Clock& clock() { return *shared_.clock; }
    const Transmitter& transmitter() const { return *out_; }
    // One of them.
    const KernelTransport* kernel_transport() const { return kernel_.get(); }
    const PortTransport* port_transport() const { return port_transport_.get(); }
    // Runs a function on the worker's thread, between two polls; false when it has stopped.
    template <typename Function>
    bool run(Function&& function) {
        return loop_->mailbox().run(std::forward<Function>(function));
    }

private:
    WorkerUnit(uint8_t index, const SharedPorts& shared) : index_(index), shared_(shared) {}
    std::expected<void, std::string> open_transport(const Config& config);
    std::expected<void, std::string> open_kernel_transport(const Config& config);
    void open_port_transport(const Config& config);
    void make_loop(const Config& config);
    RingTransport& transport();
    void make_worker(const Config& config, Incarnation incarnation);

    uint8_t index_;
    SharedPorts shared_;
    std::unique_ptr<EpochFile> epochs_;
    std::unique_ptr<KernelTransport> kernel_;
    std::unique_ptr<Transmitter> out_;
    std::unique_ptr<PortTransport> port_transport_;
    std::unique_ptr<LossTransport> loss_;
    std::unique_ptr<Worker> worker_;
    std::unique_ptr<RingLink> link_;
    std::unique_ptr<PollLoop> loop_;
};

}  // namespace holdfast
