// holdfast-gen: see docs/operating/holdfast-gen.1.
#include <fmt/format.h>
#include <signal.h>

#include <cstdio>

#include "tools/trafficgen/options.h"
#include "tools/trafficgen/session.h"

int main(int argc, char** argv) {
    using namespace holdfast::gen;
    const auto options = parse_arguments({argv + 1, argv + argc});
    if (!options) {
        std::fputs(options.error().text.c_str(), options.error().code == 0 ? stdout : stderr);
        return options.error().code;
    }
    block_signals();  // before DPDK makes threads
    auto generator = Generator::create(options->generator);
    if (!generator) {
        fmt::print(stderr, "holdfast-gen: {}\n", generator.error());
        return 1;
    }
    return Session(**generator, *options).run();
}
