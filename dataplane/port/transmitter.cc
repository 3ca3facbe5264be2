#include "dataplane/port/transmitter.h"

#include <rte_mbuf.h>

#include <cstring>

namespace holdfast {

Transmitter::~Transmitter() {
    for (Batch& b : batches_)
        if (b.used > 0) rte_pktmbuf_free_bulk(b.frames.data(), b.used);
}

void Transmitter::attach(Side side, Port& port) {
    for (Batch& b : batches_) {
        if (b.port != nullptr && b.port != &port) continue;
        b.port = &port;
        of_side_[static_cast<size_t>(side)] = &b;
        return;
    }
}

void Transmitter::begin(Instant now) {
    stamp_ = now;
    stalled_ = {};
}

void Transmitter::transmit(Side side, Bytes frame) {
    MutableBytes to = compose(side, frame.size());
    if (!to.empty()) std::memcpy(to.data(), frame.data(), frame.size());
}

MutableBytes Transmitter::compose(Side side, size_t size) {
    rte_mbuf* m = rte_pktmbuf_alloc(pool_.handle());
    if (m == nullptr) {
        ++counters_.tx_no_buffer;
        return {};
    }
    char* data = size <= rte_pktmbuf_tailroom(m)
                     ? rte_pktmbuf_append(m, static_cast<uint16_t>(size))
                     : nullptr;
    if (data == nullptr) {
        ++counters_.tx_oversize;
        rte_pktmbuf_free(m);
        return {};
    }
    if (!add(side, m)) return {};
    return {reinterpret_cast<std::byte*>(data), size};
}

void Transmitter::forward(Side side, rte_mbuf* frame) { add(side, frame); }

// A full batch is sent before the next frame is added, so that the last one may still be filled in.
bool Transmitter::add(Side side, rte_mbuf* frame) {
    Batch* b = of_side_[static_cast<size_t>(side)];
    if (b == nullptr) {
        ++counters_.tx_no_port;
        rte_pktmbuf_free(frame);
        return false;
    }
    if (b->used == kBatch) send(*b);
    b->frames[b->used++] = frame;
    return true;
}

void Transmitter::flush() {
    for (Batch& b : batches_)
        if (b.used > 0) send(b);
}

void Transmitter::send(Batch& b) {
    std::span<rte_mbuf*> frames(b.frames.data(), b.used);
    unsigned sent = b.port->transmit(b.port->tx_queue_of(worker_), frames, [this] {
        if (stalled_.ns == 0 && clock_.now() - stamp_ > stall_bound_)
            stalled_ = clock_.now() - stamp_;
        return stalled_.ns == 0;
    });
    counters_.tx_frames += sent;
    (stalled_.ns == 0 ? counters_.tx_unsent : counters_.tx_stalled) += b.used - sent;
    if (sent < b.used) rte_pktmbuf_free_bulk(b.frames.data() + sent, b.used - sent);
    b.used = 0;
}

}  // namespace holdfast
