#include "dataplane/relay/tls_payload.h"

#include <algorithm>

#include "base/check.h"

namespace holdfast {
namespace {
constexpr size_t kHead = 10;
}

std::vector<std::byte> write_tls_octets(const TlsOctets& octets) {
    std::vector<std::byte> value(kHead + octets.record.size() + octets.text.size());
    ByteWriter w(value);
    w.le(octets.start.value);
    w.le(octets.offset);
    w.le(static_cast<uint16_t>(octets.record.size()));
    w.put(octets.record);
    w.put(octets.text);
    CHECK(w.ok());
    return value;
}

void TlsPayload::replace(const TlsOctets& octets) {
    CHECK(held_);
    value_ = write_tls_octets(octets);
    version = 0;
    turn_ ^= 1;
    held_ = false;
}

TlsOctets find_tls_octets(std::span<const std::vector<std::byte>> fragments,
                          const TlsOctetsWanted& wanted) {
    TlsOctets found{wanted.start, wanted.offset, {}, {}};
    const auto take = [](Bytes& best, Bytes octets, size_t most) {
        octets = octets.first(std::min(octets.size(), most));
        if (octets.size() > best.size()) best = octets;
    };
    for (const std::vector<std::byte>& fragment : fragments) {
        ByteReader r(fragment);
        const SeqNum start{r.le<uint32_t>()};
        const uint32_t offset = r.le<uint32_t>();
        const Bytes record = r.take(r.le<uint16_t>());
        const Bytes text = r.rest();
        if (!r.ok()) continue;
        if (start == wanted.start) take(found.record, record, wanted.record);
        if (offset == wanted.offset) take(found.text, text, wanted.text);
    }
    return found;
}

}  // namespace holdfast
