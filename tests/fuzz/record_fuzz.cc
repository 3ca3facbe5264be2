// Fuzzes what a node reads after a datagram was opened: fragments, membership bodies and messages,
// sweep messages, and the values of header, segment, alias and application fragments. What can be
// parsed must be the same after it was written and parsed again.
#include <cstdint>
#include <cstdlib>

#include "dataplane/relay/stream_copy.h"
#include "dataplane/relay/tls_payload.h"
#include "dataplane/takeover/capture.h"
#include "dataplane/takeover/relay_capture.h"
#include "dataplane/takeover/resumption_capture.h"
#include "replication/fragment/fragment.h"
#include "replication/fragment/store.h"
#include "replication/membership/messages.h"
#include "replication/sweep.h"

using namespace holdfast;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

class Nowhere final : public SweepOutput {
public:
    void send_sweep(NodeId, Bytes, Instant) override {}
    void broadcast_sweep(Bytes, Instant) override {}
    void on_swept_fragment(NodeId, const Fragment&, Instant) override {}
    void on_sweep_done(GroupId, Instant) override {}
    void on_late_sweep_done(GroupId, Instant) override {}
};

void fragments(Bytes input) {
    static FragmentStore store({256, 65'536, 1});
    ByteReader r(input);
    const auto f = decode_fragment(r);
    if (!f) return;
    std::array<std::byte, 2048> buffer;
    ByteWriter w(buffer);
    encode(*f, w);
    require(w.ok() && w.used() == encoded_size(*f));
    ByteReader again(w.written());
    const auto g = decode_fragment(again);
    require(g && g->id == f->id && g->version == f->version && g->owners == f->owners);
    store.put(*f, Instant{1});
    store.find(f->id);
    store.drop(f->id, f->version);
}

void tls_octets(Bytes input) {
    const std::vector<std::byte> fragment(input.begin(), input.end());
    ByteReader r(input);
    const SeqNum start{r.le<uint32_t>()};
    const uint32_t offset = r.le<uint32_t>();
    const TlsOctets found =
        find_tls_octets({&fragment, 1}, {start, offset, fragment.size(), fragment.size()});
    const bool any = !found.record.empty() || !found.text.empty();
    require(!any || write_tls_octets(found) == fragment);
}

void values(Bytes input) {
    static const std::vector<Service> services(2);
    Fragment f;
    f.value = input;
    const size_t key = std::min<size_t>(input.size(), f.id.session.bytes.size());
    std::memcpy(f.id.session.bytes.data(), input.data(), key);
    f.id.session.size = static_cast<uint8_t>(key);
    Bytes rest;
    read_header(f, services, rest);
    read_relay_state(rest, Instant{1});
    if (const auto id = parse_resumption_key(f.id.session)) read_resumable(*id, input, Instant{1});
    read_resumable({}, input, Instant{1});
    Session session;
    read_segment(f, session, rest);
    read_alias(f);
    tls_octets(input);
    if (const auto block = read_stream_block(input)) {
        std::array<std::byte, kMaxFragmentValue> buffer;
        require(std::ranges::equal(Bytes(buffer).first(write_stream_block(*block, buffer)), input));
    }
    if (const auto attributes = read_attributes(input)) write_attributes(*attributes);
}

template <typename Parsed, typename Parse>
void round_trip(const std::optional<Parsed>& parsed, Parse&& parse) {
    if (!parsed) return;
    std::array<std::byte, 1024> buffer;
    const size_t size = emit(*parsed, buffer);
    require(size > 0 && parse(Bytes(buffer).first(size)) == parsed);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const Bytes input = std::as_bytes(std::span(data, size));
    fragments(input);
    if (size > 0) values(input);
    round_trip(parse_adopt(input), parse_adopt);
    round_trip(parse_vote(input), parse_vote);
    parse_heartbeat_body(input);
    parse_status_body(input);
    static Nowhere nowhere;
    static Sweep sweep(nowhere);
    static const FragmentStore empty({16, 1024, 1});
    sweep.on_message({1}, input, empty, Instant{1});
    return 0;
}
