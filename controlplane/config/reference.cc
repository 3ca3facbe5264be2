// The schema as people read it.
#include <fmt/format.h>

#include <string>

#include "controlplane/config/schema.h"
#include "controlplane/config/units.h"

namespace holdfast {

namespace {

std::string bound(const Key& key, double value) {
    if (key.kind == KeyKind::duration)
        return duration_text(Duration::nanoseconds(static_cast<int64_t>(value)));
    if (key.kind == KeyKind::size) return size_text(static_cast<uint64_t>(value));
    return fmt::format("{:.15g}", value);
}

std::string kind_text(const Key& key) {
    switch (key.kind) {
        case KeyKind::text:
            return "string";
        case KeyKind::name:
            return "name";
        case KeyKind::path:
            return "path";
        case KeyKind::flag:
            return "true or false";
        case KeyKind::integer:
        case KeyKind::number:
        case KeyKind::duration:
        case KeyKind::size:
            return fmt::format("{} to {}", bound(key, key.min), bound(key, key.max));
        case KeyKind::choice: {
            std::string text;
            for (char c : key.choices) text += c == '|' ? " | " : std::string(1, c);
            return text;
        }
        case KeyKind::address:
            return "address";
        case KeyKind::endpoint:
            return "address:port";
        case KeyKind::mac:
            return "Ethernet address";
        case KeyKind::port_range:
            return "first-last";
        case KeyKind::address_list:
            return "list of addresses";
        case KeyKind::text_list:
            return "list of strings";
        case KeyKind::name_list:
            return "list of names";
        case KeyKind::integer_list:
            return "list of integers";
        case KeyKind::table:
            return "table";
    }
    return {};
}

std::string default_text(const Key& key) {
    if (key.fallback == kRequired) return "required";
    return key.fallback.empty() ? "optional" : fmt::format("default {}", key.fallback);
}

std::string heading(const Table& table) {
    return table.repeated ? fmt::format("[[{}]]", table.name) : fmt::format("[{}]", table.name);
}

// roff takes '-' for a hyphen and a leading '.' or '\'' for a request.
std::string roff(std::string_view text) {
    std::string out;
    for (char c : text) {
        if (c == '\\')
            out += "\\e";
        else if (c == '-')
            out += "\\-";
        else
            out += c;
    }
    return out.starts_with('.') || out.starts_with('\'') ? "\\&" + out : out;
}

}  // namespace

std::string reference_text() {
    std::string text;
    for (const Table& table : schema_tables()) {
        text += fmt::format("{}{}  # {}\n", text.empty() ? "" : "\n", heading(table), table.doc);
        for (const Key& key : schema_keys())
            if (key.table == table.name && key.kind != KeyKind::table)
                text += fmt::format("  {:<12} {} ({})\n{:15}{}\n", key.name, kind_text(key),
                                    default_text(key), "", key.doc);
    }
    return text;
}

std::string reference_man() {
    std::string text;
    for (const Table& table : schema_tables()) {
        text += fmt::format(".SS {}\n{}\n", roff(heading(table)), roff(table.doc));
        for (const Key& key : schema_keys())
            if (key.table == table.name && key.kind != KeyKind::table)
                text += fmt::format(".TP\n.BR {} \" ({}; {})\"\n{}\n", roff(key.name),
                                    roff(kind_text(key)), roff(default_text(key)), roff(key.doc));
    }
    return text;
}

}  // namespace holdfast
