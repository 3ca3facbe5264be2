// What a backend is told before the client's first octet: by whom it is spoken to.
#include "dataplane/relay/relay.h"

namespace holdfast {

std::vector<std::byte> Relay::make_preface(const Session& session, const Tcb& client,
                                           const TlsStream* tls) const {
    ProxyHeader header{session.client, session.vip, {}, nullptr, nullptr};
    header.name =
        connection_id(options_.secret, {session.vip, session.client}, client.irs, client.iss);
    if (tls) {
        header.suite = &tls->suite();
        header.facts = &tls->facts();
    }
    std::array<std::byte, kMaxProxyHeader> octets;
    const auto size = static_cast<std::ptrdiff_t>(write_proxy_header(header, octets));
    return {octets.begin(), octets.begin() + size};
}

// The backend's stream begins.
void Relay::begin_preface(RelaySession& s) {
    const Session& session = *forwarder_.sessions().get(s.index);
    if (services_[session.service].proxy_protocol == ProxyProtocol::off) return;
    const std::vector<std::byte> octets = make_preface(session, s.client.state(), s.tls.get());
    if (s.tls) {
        s.tls->set_preface(octets);
        return;
    }
    s.preface = {static_cast<uint16_t>(octets.size()), false};
    write_preface(s, octets);
}

// As far as the backend has not acknowledged it.
void Relay::write_preface(RelaySession& s, Bytes octets) {
    const auto known =
        static_cast<size_t>(s.backend.write_position() - (s.backend.state().iss + 1));
    if (octets.size() != s.preface.size || known > octets.size()) {
        // Another version of us made another header: the stream cannot go on.
        ++counters_.aborted;
        s.failed = true;
        return;
    }
    const Bytes rest = octets.subspan(known);
    if (s.backend.write(rest) == rest.size()) return;
    ++counters_.aborted;  // no memory
    s.failed = true;
}

}  // namespace holdfast
