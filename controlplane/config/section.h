// Reads one table of the file by the schema: a value of the right type and range, or a problem
// and the default.
//
// Constructing it reports unknown and missing keys; each getter reports what is wrong with its
// own. A getter for a key that the schema does not have, or has as another kind, is our mistake
// (CHECK).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "controlplane/config/document.h"
#include "controlplane/config/problem.h"
#include "controlplane/config/schema.h"
#include "dataplane/wire/address.h"

namespace holdfast {

template <typename T>
struct Placed {
    T value;
    Mark mark;
};

class Section {
public:
    // `table` may be absent (nullptr): everything has its default; `mark` is where to complain.
    Section(std::string_view name, const Item* table, Mark mark, Problems& problems);

    std::string text(std::string_view key) const;  // text, name, path, choice
    bool flag(std::string_view key) const;
    int64_t integer(std::string_view key) const;
    double number(std::string_view key) const;
    Duration duration(std::string_view key) const;
    uint64_t size(std::string_view key) const;
    std::optional<IpAddress> address(std::string_view key) const;
    std::optional<Endpoint> endpoint(std::string_view key) const;  // none: "off", or wrong
    std::optional<MacAddress> mac(std::string_view key) const;
    std::pair<uint16_t, uint16_t> port_range(std::string_view key) const;
    std::vector<Placed<IpAddress>> addresses(std::string_view key) const;
    std::vector<Placed<std::string>> texts(std::string_view key) const;  // text_list, name_list
    std::vector<uint32_t> integers(std::string_view key) const;

    // A table below this one; the whole of a repeated one.
    Section child(std::string_view key) const;
    std::vector<Section> children(std::string_view key) const;

    bool has(std::string_view key) const { return find(key) != nullptr; }
    bool present() const { return table_ != nullptr; }
    bool complete() const { return complete_; }  // no key that is required is missing
    // Its value; the section's own place when it is not written.
    Mark mark(std::string_view key) const;
    Mark mark() const { return mark_; }
    const Item* find(std::string_view key) const;
    Problems& problems() const { return problems_; }

private:
    const Key& key_of(std::string_view key, std::initializer_list<KeyKind> kinds) const;
    // The item when it is there and of that kind; complains when it is another.
    const Item* expect(const Key& key, Item::Kind kind) const;
    const std::vector<Item>& list(const Key& key, Item::Kind kind, double most) const;
    void refuse(const Item& item, const Key& key, std::string_view wanted) const;
    std::optional<IpAddress> address_of(const Item& item, const Key& key) const;
    bool name_ok(const Item& item, const Key& key) const;
    void report_unknown() const;
    void report_missing();
    std::string path(std::string_view key) const;

    std::string_view name_;
    const Item* table_;
    Mark mark_;
    bool complete_ = true;
    Problems& problems_;
};

}  // namespace holdfast
