// Columns of text, as wide as they need to be.
#pragma once

#include <string>
#include <vector>

namespace holdfast {

class TextTable {
public:
    // A title that begins with '>' makes its column right-aligned (numbers).
    explicit TextTable(std::vector<std::string> titles);
    void row(std::vector<std::string> cells);
    bool empty() const { return rows_.size() == 1; }
    std::string text() const;

private:
    std::vector<bool> right_;
    std::vector<std::vector<std::string>> rows_;
};

// What may be shown on a terminal: control characters as \xNN.
std::string printable(const std::string& text);

}  // namespace holdfast
