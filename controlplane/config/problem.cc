#include "controlplane/config/problem.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace holdfast {

void Problems::add(Problem problem) {
    if (list_.size() < kMaxProblems) list_.push_back(std::move(problem));
}

void Problems::error(Mark mark, std::string message) {
    ++errors_;
    add({Problem::Severity::error, mark, std::move(message)});
}

void Problems::warning(Mark mark, std::string message) {
    add({Problem::Severity::warning, mark, std::move(message)});
}

const std::vector<Problem>& Problems::sorted() {
    std::stable_sort(list_.begin(), list_.end(), [](const Problem& a, const Problem& b) {
        return std::pair(a.mark.line, a.mark.column) < std::pair(b.mark.line, b.mark.column);
    });
    return list_;
}

namespace {

std::string source_line(std::string_view source, uint32_t number) {
    for (uint32_t line = 1; line < number; ++line) {
        size_t end = source.find('\n');
        if (end == std::string_view::npos) return {};
        source.remove_prefix(end + 1);
    }
    std::string text(source.substr(0, source.find('\n')));
    // A terminal must not be driven by the file, and a tab must stay one column wide.
    for (char& c : text)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
    return text;
}

}  // namespace

std::string render(const Problem& problem, std::string_view file_name, std::string_view source) {
    const char* severity = problem.severity == Problem::Severity::error ? "error" : "warning";
    const Mark mark = problem.mark;
    if (mark.line == 0) return fmt::format("{}: {}: {}\n", file_name, severity, problem.message);
    std::string text = fmt::format("{}:{}:{}: {}: {}\n", file_name, mark.line, mark.column,
                                   severity, problem.message);
    const std::string line = source_line(source, mark.line);
    constexpr size_t kWidest = 160;  // longer lines are not shown: the caret would not help
    if (line.empty() || line.size() > kWidest || mark.column == 0) return text;
    const size_t tail = std::clamp<size_t>(mark.length, 1, kWidest) - 1;
    text += fmt::format("{:5} | {}\n", mark.line, line);
    text += fmt::format("      | {}^{}\n", std::string(mark.column - 1, ' '),
                        std::string(std::min(tail, line.size()), '~'));
    return text;
}

namespace {

// Damerau's distance, optimal string alignment: neighbours swapped count as one slip.
size_t slips(std::string_view a, std::string_view b) {
    std::vector<size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
    std::iota(above.begin(), above.end(), size_t{0});
    for (size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (size_t j = 1; j <= b.size(); ++j) {
            row[j] =
                std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1])});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
        std::swap(before, above);
        std::swap(above, row);
    }
    return above[b.size()];
}

}  // namespace

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
    std::string_view best;
    if (word.size() > 64) return best;
    // One slip in three letters, and never the whole word.
    size_t fewest = std::min(word.size(), std::max<size_t>(1, word.size() / 3) + 1);
    for (std::string_view candidate : candidates) {
        size_t n = slips(word, candidate);
        if (n < fewest) {
            fewest = n;
            best = candidate;
        }
    }
    return best;
}

}  // namespace holdfast
