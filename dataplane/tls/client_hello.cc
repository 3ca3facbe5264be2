#include "dataplane/tls/client_hello.h"

#include <algorithm>
#include <cstring>

#include "dataplane/tls/suite.h"

namespace holdfast {
namespace {

constexpr uint8_t kHandshakeRecord = 22;
constexpr uint8_t kClientHello = 1;
constexpr size_t kMessageHeader = 4;

enum Extension : uint16_t {
    kServerName = 0,
    kAlpn = 16,
    kSessionTicket = 35,
    kPreSharedKey = 41,
    kSupportedVersions = 43,
};

// A vector of the wire: its length in an integer of type T, then its octets.
template <typename T>
Bytes vector_of(ByteReader& from) {
    return from.take(from.be<T>());
}

struct Message {
    Bytes body;
    bool complete = false;
};

// The first handshake message, in place when one record holds it, else gathered in `space`.
std::expected<Message, TlsAlert> first_message(Bytes stream, MutableBytes space) {
    size_t gathered = 0, want = kMessageHeader;
    bool first = true;
    while (!stream.empty()) {
        if (static_cast<uint8_t>(stream[0]) != kHandshakeRecord)
            return std::unexpected(TlsAlert::unexpected_message);
        if (stream.size() > 1 && stream[1] != std::byte{3})
            return std::unexpected(TlsAlert::protocol_version);
        if (stream.size() < kTlsHeaderSize) return Message{};
        const size_t size = load_be<uint16_t>(stream.data() + 3);
        if (size > kTlsMaxPlaintext) return std::unexpected(TlsAlert::record_overflow);
        if (size == 0) return std::unexpected(TlsAlert::unexpected_message);
        const Bytes part =
            stream.subspan(kTlsHeaderSize).first(std::min(size, stream.size() - kTlsHeaderSize));
        const size_t take = std::min(part.size(), space.size() - gathered);
        std::memcpy(space.data() + gathered, part.data(), take);
        gathered += take;
        if (gathered >= kMessageHeader) {
            const uint32_t header = load_be<uint32_t>(space.data());
            if (header >> 24 != kClientHello) return std::unexpected(TlsAlert::unexpected_message);
            want = kMessageHeader + (header & 0xffffff);
            if (want > space.size()) return std::unexpected(TlsAlert::illegal_parameter);
            if (first && part.size() >= want)
                return Message{part.subspan(kMessageHeader, want - kMessageHeader), true};
            if (gathered >= want)
                return Message{Bytes(space).subspan(kMessageHeader, want - kMessageHeader), true};
        }
        if (part.size() < size) return Message{};
        stream = stream.subspan(kTlsHeaderSize + size);
        first = false;
    }
    return Message{};
}

bool read_server_name(ByteReader from, ClientHelloInfo& info) {
    ByteReader list(vector_of<uint16_t>(from));
    if (!from.done() || list.be<uint8_t>() != 0) return false;
    const Bytes name = vector_of<uint16_t>(list);
    if (!list.done() || name.empty() || name.size() > info.sni.size()) return false;
    for (size_t i = 0; i < name.size(); ++i) {
        const char c = static_cast<char>(name[i]);
        if (c <= ' ' || c > '~') return false;
        info.sni[i] = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    }
    info.sni_size = static_cast<uint8_t>(name.size());
    return true;
}

// Lists too long to keep are left out; OpenSSL still reads them.
bool read_alpn(ByteReader from, ClientHelloInfo& info) {
    const Bytes list = vector_of<uint16_t>(from);
    if (!from.done() || list.empty()) return false;
    ByteReader names(list);
    while (names.ok() && !names.done())
        if (vector_of<uint8_t>(names).empty()) return false;
    if (list.size() > info.alpn.size()) return true;
    std::memcpy(info.alpn.data(), list.data(), list.size());
    info.alpn_size = static_cast<uint8_t>(list.size());
    return true;
}

bool read_versions(ByteReader from, ClientHelloInfo& info) {
    ByteReader list(vector_of<uint8_t>(from));
    if (!from.done()) return false;
    while (!list.done()) {
        info.offers_tls13 |= list.be<uint16_t>() == 0x0304;
        if (!list.ok()) return false;
    }
    return true;
}

void add_session(Bytes id, ClientHelloInfo& info) {
    const auto session = TlsSessionId::from(id);
    if (session && info.identities < ClientHelloInfo::kMaxIdentities)
        info.identity[info.identities++] = *session;
}

// A stateful ticket of ours is a session identifier; anything longer is sealed state.
bool read_psk(ByteReader from, ClientHelloInfo& info) {
    ByteReader list(vector_of<uint16_t>(from));
    if (!from.ok() || list.rest().empty()) return false;
    while (!list.done()) {
        const Bytes identity = vector_of<uint16_t>(list);
        list.be<uint32_t>();  // the age of the ticket
        if (!list.ok() || identity.empty()) return false;
        if (identity.size() > TlsSessionId{}.bytes.size())
            info.offers_ticket = true;
        else
            add_session(identity, info);
    }
    return true;
}

bool read_extension(uint16_t type, Bytes body, ClientHelloInfo& info) {
    switch (type) {
        case kServerName:
            return read_server_name(ByteReader(body), info);
        case kAlpn:
            return read_alpn(ByteReader(body), info);
        case kSupportedVersions:
            return read_versions(ByteReader(body), info);
        case kPreSharedKey:
            return read_psk(ByteReader(body), info);
        case kSessionTicket:
            info.offers_ticket |= !body.empty();
            return true;
        default:
            return true;
    }
}

std::optional<ClientHelloInfo> read_body(Bytes body) {
    ClientHelloInfo info;
    ByteReader from(body);
    from.be<uint16_t>();  // legacy_version
    from.take(32);        // random
    const Bytes session_id = vector_of<uint8_t>(from);
    const Bytes suites = vector_of<uint16_t>(from);
    const Bytes compressions = vector_of<uint8_t>(from);
    if (!from.ok() || session_id.size() > 32 || suites.empty() || suites.size() % 2 != 0 ||
        compressions.empty())
        return std::nullopt;
    if (!from.done()) {
        ByteReader extensions(vector_of<uint16_t>(from));
        if (!from.done()) return std::nullopt;
        uint32_t seen = 0;  // of those read here, each comes once
        while (!extensions.done()) {
            const auto type = extensions.be<uint16_t>();
            const Bytes one = vector_of<uint16_t>(extensions);
            const uint32_t bit = type <= kSupportedVersions ? 1u << (type % 32) : 0;
            const bool ours = type == kServerName || type == kAlpn || type == kPreSharedKey ||
                              type == kSupportedVersions;
            if (!extensions.ok() || (ours && (seen & bit) != 0)) return std::nullopt;
            if (ours) seen |= bit;
            if (!read_extension(type, one, info)) return std::nullopt;
        }
    }
    // With TLS 1.3 the session id is for middleboxes only, beside a ticket it is made up by the
    // client.
    if (!info.offers_tls13 && !info.offers_ticket) add_session(session_id, info);
    return info;
}

}  // namespace

std::optional<TlsSessionId> TlsSessionId::from(Bytes bytes) {
    TlsSessionId id;
    if (bytes.empty() || bytes.size() > id.bytes.size()) return std::nullopt;
    std::memcpy(id.bytes.data(), bytes.data(), bytes.size());
    id.size = static_cast<uint8_t>(bytes.size());
    return id;
}

std::expected<std::optional<ClientHelloInfo>, TlsAlert> parse_client_hello(Bytes stream) {
    std::array<std::byte, kMessageHeader + kMaxClientHello> space;
    const auto message = first_message(stream, space);
    if (!message) return std::unexpected(message.error());
    if (!message->complete) return std::nullopt;
    const auto info = read_body(message->body);
    if (!info) return std::unexpected(TlsAlert::decode_error);
    return info;
}

}  // namespace holdfast
