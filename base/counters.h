// Counters are plain structs of uint64_t beside a table that names each: one table serves the
// metrics, the command line and the manual. Each has one writer; readers on other threads take a
// copy through its owner.
#pragma once

#include <cstdint>

namespace holdfast {

template <typename T>
struct CounterInfo {
    const char* name;  // snake_case, without prefix or unit suffix
    const char* help;  // one sentence
    uint64_t T::*member;
};

}  // namespace holdfast
