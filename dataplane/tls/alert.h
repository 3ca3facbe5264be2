// Alerts (RFC 8446 section 6, RFC 5246 section 7.2) and record types: the numbers on the wire.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace holdfast {

enum class TlsContentType : uint8_t {
    change_cipher_spec = 20,
    alert = 21,
    handshake = 22,
    application_data = 23,
};

enum class TlsAlert : uint8_t {
    close_notify = 0,
    unexpected_message = 10,
    bad_record_mac = 20,
    record_overflow = 22,
    handshake_failure = 40,
    illegal_parameter = 47,
    decode_error = 50,
    protocol_version = 70,
    insufficient_security = 71,
    internal_error = 80,
    user_canceled = 90,
    no_renegotiation = 100,
};

inline constexpr uint8_t kTlsWarning = 1;
inline constexpr uint8_t kTlsFatal = 2;

// Nothing may follow close_notify or a fatal alert; the other two are said in passing.
constexpr bool is_passing(TlsAlert alert) {
    return alert == TlsAlert::user_canceled || alert == TlsAlert::no_renegotiation;
}

// The content of an alert record of ours.
constexpr std::array<std::byte, 2> tls_alert_message(TlsAlert alert) {
    const bool warning = is_passing(alert) || alert == TlsAlert::close_notify;
    return {std::byte{warning ? kTlsWarning : kTlsFatal}, std::byte{static_cast<uint8_t>(alert)}};
}

// The content of a KeyUpdate record of ours (RFC 8446 section 4.6.3).
constexpr std::array<std::byte, 5> tls_key_update_message(bool request_answer) {
    return {std::byte{24}, std::byte{0}, std::byte{0}, std::byte{1}, std::byte{request_answer}};
}

}  // namespace holdfast
