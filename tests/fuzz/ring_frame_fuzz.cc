// Fuzzes what the ring reads: datagrams as they come, and, behind the seal, bodies of every type.
//
// An input is a play against a ring with one proven peer: scenes of a kind, a type, a flags byte
// and a length, then that many bytes. Of even kind they are a datagram; of odd kind they are sealed
// as the peer would seal them. Whatever parses must be what would be emitted.
#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "base/check.h"
#include "replication/ring/frame.h"
#include "replication/ring/ring.h"
#include "replication/ring/seal.h"

namespace holdfast {
namespace {

constexpr NodeId kSelf{0}, kPeer{1};
constexpr Incarnation kOurs{10}, kTheirs{20};

RingOptions options(NodeId self) {
    RingOptions o;
    o.self = self;
    o.incarnation = self == kSelf ? kOurs : kTheirs;
    o.peers = NodeSet::of(self == kSelf ? kPeer : kSelf);
    o.slots = 64;
    return o;
}

// Two rings that talk to each other until they are joined; then only ours goes on.
class World {
public:
    World() : control_(Cipher::aes_128_gcm), hello_(Cipher::aes_128_gcm) {
        keys_.derive({KeyClass::control, kPeer, 0, kTheirs, 0}, control_);
        keys_.derive({KeyClass::hello, kPeer, 0, {}, 0}, hello_);
        data_ = std::make_unique<DataKeys>(Cipher::aes_128_gcm);
        data_->restart(keys_, kPeer, 0, kTheirs);
        for (int i = 0; i < 10; ++i) {
            now_ = now_ + Duration::milliseconds(5);
            ours_.ring.on_deadline(now_);
            theirs_.ring.on_deadline(now_);
            while (!flights_.empty())
                for (auto& [to, bytes] : std::exchange(flights_, {}))
                    to->ring.on_datagram(bytes, now_);
        }
        CHECK(ours_.ring.followers().has(kPeer) && theirs_.ring.followers().has(kSelf));
        connected_ = false;
    }

    void datagram(Bytes bytes) {
        ours_.ring.on_datagram(bytes, now_);
        go_on();
    }

    void sealed(uint8_t type, uint8_t flags, Bytes body) {
        if (body.size() > 1400) return;
        FrameHeader head{.type = static_cast<FrameType>(type % 10 + 1),
                         .sender = kPeer,
                         .flags = static_cast<uint8_t>(flags & kAskStatus),
                         .cluster = keys_.cluster(),
                         .incarnation = kTheirs,
                         .number = next_++};
        bool is_hello = head.type == FrameType::hello || head.type == FrameType::hello_reply;
        if (is_hello) head.receiver = kSelf.value;
        if (head.type == FrameType::data) head.number = ++position_;
        std::vector<std::byte> frame(kMinFrame + body.size());
        ByteWriter to(frame);
        emit(head, to);
        to.put(body);
        Nonce nonce{0, head.number};
        if (is_hello) nonce = {static_cast<uint32_t>(head.number), kTheirs.value};
        AeadKey& key = is_hello                       ? hello_
                       : head.type == FrameType::data ? data_->at({head.number})
                                                      : control_;
        key.seal(nonce, kFrameHeaderSize, frame);
        datagram(frame);
    }

private:
    struct Node : RingOutput, RingEvents {
        Node(NodeId self, World& w) : world(w), ring(options(self), *this, *this) {}
        void multicast(Bytes d) override {
            Node& other = this == &world.ours_ ? world.theirs_ : world.ours_;
            if (world.connected_)
                world.flights_.emplace_back(&other, std::vector(d.begin(), d.end()));
        }
        void unicast(NodeId, Bytes d) override { multicast(d); }
        void on_record(NodeId, Bytes, Instant) override {}
        void on_message(NodeId, Bytes, Instant) override {}
        void on_heartbeat(NodeId, Bytes, Instant) override {}
        void on_status(NodeId, Position, Instant, Bytes, Instant) override {}
        void on_peer_started(NodeId, Incarnation, Instant) override {}
        void on_follower(NodeId, Position, Instant) override {}
        void on_lagging(NodeId, Instant) override {}
        size_t heartbeat_body(MutableBytes) override { return 0; }
        size_t status_body(NodeId, MutableBytes) override { return 0; }
        World& world;
        Ring ring;
    };

    void go_on() {
        now_ = now_ + Duration::microseconds(100);
        if (ours_.ring.next_deadline() <= now_) ours_.ring.on_deadline(now_);
        CHECK(ours_.ring.incarnation(kPeer) == kTheirs);
    }

    Instant now_{};
    bool connected_ = true;
    std::vector<std::pair<Node*, std::vector<std::byte>>> flights_;
    Node ours_{kSelf, *this}, theirs_{kPeer, *this};
    KeySource keys_{{}};
    AeadKey control_, hello_;
    std::unique_ptr<DataKeys> data_;
    uint64_t next_ = 1000;
    uint64_t position_ = 0;
};

template <typename Parse>
void round_trip(Bytes body, Parse parse) {
    auto parsed = parse(body);
    if (!parsed) return;
    std::vector<std::byte> again(body.size());
    ByteWriter to(again);
    emit(*parsed, to);
    CHECK(to.ok() && to.room() == 0 && std::memcmp(again.data(), body.data(), body.size()) == 0);
}

void bodies(Bytes body) {
    round_trip(body, parse_heartbeat);
    round_trip(body, parse_status);
    round_trip(body, parse_nak);
    round_trip(body, parse_hello);
    round_trip(body, parse_hello_reply);
    round_trip(body, parse_follow);
    round_trip(body, parse_follow_ok);
    round_trip(body, parse_gone);
    if (auto data = parse_data(body)) {
        size_t left = data->records.size();
        RecordReader records(data->records);
        while (auto r = records.next()) left -= kRecordPrefix + r->size();
        CHECK(left == 0);
    }
}

}  // namespace
}  // namespace holdfast

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace holdfast;
    World world;
    ByteReader play(std::as_bytes(std::span(data, size)));
    while (!play.rest().empty()) {
        auto kind = play.le<uint8_t>(), type = play.le<uint8_t>(), flags = play.le<uint8_t>();
        size_t length = play.le<uint16_t>() % 1500;
        Bytes scene = play.take(std::min(length, play.rest().size()));
        if (kind % 2 == 0) {
            world.datagram(scene);
        } else {
            bodies(scene);
            world.sealed(type, flags, scene);
        }
    }
    return 0;
}
