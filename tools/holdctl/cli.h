// holdctl's command line, as a function.
//
// Exit codes: 0 done, 1 refused by the daemon, 2 not understood, 3 the daemon cannot be reached.
#pragma once

#include <string>
#include <vector>

namespace holdfast {

inline constexpr int kDone = 0, kRefused = 1, kUsage = 2, kUnreachable = 3;

struct CliResult {
    int code = kDone;
    std::string out;
    std::string err;
};

// `arguments` without the program's name.
CliResult run_holdctl(const std::vector<std::string>& arguments);

}  // namespace holdfast
