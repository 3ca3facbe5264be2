// What a forwarded session's fragments hold, and back: the one place that knows both a Session and
// a Fragment.
//
// header: what never changes in a session's life and its TCP state; alias: the backend side's
// tuple, which names the session; segment: how far both sides' sequence numbers have come;
// application: attributes that servers keep with the session. docs/protocol.md has the bytes.
// Reading refuses what cannot be (a newer format, a service this node does not have) and never
// trusts a length.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/flow/session.h"
#include "dataplane/service/service.h"
#include "replication/fragment/fragment.h"

namespace holdfast {

inline constexpr size_t kMaxHeaderValue = 160;  // of a relayed session: and its RelayState
inline constexpr size_t kMaxSegmentValue = 64;  // likewise

// What a key names: its first octet.
enum class KeyTag : uint8_t { session_v4, session_v6, alias_v4, alias_v6, resumption };

SessionKey session_key(const Session& session);
SessionKey alias_key(const Session& session);
// The key under which a segment's session is looked for: of the session, or of the alias.
SessionKey session_key(const FlowKey& client_side);
SessionKey alias_key(const FlowKey& backend_side);
// The client's side of a session key; nothing for what is not one.
std::optional<FlowKey> parse_session_key(const SessionKey& key);

size_t write_header(const Session& session, MutableBytes to);
// A session as far as its header tells: the rest is as restored from nothing.
// What follows is a relayed session's: `rest`.
std::optional<Session> read_header(const Fragment& header, std::span<const Service> services,
                                   Bytes& rest);

// Says also which side's stream moves at present: takeover_flag::kClientActive and kBackendActive
// of `active`.
size_t write_segment(const Session& session, uint16_t active, MutableBytes to);
// Moves the session's sequence numbers forward and sets those flags; false when the value makes no
// sense.
bool read_segment(const Fragment& segment, Session& session, Bytes& rest);

size_t write_alias(const Session& session, MutableBytes to);
std::optional<SessionKey> read_alias(const Fragment& alias);

using SessionAttributes = std::vector<std::pair<std::string, std::string>>;  // by name
inline constexpr size_t kMaxAttributesValue = kMaxFragmentValue * kMaxParts;
// Empty when they do not fit kMaxAttributesValue.
std::vector<std::byte> write_attributes(const SessionAttributes& attributes);
std::optional<SessionAttributes> read_attributes(Bytes value);

}  // namespace holdfast
