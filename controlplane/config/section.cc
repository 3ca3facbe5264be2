#include "controlplane/config/section.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "controlplane/config/units.h"

namespace holdfast {

namespace {

std::string in_brackets(std::string_view table) {
    const Table* known = find_table(table);
    return known && known->repeated ? fmt::format("[[{}]]", table) : fmt::format("[{}]", table);
}

std::string child_name(std::string_view table, std::string_view key) {
    return table.empty() ? std::string(key) : fmt::format("{}.{}", table, key);
}

// The words a table may contain: its keys, or for the document itself its tables.
std::vector<std::string_view> words_of(std::string_view table) {
    std::vector<std::string_view> words;
    if (table.empty()) {
        for (const Table& t : schema_tables())
            if (t.name.find('.') == std::string_view::npos) words.push_back(t.name);
    } else {
        for (const Key& key : schema_keys())
            if (key.table == table) words.push_back(key.name);
    }
    return words;
}

std::string quantity(const Key& key, double value) {
    if (key.kind == KeyKind::duration)
        return duration_text(Duration::nanoseconds(static_cast<int64_t>(value)));
    if (key.kind == KeyKind::size) return size_text(static_cast<uint64_t>(value));
    return fmt::format("{:.15g}", value);
}

}  // namespace

Section::Section(std::string_view name, const Item* table, Mark mark, Problems& problems)
    : name_(name), table_(table), mark_(mark), problems_(problems) {
    if (table_ && table_->kind != Item::Kind::table) {
        problems_.error(table_->mark, fmt::format("{} must be a table, not {}", in_brackets(name_),
                                                  name_of(table_->kind)));
        table_ = nullptr;
        return;
    }
    if (table_) {
        report_unknown();
        report_missing();
    }
}

std::string Section::path(std::string_view key) const { return child_name(name_, key); }

void Section::report_unknown() const {
    const auto words = words_of(name_);
    for (const Entry& entry : table_->entries) {
        if (std::find(words.begin(), words.end(), entry.key) != words.end()) continue;
        const auto meant = nearest(entry.key, words);
        const bool top = name_.empty();
        problems_.error(
            entry.key_mark,
            fmt::format("unknown {} \"{}\"{}{}{}", top ? "table" : "key", entry.key,
                        top ? "" : " in " + in_brackets(name_),
                        meant.empty() ? "" : fmt::format("; did you mean \"{}\"", meant),
                        meant.empty() ? "" : "?"));
    }
}

void Section::report_missing() {
    for (const Key& key : schema_keys()) {
        if (key.table != name_ || key.fallback != kRequired || table_->find(key.name)) continue;
        complete_ = false;
        problems_.error(mark_,
                        fmt::format("missing key \"{}\" in {}", key.name, in_brackets(name_)));
    }
}

const Item* Section::find(std::string_view key) const {
    const Entry* entry = table_ ? table_->find(key) : nullptr;
    return entry ? &entry->value : nullptr;
}

Mark Section::mark(std::string_view key) const {
    const Item* item = find(key);
    return item ? item->mark : mark_;
}

const Key& Section::key_of(std::string_view key, std::initializer_list<KeyKind> kinds) const {
    const Key* found = find_key(name_, key);
    CHECK(found && std::find(kinds.begin(), kinds.end(), found->kind) != kinds.end());
    return *found;
}

void Section::refuse(const Item& item, const Key& key, std::string_view wanted) const {
    std::string what = item.kind == Item::Kind::string    ? fmt::format("\"{}\"", item.text)
                       : item.kind == Item::Kind::integer ? fmt::format("{}", item.integer)
                       : item.kind == Item::Kind::number  ? fmt::format("{}", item.number)
                                                          : std::string(name_of(item.kind));
    if (what.size() > 80) what = "this";
    problems_.error(item.mark, fmt::format("{} must be {}, not {}", path(key.name), wanted, what));
}

const Item* Section::expect(const Key& key, Item::Kind kind) const {
    const Item* item = find(key.name);
    if (!item || item->kind == kind) return item;
    if (kind == Item::Kind::number && item->kind == Item::Kind::integer) return item;
    std::string wanted = name_of(kind);
    if (key.kind == KeyKind::duration) wanted = "a string with a unit, such as \"20ms\"";
    if (key.kind == KeyKind::size) wanted = "a string with a unit, such as \"128MiB\"";
    refuse(*item, key, wanted);
    return nullptr;
}

bool Section::name_ok(const Item& item, const Key& key) const {
    const bool ok = !item.text.empty() && item.text.size() <= 63 &&
                    item.text.find_first_not_of(
                        "abcdefghijklmnopqrstuvwxyz"
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == std::string::npos;
    if (!ok) refuse(item, key, "a name (letters, digits, '.', '_', '-'; at most 63)");
    return ok;
}

std::string Section::text(std::string_view name) const {
    const Key& key = key_of(name, {KeyKind::text, KeyKind::name, KeyKind::path, KeyKind::choice});
    const std::string fallback(key.fallback == kRequired ? "" : key.fallback);
    const Item* item = expect(key, Item::Kind::string);
    if (!item) return fallback;
    if (key.kind == KeyKind::name) return name_ok(*item, key) ? item->text : fallback;
    if (key.kind != KeyKind::choice) {
        if (item->text.find('\0') == std::string::npos && !item->text.empty()) return item->text;
        refuse(*item, key, "a string that is not empty");
        return fallback;
    }
    std::vector<std::string_view> choices;
    for (std::string_view rest = key.choices; !rest.empty();) {
        choices.push_back(rest.substr(0, rest.find('|')));
        rest.remove_prefix(std::min(rest.size(), choices.back().size() + 1));
    }
    if (std::find(choices.begin(), choices.end(), item->text) != choices.end()) return item->text;
    std::string wanted;
    for (std::string_view choice : choices)
        wanted += fmt::format("{}\"{}\"", wanted.empty() ? "" : " or ", choice);
    refuse(*item, key, wanted);
    return fallback;
}

bool Section::flag(std::string_view name) const {
    const Key& key = key_of(name, {KeyKind::flag});
    const Item* item = expect(key, Item::Kind::boolean);
    return item ? item->boolean : key.fallback == "true";
}

int64_t Section::integer(std::string_view name) const {
    const Key& key = key_of(name, {KeyKind::integer});
    const Item* item = expect(key, Item::Kind::integer);
    if (item && (item->number < key.min || item->number > key.max)) {
        refuse(*item, key,
               fmt::format("from {} to {}", quantity(key, key.min), quantity(key, key.max)));
        item = nullptr;
    }
    return item ? item->integer : static_cast<int64_t>(parse_digits(key.fallback).value_or(0));
}

double Section::number(std::string_view name) const {
    const Key& key = key_of(name, {KeyKind::number});
    const Item* item = expect(key, Item::Kind::number);
    if (item && !(item->number >= key.min && item->number <= key.max)) {
        refuse(*item, key,
               fmt::format("from {} to {}", quantity(key, key.min), quantity(key, key.max)));
        item = nullptr;
    }
    return item ? item->number : static_cast<double>(parse_digits(key.fallback).value_or(0));
}

Duration Section::duration(std::string_view name) const {
    const Key& key = key_of(name, {KeyKind::duration});
    const Duration fallback = parse_duration(key.fallback).value_or(Duration{});
    const Item* item = expect(key, Item::Kind::string);
    if (!item) return fallback;
    const auto value = parse_duration(item->text);
    if (!value) {
        refuse(*item, key, "digits and a unit (ns, us, ms, s, m, h), such as \"20ms\"");
        return fallback;
    }
    const double ns = static_cast<double>(value->ns);
    if (ns >= key.min && ns <= key.max) return *value;
    refuse(*item, key,
           fmt::format("from {} to {}", quantity(key, key.min), quantity(key, key.max)));
    return fallback;
}

uint64_t Section::size(std::string_view name) const {
    const Key& key = key_of(name, {KeyKind::size});
    const uint64_t fallback = parse_size(key.fallback).value_or(0);
    const Item* item = expect(key, Item::Kind::string);
    if (!item) return fallback;
    const auto value = parse_size(item->text);
    if (!value) {
        refuse(*item, key, "digits and a unit (B, KiB, MiB, GiB), such as \"128MiB\"");
        return fallback;
    }
    const double bytes = static_cast<double>(*value);
    if (bytes >= key.min && bytes <= key.max) return *value;
    refuse(*item, key,
           fmt::format("from {} to {}", quantity(key, key.min), quantity(key, key.max)));
    return fallback;
}

std::optional<IpAddress> Section::address_of(const Item& item, const Key& key) const {
    const auto value =
        item.kind == Item::Kind::string ? parse_ip(item.text) : std::optional<IpAddress>{};
    if (!value || *value == IpAddress{} || *value == IpAddress::v4(0)) {
        refuse(item, key, "an IPv4 or IPv6 address");
        return std::nullopt;
    }
    return value;
}

std::optional<IpAddress> Section::address(std::string_view name) const {
    const Key& key = key_of(name, {KeyKind::address});
    const Item* item = find(name);
    return item ? address_of(*item, key) : parse_ip(key.fallback);
}

std::optional<Endpoint> Section::endpoint(std::string_view name) const {
    const Key& key = key_of(name, {KeyKind::endpoint});
    const Item* item = expect(key, Item::Kind::string);
    if (!item) return parse_endpoint(key.fallback);
    if (item->text == "off") return std::nullopt;
    const auto value = parse_endpoint(item->text);
    if (!value || value->port == 0)
        refuse(*item, key, "an address and port, such as \"127.0.0.1:9477\", or \"off\"");
    return value;
}

std::optional<MacAddress> Section::mac(std::string_view name) const {
    const Key& key = key_of(name, {KeyKind::mac});
    const Item* item = expect(key, Item::Kind::string);
    if (!item) return std::nullopt;
    const auto value = parse_mac(item->text);
    if (value && !value->is_group() && *value != MacAddress{}) return value;
    refuse(*item, key, "the Ethernet address of one host, such as \"00:00:5e:00:01:01\"");
    return std::nullopt;
}

std::pair<uint16_t, uint16_t> Section::port_range(std::string_view name) const {
    const Key& key = key_of(name, {KeyKind::port_range});
    const auto fallback = *parse_port_range(key.fallback);
    const Item* item = expect(key, Item::Kind::string);
    if (!item) return fallback;
    const auto value = parse_port_range(item->text);
    if (!value) refuse(*item, key, "a range of ports, such as \"1024-65535\"");
    return value.value_or(fallback);
}

const std::vector<Item>& Section::list(const Key& key, Item::Kind kind, double most) const {
    static const std::vector<Item> nothing;
    const Item* array = expect(key, Item::Kind::array);
    if (!array) return nothing;
    const double size = static_cast<double>(array->items.size());
    if (size < key.min || size > most) {
        problems_.error(array->mark, fmt::format("{} must have from {:g} to {:g} values, not {}",
                                                 path(key.name), key.min, most, size));
        return nothing;
    }
    for (const Item& item : array->items)
        if (item.kind != kind && key.kind != KeyKind::address_list) {
            refuse(item, key, fmt::format("an array in which each value is {}", name_of(kind)));
            return nothing;
        }
    return array->items;
}

std::vector<Placed<IpAddress>> Section::addresses(std::string_view name) const {
    const Key& key = key_of(name, {KeyKind::address_list});
    std::vector<Placed<IpAddress>> values;
    for (const Item& item : list(key, Item::Kind::string, key.max))
        if (auto value = address_of(item, key)) values.push_back({*value, item.mark});
    return values;
}

std::vector<Placed<std::string>> Section::texts(std::string_view name) const {
    const Key& key = key_of(name, {KeyKind::text_list, KeyKind::name_list});
    std::vector<Placed<std::string>> values;
    for (const Item& item : list(key, Item::Kind::string, key.max))
        if (key.kind == KeyKind::text_list || name_ok(item, key))
            values.push_back({item.text, item.mark});
    return values;
}

std::vector<uint32_t> Section::integers(std::string_view name) const {
    const Key& key = key_of(name, {KeyKind::integer_list});
    std::vector<uint32_t> values;
    constexpr double kMost = 16;
    for (const Item& item : list(key, Item::Kind::integer, kMost)) {
        if (item.number < key.min || item.number > key.max)
            refuse(item, key, fmt::format("from {:g} to {:g}", key.min, key.max));
        else
            values.push_back(static_cast<uint32_t>(item.integer));
    }
    return values;
}

Section Section::child(std::string_view key) const {
    const Table* table = find_table(path(key));
    CHECK(table && !table->repeated);
    const Item* item = find(key);
    if (!item && table->required && (present() || name_.empty()))
        problems_.error(mark_, fmt::format("missing table [{}]", table->name));
    return Section(table->name, item, item ? item->mark : mark_, problems_);
}

std::vector<Section> Section::children(std::string_view key) const {
    const Table* table = find_table(path(key));
    CHECK(table && table->repeated);
    std::vector<Section> sections;
    const Item* array = find(key);
    if (!array) {
        if (table->required && present())
            problems_.error(mark_, fmt::format("missing table [[{}]]", table->name));
        return sections;
    }
    if (array->kind != Item::Kind::array) {
        problems_.error(array->mark, fmt::format("{} is repeated: write [[{}]]", key, table->name));
        return sections;
    }
    if (array->items.size() > table->most || array->items.empty()) {
        problems_.error(array->mark, fmt::format("there must be from 1 to {} [[{}]], not {}",
                                                 table->most, table->name, array->items.size()));
        return sections;
    }
    for (const Item& item : array->items)
        sections.emplace_back(table->name, &item, item.mark, problems_);
    return sections;
}

}  // namespace holdfast
