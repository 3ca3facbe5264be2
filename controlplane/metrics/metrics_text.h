// Prometheus text format 0.0.4: families with HELP and TYPE, each once, labels escaped.
//
// A family whose name was used before is not written again (its samples go too): a scrape with a
// duplicate is refused as a whole, a missing counter is only missing. Not here: what is measured.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace holdfast {

class MetricsText {
public:
    using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

    // Begins a family; `name` without the prefix "holdfast_".
    void gauge(std::string_view name, std::string_view help) { family(name, "gauge", help); }
    void counter(std::string_view name, std::string_view help) { family(name, "counter", help); }
    void sample(Labels labels, double value);
    void sample(Labels labels, uint64_t value);
    void sample(double value) { sample({}, value); }
    void sample(uint64_t value) { sample({}, value); }

    const std::string& text() const { return text_; }

private:
    void family(std::string_view name, const char* type, std::string_view help);
    void write(Labels labels, const std::string& value);
    std::string text_;
    std::string name_;  // "" while a duplicate is skipped
    std::set<std::string> names_;
};

}  // namespace holdfast
