// CHECK(condition): we are wrong, so the process dies. Kept on in production: a product whose
// purpose is failover can afford to crash and cannot afford to go on corrupt. Never used for input
// from outside.
#pragma once

namespace holdfast {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}

#define CHECK(condition)                                              \
    do {                                                              \
        if (!(condition)) [[unlikely]]                                \
            ::holdfast::check_failed(#condition, __FILE__, __LINE__); \
    } while (false)
