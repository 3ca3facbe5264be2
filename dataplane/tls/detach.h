// Reading a finished handshake out of an SSL object: keys, counts and what was agreed. Used by
// TlsHandshake only.
#pragma once

#include <openssl/ssl.h>

#include "dataplane/tls/handshake.h"

namespace holdfast {

// Logged by OpenSSL as TLS 1.3 goes.
struct DetachedSecrets {
    TlsSecret tx{};
    TlsSecret rx{};
    bool has_tx = false;
    bool has_rx = false;
};

// How many records have used up sequence numbers of the keys that the detached layer goes on with.
// TLS 1.2: all behind ChangeCipherSpec, the Finished among them. TLS 1.3: those behind the client's
// Finished, which are NewSessionTickets.
class RecordTally {
public:
    void on_application_keys() { application_keys_ = true; }
    // At least the record's header.
    void on_record(bool ours, Bytes record);

    uint64_t tx(bool tls13) const { return tls13 ? tx_behind_finished_ : tx_behind_change_; }
    uint64_t rx(bool tls13) const { return tls13 ? rx_behind_finished_ : rx_behind_change_; }
    // Of the first of our records behind ChangeCipherSpec: TLS 1.2 GCM's nonce (if it is that).
    uint64_t explicit_nonce() const { return explicit_nonce_; }
    bool same_counts(const RecordTally& other) const;

private:
    bool application_keys_ = false;
    bool tx_changed_ = false;
    bool rx_changed_ = false;
    uint64_t tx_behind_finished_ = 0;
    uint64_t rx_behind_finished_ = 0;
    uint64_t tx_behind_change_ = 0;
    uint64_t rx_behind_change_ = 0;
    uint64_t explicit_nonce_ = 0;
};

// False when what was agreed cannot be carried on.
bool read_out(SSL* ssl, const RecordTally& tally, const DetachedSecrets& secrets,
              TlsDetached& detached);

}  // namespace holdfast
