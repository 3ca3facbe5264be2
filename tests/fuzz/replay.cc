// Runs a fuzzer's corpus as an ordinary test, with whatever compiler and sanitizers the build has:
// each file as it is, then changed in a few places, the same ones every time. It finds no new
// paths; it keeps found ones from coming back.
//
//     replay FOLDER-OR-FILE...
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "base/random.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr unsigned kVariants = 50;

void run(const std::vector<uint8_t>& input) {
    const std::vector<uint8_t> exact(input);  // so that a sanitizer sees the very end
    LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

void replay(const std::filesystem::path& path, holdfast::Random& random) {
    std::ifstream file(path, std::ios::binary);
    const std::vector<uint8_t> input{std::istreambuf_iterator<char>(file), {}};
    run(input);
    for (unsigned i = 0; i < kVariants && !input.empty(); ++i) {
        std::vector<uint8_t> changed = input;
        if (random.chance(0.25)) changed.resize(random.below(changed.size() + 1));
        for (uint64_t n = random.below(4); n-- > 0 && !changed.empty();)
            changed[random.below(changed.size())] = static_cast<uint8_t>(random.next());
        run(changed);
    }
}

}  // namespace

int main(int argc, char** argv) {
    holdfast::Random random(1);
    unsigned files = 0;
    for (int i = 1; i < argc; ++i) {
        if (!std::filesystem::is_directory(argv[i])) {
            replay(argv[i], random);
            ++files;
            continue;
        }
        for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
            replay(entry.path(), random);
            ++files;
        }
    }
    std::printf("%u files, each in %u variants\n", files, kVariants + 1);
    return files == 0;
}
