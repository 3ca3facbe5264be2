#include "tools/trafficgen/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/random.h"
#include "tools/trafficgen/pattern.h"

namespace holdfast::gen {
namespace {

constexpr uint32_t kMostOctets = 1u << 30;

Profile connections(const char* name, FlowClass what) {
    Profile p;
    p.name = name;
    p.kind = Kind::connections;
    p.sessions = 262'144;
    p.classes = {what};
    return p;
}

std::vector<std::string_view> words_of(std::string_view line) {
    std::vector<std::string_view> words;
    line = line.substr(0, line.find('#'));
    constexpr std::string_view kBlanks = " \t\r";
    for (size_t at = line.find_first_not_of(kBlanks); at != std::string_view::npos;) {
        const size_t end = std::min(line.find_first_of(kBlanks, at), line.size());
        words.push_back(line.substr(at, end - at));
        at = line.find_first_not_of(kBlanks, end);
    }
    return words;
}

std::expected<uint32_t, std::string> number(std::string_view what, std::string_view word,
                                            uint32_t least, uint32_t most) {
    uint32_t value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc{} || end != word.data() + word.size() || value < least || value > most)
        return std::unexpected(
            fmt::format("{} is '{}', not a number from {} to {}", what, word, least, most));
    return value;
}

std::expected<FlowClass, std::string> parse_class(const std::vector<std::string_view>& words) {
    if (words.size() != 5)
        return std::unexpected(fmt::format(
            "{} words, not 5: weight requests request response fin|rst|silent", words.size()));
    FlowClass c;
    struct Column {
        const char* name;
        uint32_t FlowClass::*to;
        uint32_t least, most;
    };
    const Column columns[] = {{"weight", &FlowClass::weight, 1, 1'000'000},
                              {"requests", &FlowClass::requests, 1, 1'000'000},
                              {"request", &FlowClass::request, kPreamble, kMostOctets},
                              {"response", &FlowClass::response, 0, kMostOctets}};
    for (size_t i = 0; i < std::size(columns); ++i) {
        const auto n = number(columns[i].name, words[i], columns[i].least, columns[i].most);
        if (!n) return std::unexpected(n.error());
        c.*columns[i].to = *n;
    }
    const std::string_view close = words[4];
    if (close != "fin" && close != "rst" && close != "silent")
        return std::unexpected(fmt::format("'{}' is none of fin, rst, silent", close));
    c.close = close == "rst" ? Close::rst : Close::fin;
    c.silent = close == "silent";
    return c;
}

}  // namespace

std::expected<Profile, std::string> profile_by_name(std::string_view name) {
    Profile p;
    p.name = name;
    if (name == "established") return p;
    if (name == "verify") {
        p.sessions = 100;
        p.classes = {{.request = 1000, .response = 1000}};
        return p;
    }
    if (name == "concurrent") {
        p.sessions = 1'000'000;
        p.rate = 0;
        return p;
    }
    if (name == "connect") return connections("connect", {.requests = 1, .silent = true});
    if (name == "http")
        return connections("http", {.requests = 1, .request = 120, .response = 600});
    if (name == "mixed")
        return connections("mixed", {.requests = 1, .request = 120, .response = 600});
    if (name == "attack") {
        p.kind = Kind::nothing;
        p.attack.syn = 1000;
        return p;
    }
    return std::unexpected(fmt::format(
        "no profile '{}': established, connect, http, concurrent, verify, mixed, attack", name));
}

std::expected<std::vector<FlowClass>, std::string> parse_mix(std::string_view file,
                                                             std::string_view text) {
    std::vector<FlowClass> classes;
    for (unsigned line = 1; !text.empty(); ++line) {
        const size_t end = std::min(text.find('\n'), text.size());
        const auto words = words_of(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (words.empty()) continue;
        auto parsed = parse_class(words);
        if (!parsed) return std::unexpected(fmt::format("{}:{}: {}", file, line, parsed.error()));
        classes.push_back(*parsed);
        if (classes.size() > 255)
            return std::unexpected(fmt::format("{}:{}: more than 255 classes", file, line));
    }
    if (classes.empty()) return std::unexpected(fmt::format("{}:1: no class in it", file));
    return classes;
}

ClassTable::ClassTable(const std::vector<FlowClass>& classes, uint64_t seed)
    : classes_(classes), seed_(seed) {
    uint64_t total = 0;
    for (const FlowClass& c : classes_) up_to_.push_back(total += c.weight);
}

uint8_t ClassTable::number_of(uint32_t session) const {
    if (classes_.size() == 1) return 0;
    const uint64_t at = Random(seed_ ^ mix64(session)).below(up_to_.back());
    return static_cast<uint8_t>(std::ranges::upper_bound(up_to_, at) - up_to_.begin());
}

}  // namespace holdfast::gen
