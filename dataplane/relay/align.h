// Makes two control blocks, which may be of different ages and whose bytes are gone, into two ends
// that agree: each has received just what the other's peer has acknowledged.
//
// Nothing else was acknowledged to anyone (end-to-end acknowledgement), so all other bytes come
// again from who sent them; a FIN likewise. Pure.
#pragma once

#include "dataplane/relay/relay_session.h"

namespace holdfast {

RelayState align(const RelayState& state);
// Whether `state` knows less than `other` does in anything that only ever grows: fragments of
// different kinds tell of different moments, and come in any order. Both aligned.
bool is_behind(const RelayState& state, const RelayState& other);
// Of a TLS session, its progress with what its header says was agreed with the backend, which the
// header alone tells when that was agreed after the progress was written.
RelayState with_backend_of(RelayState progress, const RelayState& header);
// Where TLS lies between them, its ledgers say where both stand.
RelayState align_tls(const RelayState& state, const TlsStream& tls);

}  // namespace holdfast
