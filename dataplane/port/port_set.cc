#include "dataplane/port/port_set.h"

#include <rte_mbuf.h>

namespace holdfast {

PortSet::~PortSet() {
    for (Batch& b : batches_)
        if (b.used > 0) rte_pktmbuf_free_bulk(b.frames.data(), b.used);
}

unsigned PortSet::add(Port& port) {
    batches_.push_back({.port = &port, .used = 0, .frames = {}});
    return static_cast<unsigned>(batches_.size() - 1);
}

unsigned PortSet::receive(FrameSink& sink) {
    unsigned all = 0;
    for (unsigned number = 0; number < batches_.size(); ++number) {
        std::array<rte_mbuf*, kBurst> burst;
        const unsigned n = batches_[number].port->receive(0, burst);
        for (unsigned i = 0; i < n; ++i) {
            rte_mbuf* m = burst[i];
            if (i + 1 < n) __builtin_prefetch(rte_pktmbuf_mtod(burst[i + 1], void*));
            if (m->nb_segs > 1 && rte_pktmbuf_linearize(m) != 0)
                ++counters_.unusable;
            else
                sink.on_frame(number, {rte_pktmbuf_mtod(m, std::byte*), rte_pktmbuf_data_len(m)});
        }
        if (n > 0) rte_pktmbuf_free_bulk(burst.data(), n);
        all += n;
    }
    return all;
}

// A full batch is sent before the next frame is added, so that the last one may still be filled in.
MutableBytes PortSet::compose(unsigned port, size_t size) {
    Batch& b = batches_[port];
    rte_mbuf* m = rte_pktmbuf_alloc(pool_.handle());
    if (m == nullptr) {
        ++counters_.no_buffer;
        return {};
    }
    if (size > rte_pktmbuf_tailroom(m)) {
        ++counters_.oversize;
        rte_pktmbuf_free(m);
        return {};
    }
    if (b.used == kBurst) send(b);
    b.frames[b.used++] = m;
    char* data = rte_pktmbuf_append(m, static_cast<uint16_t>(size));
    return {reinterpret_cast<std::byte*>(data), size};
}

void PortSet::flush() {
    for (Batch& b : batches_)
        if (b.used > 0) send(b);
}

void PortSet::clear_counters() {
    counters_ = {};
    for (Batch& b : batches_) b.port->reset_stats();
}

void PortSet::send(Batch& b) {
    const std::span<rte_mbuf*> frames(b.frames.data(), b.used);
    const unsigned sent = b.port->transmit(0, frames, [] { return true; });
    counters_.sent += sent;
    counters_.unsent += b.used - sent;
    if (sent < b.used) rte_pktmbuf_free_bulk(b.frames.data() + sent, b.used - sent);
    b.used = 0;
}

}  // namespace holdfast
