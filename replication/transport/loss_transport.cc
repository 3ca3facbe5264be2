#include "replication/transport/loss_transport.h"

#include <algorithm>
#include <cstring>

namespace holdfast {

LossTransport::LossTransport(RingTransport& inner, uint64_t seed, const LossOptions& options,
                             uint32_t queue, uint32_t mtu)
    : inner_(inner),
      random_(seed),
      options_(options),
      mtu_(mtu),
      memory_(std::make_unique<std::byte[]>(size_t{queue} * mtu)) {
    flights_.reserve(queue);
    free_.reserve(queue);
    for (uint32_t i = queue; i > 0; --i) free_.push_back(i - 1);
}

unsigned LossTransport::receive(DatagramSink& sink, unsigned limit, Instant now) {
    sink_ = &sink;
    passed_ = 0;
    inner_.receive(*this, limit, now);
    while (!flights_.empty() && flights_.front().due <= now && passed_ < limit) {
        std::pop_heap(flights_.begin(), flights_.end(), later);
        Flight f = flights_.back();
        flights_.pop_back();
        ++passed_;
        sink.on_datagram(Bytes(slot(f.slot), f.size), now);
        free_.push_back(f.slot);
    }
    return passed_;
}

Instant LossTransport::next_deadline() const {
    Instant own = flights_.empty() ? Instant::max() : flights_.front().due;
    return earlier(own, inner_.next_deadline());
}

void LossTransport::on_datagram(Bytes datagram, Instant now) {
    if (random_.chance(options_.loss)) {
        ++counters_.lost;
        return;
    }
    if (random_.chance(options_.duplicate)) {
        ++counters_.duplicated;
        pass(datagram, now);
    }
    pass(datagram, now);
}

void LossTransport::pass(Bytes datagram, Instant now) {
    Duration wait = options_.delay;
    if (options_.jitter.ns > 0)
        wait = wait + Duration{static_cast<int64_t>(
                          random_.below(static_cast<uint64_t>(options_.jitter.ns)))};
    bool room = !free_.empty() && datagram.size() <= mtu_;
    if (wait.ns == 0 || !room) {
        if (wait.ns != 0) ++counters_.not_delayed;
        ++passed_;
        sink_->on_datagram(datagram, now);
        return;
    }
    ++counters_.delayed;
    uint32_t s = free_.back();
    free_.pop_back();
    std::memcpy(slot(s), datagram.data(), datagram.size());
    flights_.push_back({now + wait, order_++, s, static_cast<uint32_t>(datagram.size())});
    std::push_heap(flights_.begin(), flights_.end(), later);
}

}  // namespace holdfast
