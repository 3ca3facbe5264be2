#include "replication/fragment/fragment.h"

#include "replication/buzhash.h"

namespace holdfast {
namespace {
constexpr size_t kRecordHeader = 28;
}

const char* to_string(FragmentKind kind) {
    switch (kind) {
        case FragmentKind::header:
            return "header";
        case FragmentKind::alias:
            return "alias";
        case FragmentKind::segment:
            return "segment";
        case FragmentKind::payload:
            return "payload";
        case FragmentKind::credential:
            return "credential";
        case FragmentKind::resumable:
            return "resumable";
        case FragmentKind::application:
            return "application";
        case FragmentKind::stream:
            return "stream";
        case FragmentKind::payload_odd:
            return "payload_odd";
    }
    return "?";
}

uint64_t FragmentId::hash() const {
    const std::byte last{static_cast<uint8_t>(kind)};
    return buzhash(Bytes(&last, 1), buzhash(session.view()));
}

size_t encoded_size(const Fragment& fragment) {
    return kRecordHeader + fragment.id.session.size + fragment.value.size();
}

void encode(const Fragment& f, ByteWriter& to) {
    to.le<uint8_t>(static_cast<uint8_t>(f.id.kind));
    to.le<uint8_t>(f.erased ? 1 : 0);
    to.le<uint8_t>(f.id.part);
    to.le<uint8_t>(f.parts);
    to.le<uint8_t>(f.group.value);
    to.le<uint8_t>(f.id.session.size);
    to.le<uint16_t>(static_cast<uint16_t>(f.value.size()));
    to.le<uint32_t>(f.owners.bits());
    to.le<uint32_t>(f.version.number);
    to.le<uint64_t>(f.version.epoch.value);
    to.le<uint32_t>(0);  // reserved
    to.put(f.id.session.view());
    to.put(f.value);
}

std::optional<Fragment> decode_fragment(ByteReader& from) {
    Fragment f;
    const uint8_t kind = from.le<uint8_t>();
    const uint8_t flags = from.le<uint8_t>();
    f.id.part = from.le<uint8_t>();
    f.parts = from.le<uint8_t>();
    f.group.value = from.le<uint8_t>();
    f.id.session.size = from.le<uint8_t>();
    const uint16_t value_size = from.le<uint16_t>();
    f.owners = NodeSet(from.le<uint32_t>());
    f.version.number = from.le<uint32_t>();
    f.version.epoch.value = from.le<uint64_t>();
    from.le<uint32_t>();
    if (!from.ok() || kind >= kFragmentKinds || flags > 1) return std::nullopt;
    if (f.group.value >= kMaxGroups || f.id.session.size > f.id.session.bytes.size())
        return std::nullopt;
    f.id.kind = static_cast<FragmentKind>(kind);
    if (f.parts == 0 || f.parts > kMaxParts) return std::nullopt;
    if (is_block(f.id.kind) ? f.parts != 1 : f.id.part >= f.parts) return std::nullopt;
    if (value_size > kMaxFragmentValue) return std::nullopt;
    f.erased = flags == 1;
    from.copy(std::as_writable_bytes(std::span(f.id.session.bytes).first(f.id.session.size)));
    f.value = from.take(value_size);
    if (!from.ok()) return std::nullopt;
    return f;
}

}  // namespace holdfast
