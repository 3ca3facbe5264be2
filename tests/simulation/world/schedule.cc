#include "tests/simulation/world/schedule.h"

namespace holdfast::simulation {
namespace {

Duration between(Random& random, int64_t from_ms, int64_t to_ms) {
    const auto span = static_cast<uint64_t>(to_ms - from_ms) * 1'000;
    return Duration::microseconds(from_ms * 1'000 + static_cast<int64_t>(random.below(span)));
}

Fault weather(Random& random) {
    Fault f;
    f.kind = random.chance(0.5) ? Fault::Kind::ring_weather : Fault::Kind::wire_weather;
    f.at = between(random, 0, 800);
    f.lasts = between(random, 50, 1'500);
    f.chance = 0.001 + 0.03 * static_cast<double>(random.below(1'000)) / 1'000;
    return f;
}

Fault trouble(Random& random, unsigned nodes, Temper temper) {
    constexpr Fault::Kind kKinds[] = {
        Fault::Kind::kill,  Fault::Kind::kill,     Fault::Kind::kill,
        Fault::Kind::pause, Fault::Kind::cut_ring, Fault::Kind::handover,
        Fault::Kind::stall, Fault::Kind::deaf,     Fault::Kind::mute};
    Fault f;
    f.kind = kKinds[random.below(std::size(kKinds))];
    f.at = between(random, 5, temper == Temper::orderly ? 400 : 1'500);
    f.lasts = f.kind == Fault::Kind::stall ? between(random, 5, 60) : between(random, 100, 700);
    if (!random.chance(0.7)) f.node = static_cast<uint8_t>(random.below(nodes));
    return f;
}

}  // namespace

std::vector<Fault> draw_faults(Random& random, Temper temper, unsigned nodes, unsigned failovers) {
    std::vector<Fault> all;
    for (uint64_t n = random.below(3); n > 0; --n) all.push_back(weather(random));
    for (unsigned n = 0; n < failovers; ++n) all.push_back(trouble(random, nodes, temper));
    return all;
}

void draw_odd_fault(Random& random, unsigned nodes, std::vector<Fault>& faults) {
    constexpr Fault::Kind kKinds[] = {Fault::Kind::clock_jump, Fault::Kind::clock_jump,
                                      Fault::Kind::clients_link, Fault::Kind::backends_link};
    if (!random.chance(1.0 / 3)) return;
    Fault f;
    f.kind = kKinds[random.below(std::size(kKinds))];
    f.at = between(random, 5, 400);
    f.lasts = between(random, 10, 500);
    if (!random.chance(0.7)) f.node = static_cast<uint8_t>(random.below(nodes));
    const auto before = static_cast<std::ptrdiff_t>(random.below(faults.size() + 1));
    faults.insert(faults.begin() + before, f);
}

void draw_host_fault(Random& random, std::vector<Fault>& faults) {
    if (!random.chance(0.25)) return;
    Fault f;
    f.kind = Fault::Kind::host_link;
    f.at = between(random, 5, 400);
    f.lasts = between(random, 10, 800);
    f.node = static_cast<uint8_t>(random.below(4));
    faults.push_back(f);
}

std::string to_string(const Fault& f) {
    constexpr const char* kNames[] = {"kill",         "pause",         "cut_ring",  "deaf",
                                      "mute",         "handover",      "stall",     "clock_jump",
                                      "clients_link", "backends_link", "host_link", "ring_weather",
                                      "wire_weather"};
    std::string text = std::string(kNames[static_cast<int>(f.kind)]) + " after " +
                       std::to_string(f.at.as_milliseconds()) + " ms, for " +
                       std::to_string(f.lasts.as_milliseconds()) + " ms";
    if (f.kind == Fault::Kind::host_link)
        return text + (f.node & 2 ? ", backend of IPv" : ", clients of IPv") +
               (f.node & 1 ? "6" : "4");
    if (f.is_of_hosts()) return text;
    if (f.is_weather()) return text + ", " + std::to_string(f.chance * 100) + " %";
    return text + (f.node == Fault::kHolder ? ", the holder" : ", node " + std::to_string(f.node));
}

}  // namespace holdfast::simulation
