// What a fuzzer holds the code against.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace holdfast {

inline void require(bool condition, const char* what) {
    if (condition) return;
    std::fprintf(stderr, "violated: %s\n", what);
    std::abort();
}

}  // namespace holdfast
