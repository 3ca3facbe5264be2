#include "tools/trafficgen/report.h"

#include <fmt/format.h>

namespace holdfast::gen {
namespace {

using nlohmann::ordered_json;

double ms(Duration d) { return static_cast<double>(d.ns) / 1e6; }
double us(Duration d) { return static_cast<double>(d.ns) / 1e3; }
double rounded(double x) { return std::round(x * 1000) / 1000; }

ordered_json histogram_json(const Histogram& h) {
    ordered_json j{{"count", h.count()}};
    if (h.count() == 0) return j;
    j["mean_us"] = rounded(us(h.mean()));
    constexpr std::pair<const char*, double> kQuantiles[] = {
        {"p50_us", 0.5}, {"p90_us", 0.9}, {"p99_us", 0.99}, {"p999_us", 0.999}};
    for (const auto& [name, q] : kQuantiles) j[name] = rounded(us(h.quantile(q)));
    j["max_us"] = rounded(us(h.max()));
    return j;
}

ordered_json gaps_json(const Snapshot& s) {
    ordered_json list = ordered_json::array();
    for (const Gap& g : s.gaps)
        list.push_back({{"ago_ms", rounded(ms(s.now - g.began))},
                        {"ms", rounded(ms(g.length))},
                        {"in_flight", g.in_flight},
                        {"sent_during", g.sent_during},
                        {"sessions", g.sessions},
                        {"open", g.open}});
    return {{"threshold_ms", rounded(ms(s.gap_threshold))},
            {"count", s.gap_count},
            {"longest_ms", rounded(ms(s.longest))},
            {"longest_session_ms", rounded(ms(s.longest_session))},
            {"session_waits", s.sessions_waited},
            {"gaps", list}};
}

ordered_json ports_json(const Snapshot& s) {
    ordered_json list = ordered_json::array();
    for (const auto& [name, p] : s.ports)
        list.push_back({{"name", name},
                        {"rx_packets", p.rx_packets},
                        {"rx_bytes", p.rx_bytes},
                        {"rx_missed", p.rx_missed},
                        {"rx_errors", p.rx_errors},
                        {"rx_nombuf", p.rx_no_buffer},
                        {"tx_packets", p.tx_packets},
                        {"tx_bytes", p.tx_bytes},
                        {"tx_errors", p.tx_errors}});
    return list;
}

std::string latency_line(const char* name, const Histogram& h) {
    if (h.count() == 0) return "";
    return fmt::format(
        "  {:<10} p50 {:>10.1f}  p90 {:>10.1f}  p99 {:>10.1f}  p99.9 {:>10.1f}  max {:>12.1f} us\n",
        name, us(h.quantile(0.5)), us(h.quantile(0.9)), us(h.quantile(0.99)), us(h.quantile(0.999)),
        us(h.max()));
}

}  // namespace

Snapshot take_snapshot(const Engine& e, Instant began, Instant now) {
    Snapshot s;
    s.profile = e.profile().name;
    s.seed = e.seed();
    s.phase = e.phase();
    s.took = now - began;
    s.sessions = e.clients().capacity();
    s.opening = e.clients().opening();
    s.established = e.clients().established();
    s.at_servers = e.servers().size();
    s.waiting = e.clients().count_waiting();
    s.owed = e.owed(now);
    s.outstanding = e.detector().outstanding();
    s.counters = e.counters();
    s.drops = e.drops();
    s.latencies = e.latencies();
    s.gaps = e.detector().gaps(now);
    s.gap_count = e.detector().count();
    s.sessions_waited = e.detector().sessions_waited();
    s.gap_threshold = e.detector().threshold();
    s.longest = e.detector().longest(now);
    s.longest_session = e.detector().longest_session();
    s.now = now;
    return s;
}

ordered_json to_json(const Snapshot& s) {
    ordered_json j{{"schema", "holdfast-gen/1"},
                   {"profile", s.profile},
                   {"seed", s.seed},
                   {"phase", to_string(s.phase)},
                   {"seconds", rounded(s.took.as_seconds())}};
    j["sessions"] = {{"wanted", s.sessions},
                     {"opening", s.opening},
                     {"established", s.established},
                     {"at_servers", s.at_servers},
                     {"waiting", s.waiting}};
    j["owed"] = s.owed;
    j["outstanding"] = s.outstanding;
    ordered_json counters;
    for (const auto& c : kGenCounters) counters[c.name] = s.counters.*c.member;
    for (const auto& c : kPortSetCounters) counters[c.name] = s.devices.*c.member;
    j["counters"] = counters;
    ordered_json drops = ordered_json::object();
    for (const DropInfo& d : kDropTable)
        if (s.drops.of(d.reason) > 0) drops[d.name] = s.drops.of(d.reason);
    j["drops"] = drops;
    j["latency"] = {{"connect", histogram_json(s.latencies.connect)},
                    {"answer", histogram_json(s.latencies.answer)},
                    {"complete", histogram_json(s.latencies.complete)}};
    j["failover"] = gaps_json(s);
    j["ports"] = ports_json(s);
    return j;
}

std::string to_text(const Snapshot& s, const Snapshot* earlier) {
    const GenCounters before = earlier ? earlier->counters : GenCounters{};
    const double seconds = std::max(1e-9, (earlier ? s.took - earlier->took : s.took).as_seconds());
    std::string out = fmt::format(
        "{} ({}), {:.1f} s: {} of {} sessions established, {} opening, {} at servers, {} waiting\n",
        s.profile, to_string(s.phase), s.took.as_seconds(), s.established, s.sessions, s.opening,
        s.at_servers, s.waiting);
    out += fmt::format("  {:<22} {:>16} {:>16} {:>14}\n", "", "all", "since last", "a second");
    for (const auto& c : kGenCounters) {
        const uint64_t all = s.counters.*c.member, since = all - std::min(all, before.*c.member);
        if (all == 0) continue;
        out += fmt::format("  {:<22} {:>16} {:>16} {:>14.0f}\n", c.name, all, since,
                           static_cast<double>(since) / seconds);
    }
    for (const DropInfo& d : kDropTable)
        if (s.drops.of(d.reason) > 0)
            out += fmt::format("  drop {:<17} {:>16}\n", d.name, s.drops.of(d.reason));
    if (s.devices.unsent + s.devices.no_buffer > 0)
        out += fmt::format("  not taken by a device {}, no buffer {}\n", s.devices.unsent,
                           s.devices.no_buffer);
    if (s.owed > 0) out += fmt::format("  due and not sent yet: {}\n", s.owed);
    out += latency_line("connect", s.latencies.connect);
    out += latency_line("answer", s.latencies.answer);
    out += latency_line("complete", s.latencies.complete);
    out += failover_text(s);
    return out;
}

std::string failover_text(const Snapshot& s) {
    std::string out =
        fmt::format("  sessions lost {}, resets {}, timeouts {}, wrong octets {}, outstanding {}\n",
                    s.counters.sessions_lost, s.counters.resets, s.counters.timeouts,
                    s.counters.wrong_octets, s.outstanding);
    out += fmt::format(
        "  longest silence {:.1f} ms, of a session {:.1f} ms; {} gaps of more than {:.0f} ms\n",
        ms(s.longest), ms(s.longest_session), s.gap_count, ms(s.gap_threshold));
    for (const Gap& g : s.gaps)
        out += fmt::format(
            "  gap {:.1f} s ago: {:.1f} ms{}, {} in flight, {} sent into it, {} sessions waited\n",
            (s.now - g.began).as_seconds(), ms(g.length), g.open ? " and goes on" : "", g.in_flight,
            g.sent_during, g.sessions);
    return out;
}

std::string port_text(const Snapshot& s) {
    std::string out;
    for (const auto& [name, p] : s.ports)
        out += fmt::format(
            "  port {}\n    RX-packets: {:<14} RX-missed: {:<10} RX-bytes: {}\n"
            "    RX-errors: {}\n    RX-nombuf: {}\n"
            "    TX-packets: {:<14} TX-errors: {:<10} TX-bytes: {}\n",
            name, p.rx_packets, p.rx_missed, p.rx_bytes, p.rx_errors, p.rx_no_buffer, p.tx_packets,
            p.tx_errors, p.tx_bytes);
    return out;
}

bool is_clean(const Snapshot& s) {
    const GenCounters& c = s.counters;
    return c.wrong_octets == 0 && c.sessions_lost == 0 && c.requests_lost == 0 &&
           s.outstanding == 0 && c.no_session_free == 0;
}

}  // namespace holdfast::gen
