// The datagrams of our own ring: one open, in which records gather, and behind it the sealed ones,
// kept for repair until their slot comes round again.
//
// A datagram is composed and sealed in its slot and never touched afterwards: a repair is the same
// bytes. Memory: slots * (datagram size rounded up to 64), taken by the constructor.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/cluster.h"
#include "replication/ring/frame.h"
#include "replication/ring/seal.h"

namespace holdfast {

class SendRing {
public:
    // `first` is the position of the first datagram.
    SendRing(uint32_t slots, size_t datagram_size, Position first);

    bool is_open() const { return open_size_ != 0; }
    Position next() const { return next_; }  // of the open datagram, or of the one opened next
    Position last_sealed() const { return {next_.value - 1}; }
    // The oldest that can still be repaired; next() when there is none.
    Position oldest() const;
    // What opening next() will overwrite; 0 when nothing.
    Position overwritten_by_next() const;

    bool fits(size_t record) const {
        return (is_open() ? open_size_ : kEmpty) + kRecordPrefix + record + kFrameTagSize <=
               datagram_size_;
    }
    size_t max_record() const { return datagram_size_ - kEmpty - kRecordPrefix - kFrameTagSize; }
    void append(Bytes record);  // opens a datagram if need be; fits() must hold
    // Only while open. `header` needs neither type nor number.
    Bytes seal(FrameHeader header, uint64_t stamp, AeadKey& key);
    Bytes sealed(Position p) const;  // oldest() <= p < next()

private:
    static constexpr size_t kEmpty = kFrameHeaderSize + kDataPrefix;

    size_t index(Position p) const { return p.value & (sizes_.size() - 1); }
    std::byte* slot(Position p) { return memory_.data() + index(p) * stride_; }
    const std::byte* slot(Position p) const { return memory_.data() + index(p) * stride_; }

    size_t datagram_size_;
    size_t stride_;
    std::vector<std::byte> memory_;
    std::vector<uint16_t> sizes_;
    Position first_;
    Position next_;
    size_t open_size_ = 0;  // bytes used in the open datagram, header included; 0: none
};

}  // namespace holdfast
