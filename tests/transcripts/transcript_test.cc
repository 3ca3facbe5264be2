// transcript_tests FOLDER: each script is a test, and two more: the endpoint replaced after every
// line, with its queues and from its record.
#include "tests/transcripts/transcript.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <iostream>

namespace holdfast::transcripts {
namespace {

class Transcript : public ::testing::Test {
public:
    Transcript(const Script& script, Replace replace) : script_(script), replace_(replace) {}
    void TestBody() override {
        if (replace_ == Replace::never) {
            for (const bool v4 : {true, false}) EXPECT_EQ(run(script_, {.v4 = v4}), "");
            return;
        }
        for (size_t line = 0; line < script_.lines.size() && !HasFailure(); ++line)
            EXPECT_EQ(run(script_, {true, replace_, line}), "")
                << "replaced after " << script_.lines[line].text;
    }

private:
    const Script& script_;
    Replace replace_;
};

void register_all(const std::vector<Script>& scripts) {
    const std::pair<const char*, Replace> ways[] = {
        {"", Replace::never}, {"Replaced", Replace::exact}, {"TakenOver", Replace::takeover}};
    for (const Script& script : scripts) {
        const std::string suite = std::filesystem::path(script.file).stem();
        for (const auto& [name, replace] : ways)
            ::testing::RegisterTest(
                (suite + name).c_str(), script.name.c_str(), nullptr, nullptr, __FILE__, __LINE__,
                [&script, replace = replace] { return new Transcript(script, replace); });
    }
}

}  // namespace
}  // namespace holdfast::transcripts

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    std::vector<std::string> files;
    for (int i = 1; i < argc; ++i)
        for (const auto& entry : std::filesystem::directory_iterator(argv[i]))
            if (entry.path().extension() == ".trace") files.push_back(entry.path());
    std::ranges::sort(files);
    std::vector<holdfast::transcripts::Script> scripts;
    try {
        for (const std::string& file : files)
            for (auto& script : holdfast::transcripts::parse_scripts(file))
                scripts.push_back(std::move(script));
    } catch (const std::exception& e) {
        std::cerr << e.what() << "\n";
        return 1;
    }
    if (scripts.empty()) {
        std::cerr << "no scripts\n";
        return 1;
    }
    holdfast::transcripts::register_all(scripts);
    return RUN_ALL_TESTS();
}
