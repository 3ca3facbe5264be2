// Fuzzes what stands in a TCP header's option area: what can be parsed is the same after it was
// written and parsed again, and keeps the bounds that its users rely on.
#include <cstdint>
#include <cstdlib>

#include "dataplane/wire/tcp_segment.h"

using namespace holdfast;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const Bytes input = std::as_bytes(std::span(data, size));
    constexpr size_t kMost = 40;  // a data offset of 15
    const auto options = parse_tcp_options(input.first(std::min(size, kMost)));
    if (!options) return 0;
    require(options->sack_count <= TcpOptions::kMaxSackBlocks);
    require(options->window_scale.value_or(0) <= 14);
    std::byte area[kMost + 8];
    ByteWriter w(area);
    const size_t written = emit_tcp_options(*options, w);
    require(w.ok() && written == w.used() && written % 4 == 0);
    if (written > kMost) return 0;  // aligned it takes more than as it came
    require(parse_tcp_options(w.written()) == options);
    return 0;
}
