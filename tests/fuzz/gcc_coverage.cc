// Lets libFuzzer guide code that g++ compiled. clang 14 cannot build std::expected of types with
// destructors, g++ 12 has no -fsanitize=fuzzer; but its -fsanitize-coverage=trace-pc calls this at
// each basic block, and libFuzzer takes 8-bit counters from whoever registers them. libFuzzer
// has an empty function of the same name; the linker must take ours (-z muldefs).
#include <cstdint>

namespace {
uint8_t counters[1 << 16];  // no std::array: its operator[] would be instrumented, and call us
}

extern "C" {

void __sanitizer_cov_8bit_counters_init(uint8_t* begin, uint8_t* end);

__attribute__((no_sanitize_coverage)) void __sanitizer_cov_trace_pc() {
    const auto pc = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
    ++counters[(pc ^ pc >> 16) % sizeof counters];
}

// g++ reports floating-point comparisons too; libFuzzer has no use for them.
void __sanitizer_cov_trace_cmpf(float, float) {}
void __sanitizer_cov_trace_cmpd(double, double) {}

int LLVMFuzzerInitialize(int*, char***) {
    __sanitizer_cov_8bit_counters_init(counters, counters + sizeof counters);
    return 0;
}
}
