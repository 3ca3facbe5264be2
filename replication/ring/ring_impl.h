// The inside of Ring: wires the small machines together. ring.cc has what we send and when,
// ring_receive.cc what arrives.
#pragma once

#include <array>
#include <limits>
#include <memory>
#include <vector>

#include "base/random.h"
#include "replication/ring/flow_limit.h"
#include "replication/ring/follow.h"
#include "replication/ring/frame.h"
#include "replication/ring/heartbeat_ladder.h"
#include "replication/ring/repair.h"
#include "replication/ring/replay_window.h"
#include "replication/ring/ring.h"
#include "replication/ring/rtt.h"
#include "replication/ring/seal.h"
#include "replication/ring/send_ring.h"

namespace holdfast {

// All about one other node. Made for each configured one; nothing is made for what arrives.
struct RingPeer {
    RingPeer(NodeId node, const RingOptions& options, const FollowOptions& follow)
        : id(node),
          hello_key(options.cipher),
          control_key(options.cipher),
          data_keys(options.cipher),
          in(follow) {}

    NodeId id;
    Incarnation proven;  // 0: none
    Instant last_heard{std::numeric_limits<int64_t>::min()};

    uint64_t nonce = 0;  // of our open challenge; 0: none
    Instant nonce_made{};
    // Guesses: a join needs one of each; a flood of forged frames gets no more than this out of us.
    TokenBucket hello_limit{200, 4};
    TokenBucket reply_limit{500, 8};
    TokenBucket gone_limit{1000, 4};

    AeadKey hello_key;
    AeadKey control_key;
    DataKeys data_keys;
    ReplayWindow seen;
    uint64_t newest_status = 0;
    uint64_t newest_heartbeat = 0;
    uint64_t newest_echo = 0;
    RttEstimator rtt;
    Follow in;  // how we follow its ring; how it follows ours is in FlowLimit
};

struct Ring::Impl {
    Impl(const RingOptions& options, RingOutput& output, RingEvents& events);

    // ring.cc
    Position publish(Bytes record, Instant now);
    void flush(bool ask_status, Instant now);
    void send_message(uint8_t receiver, Bytes body, Instant now);
    void send_heartbeat(bool ask_status, Instant now);
    Instant next_deadline() const;
    void on_deadline(Instant now);

    void seal_open(bool ask_status, Instant now);
    Instant heartbeat_due() const;
    bool gate_waits() const;
    HeartbeatBody make_heartbeat(Instant now);
    void serve(RingPeer& peer, Instant now);
    void send_status(RingPeer& peer, Instant now);
    void evict(NodeSet peers);
    void report_evicted(Instant now);
    void on_time(Instant now);
    uint64_t stamp(Instant now);
    FrameHeader header(FrameType type, uint8_t receiver) const;
    template <typename Body>
    void send_control(FrameType type, uint8_t receiver, uint8_t flags, const Body& body);
    void send_sealed(const FrameHeader& head, AeadKey& key, Nonce nonce, ByteWriter& frame);
    template <typename Body>
    void send_hello(FrameType type, RingPeer& peer, const Body& body);

    // ring_receive.cc
    using Accepted = std::expected<void, RingDrop>;
    void on_datagram(Bytes datagram, Instant now);
    Accepted accept(Bytes datagram, Instant now);
    Accepted on_data(RingPeer& peer, const FrameHeader& head, Bytes datagram, Instant now);
    Accepted on_control(RingPeer& peer, const FrameHeader& head, Bytes datagram, Instant now);
    Accepted on_hello(RingPeer& peer, const FrameHeader& head, Bytes body, Instant now);
    Accepted on_hello_reply(RingPeer& peer, const FrameHeader& head, Bytes body, Instant now);
    Accepted on_heartbeat(RingPeer& peer, const FrameHeader& head, Bytes body, Instant now);
    Accepted on_status(RingPeer& peer, const FrameHeader& head, Bytes body, Instant now);
    Accepted on_nak(RingPeer& peer, Bytes body, Instant now);
    Accepted on_follow(RingPeer& peer, Bytes body, Instant now);
    Accepted on_follow_ok(RingPeer& peer, Bytes body, Instant now);
    Accepted on_gone(RingPeer& peer, Bytes body, Instant now);
    Accepted on_message(RingPeer& peer, Bytes body, Instant now);
    std::expected<Bytes, RingDrop> open_hello(RingPeer& peer, const FrameHeader& head,
                                              Bytes datagram);
    void challenge(RingPeer& peer, Instant now);
    void prove(RingPeer& peer, Incarnation incarnation, uint64_t next_control, Instant now);
    void repair(RingPeer& peer, const NakBody& nak, Instant now);
    void send_gone(RingPeer& peer, uint64_t join, Instant now);
    // When we sent what carried this stamp; nothing if we never can have.
    std::optional<Instant> sent_at(uint64_t echo) const;

    RingOptions options_;
    RingOutput& output_;
    RingEvents& events_;
    Random random_;
    KeySource keys_;
    AeadKey hello_key_;
    AeadKey control_key_;
    DataKeys data_keys_;
    size_t datagram_size_;

    SendRing ring_;
    RepairPolicy repairs_;
    FlowLimit flow_;
    HeartbeatLadder ladder_;
    Instant flush_due_ = Instant::max();
    Position asked_up_to_;  // somebody waits for statuses up to here
    NodeSet evicted_;       // and not yet reported
    uint64_t next_control_ = 1;
    uint64_t next_hello_ = 1;
    bool started_ = false;
    Instant origin_{};     // of stamps: the first time we were told
    Instant last_time_{};  // we were told
    uint64_t last_stamp_ = 0;

    std::vector<std::unique_ptr<RingPeer>> peers_;
    std::array<RingPeer*, kMaxNodes> by_node_{};
    mutable RingCounters counters_;
    std::array<std::byte, kMaxFrame> frame_;  // a control frame being made
    std::array<std::byte, kMaxFrame> plain_;  // a frame being read
    std::array<std::byte, kMaxBody> body_;    // of a heartbeat or status being made
};

template <typename Body>
void Ring::Impl::send_control(FrameType type, uint8_t receiver, uint8_t flags, const Body& body) {
    FrameHeader head = header(type, receiver);
    head.flags = flags;
    head.number = next_control_++;
    ByteWriter frame(frame_);
    emit(head, frame);
    emit(body, frame);
    send_sealed(head, control_key_, {0, head.number}, frame);
}

template <typename Body>
void Ring::Impl::send_hello(FrameType type, RingPeer& peer, const Body& body) {
    if (next_hello_ > UINT32_MAX) return;  // the nonces of this incarnation are used up
    FrameHeader head = header(type, peer.id.value);
    head.number = next_hello_++;
    ByteWriter frame(frame_);
    emit(head, frame);
    emit(body, frame);
    send_sealed(head, hello_key_, {static_cast<uint32_t>(head.number), options_.incarnation.value},
                frame);
}

}  // namespace holdfast
