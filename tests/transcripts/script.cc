#include "tests/transcripts/script.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace holdfast::transcripts {
namespace {

constexpr std::pair<char, uint8_t> kFlags[] = {
    {'S', tcp_flag::syn}, {'F', tcp_flag::fin}, {'R', tcp_flag::rst}, {'P', tcp_flag::psh},
    {'.', tcp_flag::ack}, {'E', tcp_flag::ece}, {'W', tcp_flag::cwr}, {'U', tcp_flag::urg}};

std::runtime_error error(const std::string& what) { return std::runtime_error(what); }

uint32_t number(const std::string& text) {
    size_t used = 0;
    // Through 64 bits and back: -1 is the octet before the first.
    const long long n = std::stoll(text, &used);
    if (used != text.size()) throw error("not a number: " + text);
    return static_cast<uint32_t>(n);
}

Duration seconds(const std::string& text) {
    if (text.size() < 2 || text[0] != '+') throw error("a time begins with +: " + text);
    return Duration::nanoseconds(static_cast<int64_t>(std::stod(text.substr(1)) * 1e9 + 0.5));
}

uint8_t parse_flags(const std::string& text) {
    uint8_t flags = 0;
    for (const char c : text) {
        if (c == '-') continue;
        const auto* found = std::ranges::find(kFlags, c, &std::pair<char, uint8_t>::first);
        if (found == std::end(kFlags)) throw error("unknown flag in " + text);
        flags |= found->second;
    }
    return flags;
}

// "seq:end(length)"
void parse_range(const std::string& text, Packet& p) {
    const size_t colon = text.find(':'), open = text.find('('), close = text.find(')');
    if (colon == std::string::npos || open == std::string::npos || close == std::string::npos)
        throw error("expected seq:end(length): " + text);
    p.seq = number(text.substr(0, colon));
    p.payload = number(text.substr(open + 1, close - open - 1));
    if (p.seq + p.payload != number(text.substr(colon + 1, open - colon - 1)))
        throw error("length and end disagree: " + text);
}

void parse_option(std::istringstream words, TcpOptions& o) {
    std::string kind, a, b, c, d;
    words >> kind;
    if (kind == "mss" && words >> a) {
        o.mss = static_cast<uint16_t>(number(a));
    } else if (kind == "wscale" && words >> a) {
        o.window_scale = static_cast<uint8_t>(number(a));
    } else if (kind == "sackOK") {
        o.sack_permitted = true;
    } else if (kind == "TS" && words >> a >> b >> c >> d && a == "val" && c == "ecr") {
        o.timestamps = {number(b), number(d)};
    } else if (kind == "sack") {
        while (words >> a) {
            const size_t colon = a.find(':');
            if (colon == std::string::npos || o.sack_count == TcpOptions::kMaxSackBlocks)
                throw error("bad sack block " + a);
            o.sack[o.sack_count++] = {{number(a.substr(0, colon))}, {number(a.substr(colon + 1))}};
        }
    } else if (kind != "nop" && kind != "eol" && !kind.empty()) {
        throw error("unknown option " + kind);
    }
}

void parse_options(const std::string& text, Packet& p) {
    if (text.starts_with("raw")) {
        p.raw = true;
        std::istringstream bytes(text.substr(3));
        for (std::string byte; bytes >> byte;)
            p.raw_options.push_back(static_cast<std::byte>(std::stoi(byte, nullptr, 16)));
        return;
    }
    p.options.emplace();
    std::istringstream list(text);
    for (std::string one; std::getline(list, one, ',');)
        parse_option(std::istringstream(one), *p.options);
}

Packet parse_packet(std::string text) {
    Packet p;
    const size_t open = text.find('<'), close = text.find('>');
    if (open != std::string::npos) {
        if (close == std::string::npos) throw error("options without an end");
        parse_options(text.substr(open + 1, close - open - 1), p);
        text.erase(open, close - open + 1);
    }
    std::istringstream words(text);
    std::string flags, range, word, value;
    words >> flags >> range;
    p.flags = parse_flags(flags);
    parse_range(range, p);
    while (words >> word) {
        if (word == "ce") {
            p.ce = true;
        } else if (word == "ect") {
            p.ect = true;
        } else if (word == "ack" && words >> value) {
            p.ack = number(value);
        } else if (word == "win" && words >> value) {
            p.window = static_cast<uint16_t>(number(value));
        } else {
            throw error("unexpected " + word);
        }
    }
    return p;
}

Line parse_line(const std::string& text) {
    Line line;
    line.text = text;
    std::istringstream words(text);
    std::string when, what, rest;
    words >> when >> what;
    const size_t tilde = when.find('~');
    line.after = seconds(when.substr(0, tilde));
    line.until = tilde == std::string::npos ? line.after : seconds(when.substr(tilde + 1));
    std::getline(words, rest);
    if (what == "!") {
        line.kind = Line::Kind::command;
        std::istringstream command(rest);
        for (std::string word; command >> word;) line.words.push_back(word);
    } else if (what == "<" || what == ">") {
        line.kind = what == "<" ? Line::Kind::arrives : Line::Kind::leaves;
        line.packet = parse_packet(rest);
    } else {
        throw error("expected <, > or !");
    }
    return line;
}

}  // namespace

std::vector<Script> parse_scripts(const std::string& file) {
    std::ifstream in(file);
    if (!in) throw error("cannot read " + file);
    std::vector<Script> scripts;
    int number = 0;
    for (std::string text; std::getline(in, text);) {
        ++number;
        text.erase(std::min(text.find('#'), text.size()));
        text.erase(text.find_last_not_of(" \t") + 1);
        if (text.empty()) continue;
        try {
            if (text.starts_with("=== ")) {
                scripts.push_back({file, text.substr(4), {}, {}});
            } else if (scripts.empty()) {
                throw error("before the first ===");
            } else if (text.starts_with("after ")) {
                const auto before = std::ranges::find(scripts, text.substr(6), &Script::name);
                if (before == scripts.end()) throw error("no such script above");
                const Script begin = *before;
                scripts.back().lines = begin.lines;
                for (const std::string& c : begin.config) scripts.back().config.push_back(c);
            } else if (text.starts_with("config ")) {
                std::istringstream words(text.substr(7));
                for (std::string word; words >> word;) scripts.back().config.push_back(word);
            } else {
                Line line = parse_line(text);
                line.number = number;
                scripts.back().lines.push_back(std::move(line));
            }
        } catch (const std::exception& e) {
            throw error(file + ":" + std::to_string(number) + ": " + e.what());
        }
    }
    return scripts;
}

std::string to_string(const Packet& p) {
    std::string s;
    for (const auto& [c, flag] : kFlags)
        if ((p.flags & flag) != 0) s += c;
    if (s.empty()) s = "-";
    s += " " + std::to_string(p.seq) + ":" + std::to_string(p.seq + p.payload) + "(" +
         std::to_string(p.payload) + ")";
    if (p.ack) s += " ack " + std::to_string(*p.ack);
    if (p.window) s += " win " + std::to_string(*p.window);
    if (p.ect) s += " ect";
    if (!p.options) return s;
    std::string o;
    if (p.options->mss) o += ",mss " + std::to_string(*p.options->mss);
    if (p.options->sack_permitted) o += ",sackOK";
    if (p.options->timestamps)
        o += ",TS val " + std::to_string(p.options->timestamps->value) + " ecr " +
             std::to_string(p.options->timestamps->echo);
    if (p.options->window_scale) o += ",wscale " + std::to_string(*p.options->window_scale);
    if (p.options->sack_count > 0) o += ",sack";
    for (const SackBlock& b : p.options->sack_blocks())
        o += " " + std::to_string(b.start.value) + ":" + std::to_string(b.end.value);
    return s + " <" + (o.empty() ? "" : o.substr(1)) + ">";
}

}  // namespace holdfast::transcripts
