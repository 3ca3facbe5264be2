#include "tools/trafficgen/command.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "tools/trafficgen/pattern.h"

namespace holdfast::gen {
namespace {

constexpr const char* kHelp =
    R"(start                      open the sessions, then send as the schedule says
stop                       nothing more becomes due
show stats                 everything counted, with what is new since the last time
show failover              gaps, what was in flight, sessions lost
show port stats all        what the devices count
show port xstats all       likewise, every counter that is not 0
show config                the profile
show json                  all of it, one JSON object on one line
clear stats                count anew; sessions stay
set rate N                 requests or connections a second; at once
set attack SPEC            syn=N,flags=N,rst=N,ack=N,fragments=N a second, or off; at once
set profile NAME           established connect http concurrent verify mixed attack
set mix FILE               the distribution of the profile mixed
set sessions N             these, and the profile, need a stop before, and take effect at the next
set open-rate N            start: with new sessions
set half-open N
set requests N
set request N
set response N
set close fin|rst
wait running|drained N     until then, N seconds at most
sleep N                    seconds
hang-up                    reset all sessions
quit
)";

std::vector<std::string_view> words_of(std::string_view line) {
    std::vector<std::string_view> words;
    line = line.substr(0, line.find('#'));
    constexpr std::string_view kBlanks = " \t\r\n";
    for (size_t at = line.find_first_not_of(kBlanks); at != std::string_view::npos;) {
        const size_t end = std::min(line.find_first_of(kBlanks, at), line.size());
        words.push_back(line.substr(at, end - at));
        at = line.find_first_not_of(kBlanks, end);
    }
    return words;
}

std::optional<double> number(std::string_view word) {
    double value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    const bool fine = error == std::errc{} && end == word.data() + word.size();
    return fine && value >= 0 && value <= 1e9 ? std::optional(value) : std::nullopt;
}

struct Phrase {
    Verb verb;
    std::string_view words;  // N: a number from 0 to 1e9; WORD: anything
};
constexpr Phrase kPhrases[] = {
    {Verb::start, "start"},
    {Verb::stop, "stop"},
    {Verb::show_stats, "show stats"},
    {Verb::show_failover, "show failover"},
    {Verb::show_config, "show config"},
    {Verb::show_json, "show json"},
    {Verb::show_port_stats, "show port stats all"},
    {Verb::show_port_xstats, "show port xstats all"},
    {Verb::clear, "clear stats"},
    {Verb::clear, "clear port stats all"},
    {Verb::set_rate, "set rate N"},
    {Verb::set_attack, "set attack WORD"},
    {Verb::set_profile, "set profile WORD"},
    {Verb::set_mix, "set mix WORD"},
    {Verb::set_close, "set close WORD"},
    {Verb::set_number, "set WORD N"},
    {Verb::wait, "wait WORD N"},
    {Verb::sleep, "sleep N"},
    {Verb::hang_up, "hang-up"},
    {Verb::help, "help"},
    {Verb::quit, "quit"},
};

// How many words of a phrase the given ones are; all of them: `command` is filled in.
size_t match(const Phrase& phrase, const std::vector<std::string_view>& given, Command& command) {
    const auto wanted = words_of(phrase.words);
    for (size_t i = 0; i < wanted.size(); ++i) {
        if (i == given.size()) return i;
        if (wanted[i] == "WORD") {
            command.word = given[i];
        } else if (wanted[i] == "N") {
            const auto n = number(given[i]);
            if (!n) return i;
            command.number = *n;
        } else if (wanted[i] != given[i]) {
            return i;
        }
    }
    command.verb = phrase.verb;
    return wanted.size();
}

void of_class(Profile& p, uint32_t FlowClass::*member, double value) {
    for (FlowClass& c : p.classes) {
        c.*member = static_cast<uint32_t>(value);
        c.silent = false;
    }
}

}  // namespace

std::string_view help_text() { return kHelp; }

std::expected<Attack, std::string> parse_attack(std::string_view text) {
    Attack attack;
    if (text == "off") return attack;
    struct Sort {
        std::string_view name;
        double Attack::*rate;
    };
    constexpr Sort kSorts[] = {{"syn", &Attack::syn},
                               {"flags", &Attack::flags},
                               {"rst", &Attack::rst},
                               {"ack", &Attack::ack},
                               {"fragments", &Attack::fragments}};
    do {
        const std::string_view item = text.substr(0, text.find(','));
        text.remove_prefix(std::min(item.size() + 1, text.size()));
        const size_t equals = std::min(item.find('='), item.size());
        const auto sort = std::ranges::find(kSorts, item.substr(0, equals), &Sort::name);
        const auto rate = number(item.substr(std::min(equals + 1, item.size())));
        if (sort == std::end(kSorts) || !rate || *rate > 1e8)
            return std::unexpected(fmt::format(
                "'{}' is not SORT=FRAMES with a sort of syn, flags, rst, ack, fragments", item));
        attack.*(sort->rate) = *rate;
    } while (!text.empty());
    return attack;
}

std::expected<Command, std::string> parse_command(std::string_view line) {
    const auto words = words_of(line);
    if (words.empty()) return Command{};
    size_t best = 0;
    std::string nearest;
    for (const Phrase& phrase : kPhrases) {
        Command c;
        const size_t matched = match(phrase, words, c);
        if (matched == words.size() && matched == words_of(phrase.words).size()) {
            if (c.verb != Verb::set_attack) return c;
            const auto attack = parse_attack(c.word);
            if (!attack) return std::unexpected(attack.error());
            c.attack = *attack;
            return c;
        }
        if (matched > best) nearest.clear();
        if (matched >= std::max<size_t>(best, 1))
            nearest += fmt::format("{}{}", nearest.empty() ? "" : ", ", phrase.words);
        best = std::max(best, matched);
    }
    if (nearest.empty())
        return std::unexpected(fmt::format("no command '{}'; help lists all", words[0]));
    return std::unexpected(fmt::format("'{}' is not understood; there is: {}", line, nearest));
}

std::expected<void, std::string> set_number(Profile& p, std::string_view field, double value) {
    struct Field {
        std::string_view name;
        double least, most;
        void (*set)(Profile&, double);
    };
    const Field fields[] = {
        {"sessions", 1, 8u << 20,
         [](Profile& q, double v) { q.sessions = static_cast<uint32_t>(v); }},
        {"rate", 0, 1e8, [](Profile& q, double v) { q.rate = v; }},
        {"open-rate", 1, 1e8, [](Profile& q, double v) { q.open_rate = v; }},
        {"half-open", 1, 1u << 20,
         [](Profile& q, double v) { q.half_open = static_cast<uint32_t>(v); }},
        {"requests", 1, 1e6, [](Profile& q, double v) { of_class(q, &FlowClass::requests, v); }},
        {"request", kPreamble, 1u << 30,
         [](Profile& q, double v) { of_class(q, &FlowClass::request, v); }},
        {"response", 0, 1u << 30,
         [](Profile& q, double v) { of_class(q, &FlowClass::response, v); }},
    };
    const auto found = std::ranges::find(fields, field, &Field::name);
    if (found == std::end(fields)) {
        std::string names;
        for (const Field& f : fields) names += fmt::format(" {}", f.name);
        return std::unexpected(fmt::format("no '{}' to set; there is:{} close", field, names));
    }
    if (value < found->least || value > found->most)
        return std::unexpected(
            fmt::format("{} is from {} to {}", field, found->least, found->most));
    found->set(p, value);
    return {};
}

}  // namespace holdfast::gen
