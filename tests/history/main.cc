// Judges what tcpdump saw at the clients' end and at the backends' end of what is in between.
//
//     holdfast-history --mode proxy --clients FILE --backends FILE [--rows FILE] ...
//
// Says what it found as one line of JSON. Exit code 0: all is well; 1: something is wrong, or too
// little could be judged; 2: a file could not be read.
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "tests/history/checksum.h"
#include "tests/history/judge.h"

namespace {

using namespace holdfast;
using namespace holdfast::history;

constexpr size_t kBlock = 16 * 1024;  // of a row
constexpr size_t kMostTold = 20;

struct Arguments {
    std::string clients, backends, rows;
    Between between = Between::forward;
    uint64_t missed_at_clients = 0, missed_at_backends = 0;
    double least_share = 0.95;
};

// A file in memory, mapped; it lives as long as the process.
std::expected<Bytes, std::string> map_file(const std::string& path) {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat about {};
    if (fd < 0 || fstat(fd, &about) != 0)
        return std::unexpected(path + ": " + std::strerror(errno));
    const auto size = static_cast<size_t>(about.st_size);
    void* memory = size == 0 ? nullptr : mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (memory == MAP_FAILED) return std::unexpected(path + ": " + std::strerror(errno));
    return Bytes(static_cast<const std::byte*>(memory), size);
}

struct Place {
    History history;
    CaptureCounts counts;
};

std::expected<Place, std::string> read_place(const std::string& path) {
    const auto file = map_file(path);
    if (!file) return std::unexpected(file.error());
    Place place;
    const auto counts = read_capture(*file, [&](const Segment& s) { place.history.on_segment(s); });
    if (!counts) return std::unexpected(path + ": " + counts.error());
    place.counts = *counts;
    return place;
}

// The history: end, connection, direction, offset, octets, checksum. Of each stream what was there
// without a gap.
void write_rows(std::FILE* to, const char* end, const History& history) {
    size_t number = 0;
    for (const Connection& c : history.connections()) {
        ++number;
        for (const Side side : {Side::client, Side::server}) {
            const Bytes octets = c.of(side).whole();
            for (size_t at = 0; at < octets.size(); at += kBlock) {
                const Bytes block = octets.subspan(at, std::min(kBlock, octets.size() - at));
                fmt::print(to, "{},{},{},{},{},{},{:016x}\n", end, number, to_string(c),
                           side == Side::client ? "up" : "down", at, block.size(), checksum(block));
            }
        }
    }
}

bool save_rows(const std::string& path, const Place& clients, const Place& backends) {
    std::FILE* file = std::fopen(path.c_str(), "w");
    if (file == nullptr) return false;
    fmt::print(file, "end,number,connection,direction,offset,octets,fnv1a64\n");
    write_rows(file, "client", clients.history);
    write_rows(file, "backend", backends.history);
    return std::fclose(file) == 0;
}

nlohmann::json told(const CaptureCounts& counts, uint64_t missed) {
    return {{"frames", counts.frames},
            {"damaged", counts.damaged},
            {"cut", counts.cut},
            {"missed", missed}};
}

int run(const Arguments& arguments) {
    const auto clients = read_place(arguments.clients), backends = read_place(arguments.backends);
    for (const auto* place : {&clients, &backends})
        if (!*place) {
            fmt::print(stderr, "holdfast-history: {}\n", place->error());
            return 2;
        }
    if (!arguments.rows.empty() && !save_rows(arguments.rows, *clients, *backends)) {
        fmt::print(stderr, "holdfast-history: {}: {}\n", arguments.rows, std::strerror(errno));
        return 2;
    }
    const End at_clients{clients->history, arguments.missed_at_clients + clients->counts.cut};
    const End at_backends{backends->history, arguments.missed_at_backends + backends->counts.cut};
    Judgement j = judge(at_clients, at_backends, arguments.between);
    if (j.share() < arguments.least_share)
        j.wrong.push_back(
            fmt::format("only {} of {} connections could be judged", j.judged, j.connections));
    const size_t wrong = j.wrong.size();
    j.wrong.resize(std::min(wrong, kMostTold));
    const nlohmann::json said = {{"connections", j.connections},
                                 {"judged", j.judged},
                                 {"ended", j.ended},
                                 {"reset", j.reset},
                                 {"octets", j.octets},
                                 {"found_wrong", wrong},
                                 {"wrong", j.wrong},
                                 {"clients", told(clients->counts, at_clients.missed)},
                                 {"backends", told(backends->counts, at_backends.missed)}};
    fmt::print("{}\n", said.dump());
    return wrong == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    CLI::App app("Judges what tcpdump saw at the clients' and at the backends' end.");
    Arguments a;
    const std::map<std::string, Between> modes{
        {"forward", Between::forward}, {"proxy", Between::proxy}, {"tls", Between::tls}};
    app.add_option("--mode", a.between, "what is in between: forward, proxy or tls")
        ->required()
        ->transform(CLI::CheckedTransformer(modes));
    app.add_option("--clients", a.clients, "the capture at the clients' end")->required();
    app.add_option("--backends", a.backends, "the capture at the backends' end")->required();
    app.add_option("--missed-at-clients", a.missed_at_clients,
                   "frames that capture says it missed");
    app.add_option("--missed-at-backends", a.missed_at_backends, "and that one");
    app.add_option("--least-share", a.least_share,
                   "of connections that must be judged, 0 to 1 (0.95)")
        ->check(CLI::Range(0.0, 1.0));
    app.add_option("--rows", a.rows,
                   "write the history there: a line for each 16 KiB of each stream");
    CLI11_PARSE(app, argc, argv);
    return run(a);
}
