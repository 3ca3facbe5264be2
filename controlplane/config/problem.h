// What is wrong with a configuration file, said so that its author finds the place at once:
// file:line:column, the source line, a caret under the culprit and a guess at what was meant.
//
// Problems are collected, not thrown: one run tells all of them. Not here: deciding what is wrong.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

// Where something stands in the file; lines and columns from 1, line 0 for "the file as a whole".
struct Mark {
    uint32_t line = 0;
    uint32_t column = 0;
    uint32_t length = 1;  // in columns
};

struct Problem {
    enum class Severity : uint8_t { error, warning } severity = Severity::error;
    Mark mark;
    std::string message;
};

class Problems {
public:
    void error(Mark mark, std::string message);
    void warning(Mark mark, std::string message);
    // By place in the file. At most kMaxProblems are kept.
    const std::vector<Problem>& sorted();
    size_t errors() const { return errors_; }  // all that were found, kept or not

    static constexpr size_t kMaxProblems = 200;

private:
    void add(Problem problem);
    std::vector<Problem> list_;
    size_t errors_ = 0;
};

// "holdfast.toml:3:1: error: ...", then the source line and a caret below it.
std::string render(const Problem& problem, std::string_view file_name, std::string_view source);

// The candidate nearest to a mistyped word, or "" when none is near enough to be meant.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace holdfast
