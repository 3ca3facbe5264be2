#include "controlplane/metrics/metrics_text.h"

#include <fmt/format.h>

#include <cmath>

namespace holdfast {

namespace {

std::string escaped(std::string_view text, bool in_label) {
    std::string out;
    for (char c : text) {
        if (c == '\\')
            out += "\\\\";
        else if (c == '\n')
            out += "\\n";
        else if (c == '"' && in_label)
            out += "\\\"";
        else
            out += c;
    }
    return out;
}

}  // namespace

void MetricsText::family(std::string_view name, const char* type, std::string_view help) {
    name_ = fmt::format("holdfast_{}", name);
    if (!names_.insert(name_).second) {
        name_.clear();
        return;
    }
    text_ += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name_, escaped(help, false), type);
}

void MetricsText::write(Labels labels, const std::string& value) {
    if (name_.empty()) return;
    text_ += name_;
    char before = '{';
    for (const auto& [name, label] : labels) {
        text_ += fmt::format("{}{}=\"{}\"", before, name, escaped(label, true));
        before = ',';
    }
    text_ += fmt::format("{} {}\n", before == ',' ? "}" : "", value);
}

void MetricsText::sample(Labels labels, double value) {
    write(labels, std::isfinite(value) ? fmt::format("{}", value) : "NaN");
}

void MetricsText::sample(Labels labels, uint64_t value) { write(labels, fmt::format("{}", value)); }

}  // namespace holdfast
