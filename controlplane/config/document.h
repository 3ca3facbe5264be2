// A TOML file as a tree of plain values, each with its place in the file.
//
// The parser is toml++, and document.cc is the only file that sees it: it compiles for long, and
// nothing else should depend on whose tree it is. Not here: what the values mean.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/config/problem.h"

namespace holdfast {

struct Item;

struct Entry;

struct Item {
    enum class Kind : uint8_t { string, integer, number, boolean, date, array, table };
    Kind kind = Kind::table;
    Mark mark;
    std::string text;     // string
    int64_t integer = 0;  // integer
    double number = 0;    // number, integer
    bool boolean = false;
    std::vector<Item> items;     // array
    std::vector<Entry> entries;  // table, in the order of their names

    const Entry* find(std::string_view key) const;
};

struct Entry {
    std::string key;
    Mark key_mark;
    Item value;
};

const char* name_of(Item::Kind kind);  // "a string", "an integer", ...

// The whole document as one table; or where the parser stopped.
std::expected<Item, Problem> parse_toml(std::string_view text);

}  // namespace holdfast
