// What the API takes at most. Small on purpose: the socket is for people and scripts.
#pragma once

#include <cstddef>
#include <cstdint>

namespace holdfast {

inline constexpr size_t kMaxApiPath = 1'024;
inline constexpr size_t kMaxApiBody = 16 * 1'024;
inline constexpr uint32_t kMaxSessionRows = 10'000;
inline constexpr size_t kMaxAttributeName = 64;
// One value; all of a session's share kMaxAttributesValue (dataplane/takeover/capture.h).
inline constexpr size_t kMaxAttributeValue = 4'096;
inline constexpr uint32_t kMaxBackendWeight = 256;
inline constexpr int64_t kMaxHandoverMs = 10'000;

}  // namespace holdfast
