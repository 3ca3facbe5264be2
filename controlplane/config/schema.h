// Every key the configuration file may have: one table for the reader, the "did you mean", the
// `--help-config` dump and the manual page.
//
// A table's name is its path with dots; "service.backend" is [[service.backend]]. Ranges are in
// the kind's own unit (nanoseconds, bytes), inclusive. Reading happens through Section
// (controlplane/config/section.h), which refuses what is not here.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace holdfast {

enum class KeyKind : uint8_t {
    text,          // any string
    name,          // letters, digits, '.', '_', '-'; at most 63
    path,          // a file name
    flag,          // true or false
    integer,       // in [min, max]
    number,        // in [min, max]
    duration,      // "20ms"
    size,          // "128MiB"
    choice,        // one of `choices`, separated by '|'
    address,       // "192.0.2.1" or "2001:db8::1"
    endpoint,      // "127.0.0.1:9477"
    mac,           // "00:00:5e:00:01:01"
    port_range,    // "1024-65535"
    address_list,  // at most max
    text_list,
    name_list,
    integer_list,
    table,  // a table of its own, or an inline one
};

struct Key {
    std::string_view table;
    std::string_view name;
    KeyKind kind;
    std::string_view fallback;  // as it would be written, without quotes; kRequired: none
    double min;
    double max;
    std::string_view choices;
    std::string_view doc;
};

inline constexpr std::string_view kRequired = "!";

struct Table {
    std::string_view name;
    bool repeated;  // [[name]]
    bool required;
    uint32_t most;  // of a repeated one
    std::string_view doc;
};

std::span<const Key> schema_keys();
std::span<const Table> schema_tables();

const Key* find_key(std::string_view table, std::string_view name);
const Table* find_table(std::string_view name);

// Text for a terminal, and the section of holdfast.toml(5) in roff.
std::string reference_text();
std::string reference_man();

}  // namespace holdfast
