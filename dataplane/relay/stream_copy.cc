#include "dataplane/relay/stream_copy.h"

#include <algorithm>

namespace holdfast {
namespace {
constexpr uint8_t kFormat = 1;
}

size_t write_stream_block(const StreamBlock& block, MutableBytes to) {
    ByteWriter w(to);
    w.le(kFormat);
    for (const SeqNum s : {block.irs, block.iss, block.start}) w.le(s.value);
    w.put(block.octets);
    CHECK(w.ok());
    return w.used();
}

std::optional<StreamBlock> read_stream_block(Bytes value) {
    ByteReader r(value);
    if (r.le<uint8_t>() != kFormat) return std::nullopt;
    StreamBlock b;
    for (SeqNum* s : {&b.irs, &b.iss, &b.start}) s->value = r.le<uint32_t>();
    if (!r.ok()) return std::nullopt;
    b.octets = r.rest();
    if (b.octets.empty() || b.octets.size() > StreamBlock::kCapacity) return std::nullopt;
    return b;
}

// A block that was published is not published again for a part of what comes.
bool StreamCopy::fits_last(SeqNum start, size_t size) {
    if (count_ == 0) return false;
    const Block& last = at(count_ - 1);
    if (last.start + static_cast<uint32_t>(last.octets.size()) != start) return false;
    const size_t room = StreamBlock::kCapacity - last.octets.size();
    return published_ < count_ ? room > 0 : room >= size;
}

bool StreamCopy::open(SeqNum start) {
    if (count_ == kBlocks) return false;
    ++count_;
    at(count_ - 1).start = start;
    at(count_ - 1).octets.clear();
    return true;
}

void StreamCopy::append(SeqNum start, Bytes octets) {
    while (!octets.empty()) {
        if (!fits_last(start, octets.size()) && !open(start)) {
            left_out_ += octets.size();
            return;
        }
        Block& last = at(count_ - 1);
        const Bytes part =
            octets.first(std::min(octets.size(), StreamBlock::kCapacity - last.octets.size()));
        last.octets.insert(last.octets.end(), part.begin(), part.end());
        published_ = std::min(published_, count_ - 1);
        octets = octets.subspan(part.size());
        start = start + static_cast<uint32_t>(part.size());
    }
}

void StreamCopy::release(SeqNum upto) {
    while (count_ > 0 && at(0).start + static_cast<uint32_t>(at(0).octets.size()) <= upto) {
        // One that was never published would leave what its place held before: too old to be told
        // from what comes 4 GiB later.
        if (published_ == 0) return;
        --published_;
        --count_;
        first_ = (first_ + 1) % kBlocks;
    }
}

void StreamCopy::forget_published() { published_ = 0; }

}  // namespace holdfast
