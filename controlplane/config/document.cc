#include "controlplane/config/document.h"

#include <toml++/toml.h>

namespace holdfast {

namespace {

Mark mark_of(const toml::source_region& region) {
    Mark mark{region.begin.line, region.begin.column, 1};
    if (region.end.line == region.begin.line && region.end.column > region.begin.column)
        mark.length = region.end.column - region.begin.column;
    return mark;
}

Item item_of(const toml::node& node);

Item table_of(const toml::table& table) {
    Item item;
    item.kind = Item::Kind::table;
    for (auto&& [key, value] : table)
        item.entries.push_back({std::string(key.str()), mark_of(key.source()), item_of(value)});
    return item;
}

Item array_of(const toml::array& array) {
    Item item;
    item.kind = Item::Kind::array;
    for (const toml::node& element : array) item.items.push_back(item_of(element));
    return item;
}

Item item_of(const toml::node& node) {
    Item item;
    if (const auto* table = node.as_table()) {
        item = table_of(*table);
    } else if (const auto* array = node.as_array()) {
        item = array_of(*array);
    } else if (const auto* text = node.as_string()) {
        item.kind = Item::Kind::string;
        item.text = text->get();
    } else if (const auto* integer = node.as_integer()) {
        item.kind = Item::Kind::integer;
        item.integer = integer->get();
        item.number = static_cast<double>(item.integer);
    } else if (const auto* number = node.as_floating_point()) {
        item.kind = Item::Kind::number;
        item.number = number->get();
    } else if (const auto* boolean = node.as_boolean()) {
        item.kind = Item::Kind::boolean;
        item.boolean = boolean->get();
    } else {
        item.kind = Item::Kind::date;
    }
    item.mark = mark_of(node.source());
    return item;
}

}  // namespace

const Entry* Item::find(std::string_view key) const {
    for (const Entry& entry : entries)
        if (entry.key == key) return &entry;
    return nullptr;
}

const char* name_of(Item::Kind kind) {
    switch (kind) {
        case Item::Kind::string:
            return "a string";
        case Item::Kind::integer:
            return "an integer";
        case Item::Kind::number:
            return "a number";
        case Item::Kind::boolean:
            return "a boolean";
        case Item::Kind::date:
            return "a date";
        case Item::Kind::array:
            return "an array";
        case Item::Kind::table:
            return "a table";
    }
    return "?";
}

std::expected<Item, Problem> parse_toml(std::string_view text) {
    try {
        return table_of(toml::parse(text));
    } catch (const toml::parse_error& error) {
        // toml++ stops at the first one; the rest is found once the file parses.
        Problem problem;
        problem.mark = mark_of(error.source());
        problem.message = std::string(error.description());
        return std::unexpected(std::move(problem));
    }
}

}  // namespace holdfast
