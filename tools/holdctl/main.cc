#include <cstdio>

#include "tools/holdctl/cli.h"

int main(int argc, char** argv) {
    const auto result = holdfast::run_holdctl({argv + 1, argv + argc});
    std::fputs(result.out.c_str(), stdout);
    std::fputs(result.err.c_str(), stderr);
    if (std::fflush(stdout) != 0) return holdfast::kRefused;
    return result.code;
}
