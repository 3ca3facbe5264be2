// Fuzzes the detached record layer: its state's format, records as they come from the wire, and
// what is inside records (sealed here, so that it gets past the tag). A state that was read is the
// same after it was written and read again; a connection that was moved goes on as if it had not
// been.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "dataplane/tls/record.h"

using namespace holdfast;

namespace {

constexpr uint16_t kSuites[] = {0x1301, 0xc02b, 0xcca9};

void require(bool condition) {
    if (!condition) std::abort();
}

TlsRecordWorker& worker() {
    static TlsRecordWorker worker(4, 2);
    return worker;
}

TlsRecordState plain_state(uint16_t suite) {
    TlsRecordState state;  // both directions alike: what one seals another opens
    state.suite = suite;
    return state;
}

void states(Bytes input) {
    std::array<std::byte, kMaxTlsRecordState> bytes;
    if (const auto state = parse_tls_record_state(input)) {
        const size_t size = serialise(*state, bytes);
        require(size == input.size() && parse_tls_record_state(Bytes(bytes).first(size)) == state);
        require(TlsRecordLayer::make(worker(), *state).has_value());
    }
    if (const auto progress = parse_tls_progress(input)) {
        const size_t size = serialise(*progress, bytes);
        require(parse_tls_progress(Bytes(bytes).first(size)) == progress);
        TlsRecordState state = plain_state(0x1302);
        advance(state, *progress, worker().keys());
    }
}

void wire(Bytes stream, uint16_t suite) {
    static std::vector<std::byte> plain(kTlsMaxRecord);
    auto layer = TlsRecordLayer::make(worker(), plain_state(suite));
    layer->search(2);
    while (!stream.empty()) {
        const auto size = tls_record_size(stream);
        if (!size || !*size || **size > stream.size()) return;
        const size_t half = **size / 2;
        const Bytes pieces[] = {stream.first(half), stream.subspan(half, **size - half)};
        if (!layer->open(pieces, plain, Instant{})) return;
        stream = stream.subspan(**size);
    }
}

// Each record: a type, a length of 0 to 255, that many octets.
void contents(Bytes input, uint16_t suite) {
    static std::vector<std::byte> sealed(kTlsMaxRecord), one(kTlsMaxRecord), two(kTlsMaxRecord);
    auto writer = TlsRecordLayer::make(worker(), plain_state(suite));
    auto stays = TlsRecordLayer::make(worker(), plain_state(suite));
    Instant now{};
    for (ByteReader from(input); !from.done() && from.ok();) {
        const auto type = static_cast<TlsContentType>(from.be<uint8_t>());
        const auto length = from.be<uint8_t>();
        const Bytes content = from.take(std::min<size_t>(length, from.rest().size()));
        const auto name = writer->reserve(content.size());
        const auto size = writer->seal(*name, type, {&content, 1}, sealed);
        require(size.has_value());
        const Bytes record = Bytes(sealed).first(*size);
        auto moves = TlsRecordLayer::make(worker(), stays->state());
        const auto here = stays->open({&record, 1}, one, now);
        const auto there = moves->open({&record, 1}, two, now);
        // The peer's patience is not part of the state: time goes on, so that it never runs out.
        now = now + Duration::seconds(1);
        require(here.has_value() == there.has_value() && stays->state() == moves->state());
        if (!here) {
            require(here.error() == there.error());
            return;
        }
        require(here->event == there->event && here->data.size() == there->data.size());
        if (here->event == TlsEvent::key_update && writer->reserve_key_update())
            writer->drop_previous();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const Bytes input = std::as_bytes(std::span(data, size));
    states(input);
    for (const uint16_t suite : kSuites) {
        wire(input, suite);
        contents(input, suite);
    }
    return 0;
}
