// NORM (RFC 5740), Debian's libnorm: a stream with the settings of its own normStreamer for speed:
// no congestion control, 1.6 Gbit/s, blocks of 64 without parity, no back-off, and flow control by
// acknowledged watermarks. Messages are flushed actively when they come one by one (its passive
// flush takes seconds to show a lost tail).
#include <normApi.h>
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <vector>

#include "tests/bench/ring_peer.h"

namespace holdfast::bench {
namespace {

class NormPeer : public Peer {
public:
    NormPeer(const PeerOptions& o, Deliver deliver)
        : options_(o), deliver_(std::move(deliver)), message_(o.size) {
        instance_ = NormCreateInstance();
        session_ = NormCreateSession(instance_, o.group.c_str(), o.port, o.node + 1);
        NormSetMulticastInterface(session_, o.interface.c_str());
        NormSetRxPortReuse(session_, true);
        NormSetGrttEstimate(session_, 0.001);
        NormSetBackoffFactor(session_, 0);
        if (!o.sender) {
            NormStartReceiver(session_, 32u << 20);
            NormSetRxSocketBuffer(session_, 4u << 20);
            return;
        }
        NormSetTxRate(session_, 1.6e9);
        NormStartSender(session_, NormGetRandomSessionId(), 32u << 20, 1400, 64, 0);
        NormSetTxSocketBuffer(session_, 4u << 20);
        for (unsigned n = 1; n < o.nodes; ++n) NormAddAckingNode(session_, n + 1);
        NormSetFlowControl(session_, 0);  // ours instead
        stream_ = NormStreamOpen(session_, kWindow * 2);
        started_ = clock_now();
    }
    ~NormPeer() override { NormDestroyInstance(instance_); }

    // It has no way to tell; the receivers were started before.
    bool ready() override { return clock_now() - started_ > Duration::milliseconds(300); }

    bool offer(Bytes message) override {
        if (unacknowledged_ + message.size() > kWindow) return false;
        size_t size = message.size() - written_;
        written_ +=
            NormStreamWrite(stream_, reinterpret_cast<const char*>(message.data()) + written_,
                            static_cast<unsigned>(size));
        if (written_ < message.size()) return false;
        written_ = 0;
        NormStreamMarkEom(stream_);
        unacknowledged_ += message.size();
        since_mark_ += message.size();
        if (!mark_pending_ && since_mark_ >= kWindow / 4) mark();
        return true;
    }
    void flush() override {
        NormStreamFlush(stream_, true, options_.rate > 0 ? NORM_FLUSH_ACTIVE : NORM_FLUSH_PASSIVE);
    }
    void poll(Duration wait) override {
        pollfd p{.fd = NormGetDescriptor(instance_), .events = POLLIN, .revents = 0};
        timespec t{wait.ns / 1'000'000'000, wait.ns % 1'000'000'000};
        if (ppoll(&p, 1, &t, nullptr) <= 0) return;
        NormEvent event;
        while (NormGetNextEvent(instance_, &event, false)) handle(event);
    }
    std::string statistics() const override {
        return "{\"breaks\": " + std::to_string(breaks_) + "}";
    }

private:
    static constexpr size_t kWindow = 4u << 20;

    void mark() {
        NormSetWatermark(session_, stream_, true);
        marked_ = since_mark_;
        since_mark_ = 0;
        mark_pending_ = true;
    }
    void handle(const NormEvent& event) {
        if (event.type == NORM_TX_WATERMARK_COMPLETED) {
            if (NormGetAckingStatus(session_) != NORM_ACK_SUCCESS) {
                NormResetWatermark(session_);
                return;
            }
            unacknowledged_ -= marked_;
            mark_pending_ = false;
            if (since_mark_ >= kWindow / 4) mark();
        } else if (event.type == NORM_RX_OBJECT_UPDATED) {
            read(event.object);
        }
    }
    void read(NormObjectHandle stream) {
        for (;;) {
            if (!in_step_ && !(in_step_ = NormStreamSeekMsgStart(stream))) return;
            unsigned n = static_cast<unsigned>(message_.size() - have_);
            if (!NormStreamRead(stream, reinterpret_cast<char*>(message_.data()) + have_, &n)) {
                ++breaks_;
                have_ = 0;
                in_step_ = false;
                continue;
            }
            if (n == 0) return;
            if ((have_ += n) < message_.size()) continue;
            have_ = 0;
            deliver_(message_);
        }
    }

    PeerOptions options_;
    Deliver deliver_;
    NormInstanceHandle instance_;
    NormSessionHandle session_;
    NormObjectHandle stream_ = NORM_OBJECT_INVALID;
    Instant started_{};
    size_t written_ = 0, unacknowledged_ = 0, since_mark_ = 0, marked_ = 0;
    bool mark_pending_ = false;
    std::vector<std::byte> message_;
    size_t have_ = 0;
    bool in_step_ = false;
    uint64_t breaks_ = 0;
};

}  // namespace

std::unique_ptr<Peer> make_peer(const PeerOptions& options, Peer::Deliver deliver) {
    return std::make_unique<NormPeer>(options, std::move(deliver));
}

}  // namespace holdfast::bench
