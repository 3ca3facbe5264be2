#include "replication/ring/send_ring.h"

#include "base/check.h"

namespace holdfast {

SendRing::SendRing(uint32_t slots, size_t datagram_size, Position first)
    : datagram_size_(datagram_size),
      stride_((datagram_size + 63) / 64 * 64),
      memory_(slots * stride_),
      sizes_(slots),
      first_(first),
      next_(first) {
    CHECK(slots >= 64 && (slots & (slots - 1)) == 0);
    CHECK(datagram_size <= kMaxFrame && first.value > 0);
}

Position SendRing::oldest() const {
    uint64_t kept = sizes_.size() - (is_open() ? 1 : 0);
    return next_ - first_ <= kept ? first_ : Position{next_.value - kept};
}

Position SendRing::overwritten_by_next() const {
    return next_ - first_ < sizes_.size() ? Position{} : Position{next_.value - sizes_.size()};
}

void SendRing::append(Bytes record) {
    CHECK(fits(record.size()));
    if (!is_open()) open_size_ = kEmpty;
    std::byte* at = slot(next_) + open_size_;
    store_le(at, static_cast<uint16_t>(record.size()));
    if (!record.empty()) std::memcpy(at + kRecordPrefix, record.data(), record.size());
    open_size_ += kRecordPrefix + record.size();
}

Bytes SendRing::seal(FrameHeader header, uint64_t stamp, AeadKey& key) {
    CHECK(is_open());
    header.type = FrameType::data;
    header.number = next_.value;
    MutableBytes frame(slot(next_), open_size_ + kFrameTagSize);
    ByteWriter to(frame);
    emit(header, to);
    to.le(stamp);
    key.seal({0, next_.value}, kFrameHeaderSize, frame);
    sizes_[index(next_)] = static_cast<uint16_t>(frame.size());
    next_ = next_.plus(1);
    open_size_ = 0;
    return frame;
}

Bytes SendRing::sealed(Position p) const {
    CHECK(p >= oldest() && p < next_);
    return Bytes(slot(p), sizes_[index(p)]);
}

}  // namespace holdfast
