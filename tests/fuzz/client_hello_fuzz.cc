// Fuzzes the ClientHello parser with the raw bytes of a connection. What it makes of a whole
// message must not depend on how records cut it.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "dataplane/tls/client_hello.h"

using namespace holdfast;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

bool same(const ClientHelloInfo& a, const ClientHelloInfo& b) {
    return a.offers_tls13 == b.offers_tls13 && a.offers_ticket == b.offers_ticket &&
           a.server_name() == b.server_name() && a.identities == b.identities &&
           a.identity == b.identity && a.alpn_size == b.alpn_size && a.alpn == b.alpn;
}

// The input as one handshake message, in records of `size` octets.
std::vector<std::byte> in_records(Bytes body, size_t size) {
    std::vector<std::byte> message;
    for (const size_t octet :
         {size_t{1}, body.size() >> 16, body.size() >> 8 & 255, body.size() & 255})
        message.push_back(std::byte(octet));
    message.insert(message.end(), body.begin(), body.end());
    std::vector<std::byte> stream;
    for (Bytes rest = message; !rest.empty();) {
        const size_t n = std::min(size, rest.size());
        for (const size_t octet : {size_t{22}, size_t{3}, size_t{1}, n >> 8, n & 255})
            stream.push_back(std::byte(octet));
        stream.insert(stream.end(), rest.begin(), rest.begin() + static_cast<ptrdiff_t>(n));
        rest = rest.subspan(n);
    }
    return stream;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const Bytes input = std::as_bytes(std::span(data, size));
    parse_client_hello(input);
    if (size > kMaxClientHello) return 0;
    const auto whole = parse_client_hello(in_records(input, 16'384));
    const auto pieces = parse_client_hello(in_records(input, 100));
    require(whole.has_value() == pieces.has_value());
    if (!whole) {
        require(whole.error() == pieces.error());
        return 0;
    }
    require(whole->has_value() && pieces->has_value() && same(**whole, **pieces));
    require((*whole)->identities <= ClientHelloInfo::kMaxIdentities);
    return 0;
}
