// What a server reads before the client's first octet, where it expects a PROXY header.
#include "dataplane/relay/testing.h"

namespace holdfast::testing {

// Its last two octets of sixteen tell how long it is.
size_t Peer::take_preface(Bytes bytes) {
    const auto missing = [&] {
        if (!wants_preface) return size_t{0};
        if (preface.size() < 16) return 16 - preface.size();
        return 16 + load_be<uint16_t>(preface.data() + 14) - preface.size();
    };
    size_t taken = 0;
    while (const size_t n = std::min(missing(), bytes.size() - taken)) {
        const Bytes part = bytes.subspan(taken, n);
        preface.insert(preface.end(), part.begin(), part.end());
        taken += n;
    }
    return taken;
}

// By the client as it knows itself.
std::vector<std::byte> RelayWorld::expected_preface() const {
    if (options.proxy_protocol == ProxyProtocol::off) return {};
    const Tcb& t = client->end.state();
    const ProxyHeader header{client->self, client->other,
                             connection_id({}, {client->other, client->self}, t.iss, t.irs),
                             nullptr, nullptr};
    std::array<std::byte, kMaxProxyHeader> octets;
    const size_t size = write_proxy_header(header, octets);
    return {octets.begin(), octets.begin() + static_cast<std::ptrdiff_t>(size)};
}

void RelayWorld::check_preface() const {
    const auto expected = expected_preface();
    EXPECT_TRUE(
        server->preface.size() <= expected.size() &&
        std::ranges::equal(server->preface, std::span(expected).first(server->preface.size())));
}

bool RelayWorld::heard_all() const {
    if (server && server->preface != expected_preface()) return false;
    return client && server && client->heard == server->to_say && server->heard == client->to_say;
}

}  // namespace holdfast::testing
