#include "dataplane/takeover/capture.h"

#include "dataplane/takeover/session_flags.h"

namespace holdfast {
namespace {

constexpr uint8_t kFormat = 1;

void put_address(ByteWriter& w, const IpAddress& a, bool v4) {
    w.put(std::as_bytes(std::span(a.bytes)).subspan(v4 ? 12 : 0));
}

IpAddress take_address(ByteReader& r, bool v4) {
    IpAddress a = v4 ? IpAddress::v4(0) : IpAddress{};
    r.copy(std::as_writable_bytes(std::span(a.bytes)).subspan(v4 ? 12 : 0));
    return a;
}

void put_endpoint(ByteWriter& w, const Endpoint& e, bool v4) {
    put_address(w, e.address, v4);
    w.le<uint16_t>(e.port);
}

Endpoint take_endpoint(ByteReader& r, bool v4) {
    Endpoint e;
    e.address = take_address(r, v4);
    e.port = r.le<uint16_t>();
    return e;
}

SessionKey make_key(const FlowKey& flow, KeyTag v4_tag, KeyTag v6_tag) {
    const bool v4 = flow.source.address.is_v4();
    SessionKey key;
    ByteWriter w(std::as_writable_bytes(std::span(key.bytes)));
    w.le<uint8_t>(static_cast<uint8_t>(v4 ? v4_tag : v6_tag));
    put_endpoint(w, flow.source, v4);
    put_endpoint(w, flow.destination, v4);
    key.size = static_cast<uint8_t>(w.used());
    return key;
}

void put_fixed(ByteWriter& w, const TcpSide& side) {
    w.le<uint32_t>(side.isn.value);
    w.le<uint16_t>(side.mss);
    w.le<uint8_t>(side.window_scale);
    w.le<uint8_t>(static_cast<uint8_t>(side.flags & ~TcpSide::kSynced));
}

void take_fixed(ByteReader& r, TcpSide& side) {
    side.isn = SeqNum{r.le<uint32_t>()};
    side.mss = r.le<uint16_t>();
    side.window_scale = r.le<uint8_t>();
    side.flags = static_cast<uint8_t>(r.le<uint8_t>() & ~TcpSide::kSynced);
}

void put_progress(ByteWriter& w, const TcpSide& side) {
    w.le<uint32_t>(side.end.value);
    w.le<uint32_t>(side.ack.value);
    w.le<uint32_t>(side.max_end.value);
    w.le<uint32_t>(side.max_window);
}

void take_progress(ByteReader& r, TcpSide& side) {
    side.end = SeqNum{r.le<uint32_t>()};
    side.ack = SeqNum{r.le<uint32_t>()};
    side.max_end = SeqNum{r.le<uint32_t>()};
    side.max_window = r.le<uint32_t>();
}

}  // namespace

SessionKey session_key(const FlowKey& client_side) {
    return make_key(client_side, KeyTag::session_v4, KeyTag::session_v6);
}
SessionKey alias_key(const FlowKey& backend_side) {
    return make_key(backend_side, KeyTag::alias_v4, KeyTag::alias_v6);
}
SessionKey session_key(const Session& session) { return session_key(client_key(session)); }
SessionKey alias_key(const Session& session) { return alias_key(backend_key(session)); }

std::optional<FlowKey> parse_session_key(const SessionKey& key) {
    ByteReader r(key.view());
    const auto tag = static_cast<KeyTag>(r.le<uint8_t>());
    if (tag != KeyTag::session_v4 && tag != KeyTag::session_v6) return std::nullopt;
    FlowKey flow;
    flow.source = take_endpoint(r, tag == KeyTag::session_v4);
    flow.destination = take_endpoint(r, tag == KeyTag::session_v4);
    if (!r.done()) return std::nullopt;
    return flow;
}

size_t write_header(const Session& s, MutableBytes to) {
    const bool v4 = s.client.address.is_v4();
    ByteWriter w(to);
    w.le<uint8_t>(kFormat);
    w.le<uint8_t>(static_cast<uint8_t>(s.state));
    w.le<uint16_t>(s.service);
    w.le<uint16_t>(s.backend_index);
    w.le<uint16_t>(s.client_vlan);
    w.put(std::as_bytes(std::span(s.client_mac.bytes)));
    put_endpoint(w, s.pool, v4);
    put_endpoint(w, s.backend, v4);
    for (const TcpSide* side : {&s.from_client, &s.from_backend}) {
        put_fixed(w, *side);
        put_progress(w, *side);
    }
    CHECK(w.ok());
    return w.used();
}

std::optional<Session> read_header(const Fragment& header, std::span<const Service> services,
                                   Bytes& rest) {
    const auto flow = parse_session_key(header.id.session);
    if (!flow) return std::nullopt;
    const bool v4 = flow->source.address.is_v4();
    ByteReader r(header.value);
    if (r.le<uint8_t>() != kFormat) return std::nullopt;
    Session s;
    s.client = flow->source;
    s.vip = flow->destination;
    const uint8_t state = r.le<uint8_t>();
    s.service = r.le<uint16_t>();
    s.backend_index = r.le<uint16_t>();
    s.client_vlan = r.le<uint16_t>();
    r.copy(std::as_writable_bytes(std::span(s.client_mac.bytes)));
    s.pool = take_endpoint(r, v4);
    s.backend = take_endpoint(r, v4);
    for (TcpSide* side : {&s.from_client, &s.from_backend}) {
        take_fixed(r, *side);
        take_progress(r, *side);
    }
    if (!r.ok() || state >= kSessionStates || s.service >= services.size()) return std::nullopt;
    const Service& service = services[s.service];
    rest = r.rest();
    // Empty for a forwarded session and for no other: a service's mode may differ between nodes.
    if (service.group != header.group || rest.empty() == service.terminates_tcp())
        return std::nullopt;
    if (service.terminates_tcp()) s.set(Session::kRelayed);
    if (s.backend_index >= service.backends.size() ||
        service.backends[s.backend_index].endpoint != s.backend)
        s.backend_index = Session::kNoBackend;  // the session goes on; the backend's counts do not
    s.state = static_cast<SessionState>(state);
    s.group = header.group;
    s.header_version = header.version.number;
    return s;
}

size_t write_segment(const Session& s, uint16_t active, MutableBytes to) {
    ByteWriter w(to);
    w.le<uint8_t>(kFormat);
    w.le<uint8_t>(static_cast<uint8_t>(s.state));
    w.le<uint8_t>(static_cast<uint8_t>((active & takeover_flag::kClientActive ? 1 : 0) |
                                       (active & takeover_flag::kBackendActive ? 2 : 0)));
    put_progress(w, s.from_client);
    put_progress(w, s.from_backend);
    CHECK(w.ok());
    return w.used();
}

bool read_segment(const Fragment& segment, Session& s, Bytes& rest) {
    ByteReader r(segment.value);
    if (r.le<uint8_t>() != kFormat) return false;
    const uint8_t state = r.le<uint8_t>();
    const uint8_t active = r.le<uint8_t>();
    TcpSide client = s.from_client, backend = s.from_backend;
    take_progress(r, client);
    take_progress(r, backend);
    if (!r.ok() || state >= kSessionStates || active > 3) return false;
    rest = r.rest();
    if (rest.empty() != !s.has(Session::kRelayed)) return false;
    s.clear(takeover_flag::kClientActive | takeover_flag::kBackendActive);
    if (active & 1) s.set(takeover_flag::kClientActive);
    if (active & 2) s.set(takeover_flag::kBackendActive);
    s.from_client = client;
    s.from_backend = backend;
    return true;
}

size_t write_alias(const Session& s, MutableBytes to) {
    ByteWriter w(to);
    w.put(session_key(s).view());
    CHECK(w.ok());
    return w.used();
}

std::optional<SessionKey> read_alias(const Fragment& alias) {
    SessionKey key;
    if (alias.value.size() > key.bytes.size()) return std::nullopt;
    key.size = static_cast<uint8_t>(alias.value.size());
    ByteReader r(alias.value);
    r.copy(std::as_writable_bytes(std::span(key.bytes).first(key.size)));
    if (!parse_session_key(key)) return std::nullopt;
    return key;
}

std::vector<std::byte> write_attributes(const SessionAttributes& attributes) {
    std::vector<std::byte> bytes(kMaxAttributesValue);
    ByteWriter w(bytes);
    w.le<uint8_t>(kFormat);
    for (const auto& [name, value] : attributes) {
        w.le<uint16_t>(static_cast<uint16_t>(name.size()));
        w.le<uint16_t>(static_cast<uint16_t>(value.size()));
        w.put(std::as_bytes(std::span(name)));
        w.put(std::as_bytes(std::span(value)));
    }
    bytes.resize(w.ok() ? w.used() : 0);
    return bytes;
}

std::optional<SessionAttributes> read_attributes(Bytes value) {
    ByteReader r(value);
    if (r.le<uint8_t>() != kFormat) return std::nullopt;
    SessionAttributes attributes;
    while (!r.done()) {
        const uint16_t name_size = r.le<uint16_t>();
        const uint16_t value_size = r.le<uint16_t>();
        const Bytes name = r.take(name_size);
        const Bytes text = r.take(value_size);
        if (!r.ok()) return std::nullopt;
        attributes.emplace_back(
            std::string(reinterpret_cast<const char*>(name.data()), name.size()),
            std::string(reinterpret_cast<const char*>(text.data()), text.size()));
    }
    return attributes;
}

}  // namespace holdfast
