#include "tools/holdctl/table.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"

namespace holdfast {

TextTable::TextTable(std::vector<std::string> titles) {
    for (std::string& title : titles) {
        right_.push_back(title.starts_with('>'));
        if (right_.back()) title.erase(0, 1);
    }
    rows_.push_back(std::move(titles));
}

void TextTable::row(std::vector<std::string> cells) {
    CHECK(cells.size() == right_.size());
    for (std::string& cell : cells) cell = printable(cell);
    rows_.push_back(std::move(cells));
}

std::string TextTable::text() const {
    std::vector<size_t> widths(right_.size());
    for (const auto& row : rows_)
        for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    std::string out;
    for (const auto& row : rows_) {
        std::string line;
        for (size_t i = 0; i < row.size(); ++i) {
            const std::string gap(widths[i] - row[i].size(), ' ');
            line += (i ? "  " : "") + (right_[i] ? gap + row[i] : row[i] + gap);
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out += line + "\n";
    }
    return out;
}

std::string printable(const std::string& text) {
    std::string out;
    for (const char c : text) {
        const auto u = static_cast<unsigned char>(c);
        out += u < 0x20 || u == 0x7f ? fmt::format("\\x{:02x}", static_cast<unsigned>(u))
                                     : std::string(1, c);
    }
    return out;
}

}  // namespace holdfast
