#include "tests/simulation/world/same_random.h"

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/rand.h>

#include <ctime>

#include "base/random.h"
#include "dataplane/tls/testing.h"

namespace holdfast::simulation {
namespace {

Random generator(1);

int draw(unsigned char* to, int octets) {
    for (int i = 0; i < octets; ++i) to[i] = static_cast<unsigned char>(generator.next());
    return 1;
}
int always() { return 1; }

const RAND_METHOD kSeeded{nullptr, draw, nullptr, nullptr, draw, always};

}  // namespace

void seed_openssl(uint64_t seed) {
    RAND_set_rand_method(&kSeeded);
    static const TlsOptions made = tls_testing::usual();  // certificates too, by the first seed
    generator = Random(mix64(seed));
}

}  // namespace holdfast::simulation

// Before the C library's: certificates, tickets and sessions carry the time of their making.
extern "C" time_t time(time_t* to) {
    constexpr time_t kThen = 1'800'000'000;
    if (to) *to = kThen;
    return kThen;
}
