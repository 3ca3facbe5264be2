// OpenSSL draws from a seed, and its clock stands still: what it writes is the same in every run.
// For the simulator alone.
#pragma once

#include <cstdint>

namespace holdfast::simulation {

void seed_openssl(uint64_t seed);

}  // namespace holdfast::simulation
