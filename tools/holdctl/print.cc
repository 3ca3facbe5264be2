#include "tools/holdctl/print.h"

#include <fmt/format.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "tools/holdctl/table.h"

namespace holdfast {

namespace {

using nlohmann::json;

// One member as text, by "a.b" path.
std::string cell(const json& object, const char* member) {
    const json* value = &object;
    std::string path = member;
    for (size_t from = 0; from <= path.size();) {
        const size_t dot = std::min(path.find('.', from), path.size());
        const std::string name = path.substr(from, dot - from);
        if (!value->is_object() || !value->contains(name)) return "?";
        value = &(*value)[name];
        from = dot + 1;
    }
    if (value->is_string()) return value->get<std::string>();
    if (value->is_null()) return "-";
    if (value->is_boolean()) return value->get<bool>() ? "yes" : "no";
    return value->dump();
}

double number(const json& object, const char* member) {
    return object.is_object() && object.contains(member) && object[member].is_number()
               ? object[member].get<double>()
               : 0.0;
}

bool truth(const json& object, const char* member) { return cell(object, member) == "yes"; }

const json& list(const json& object, const char* member) {
    static const json nothing = json::array();
    return object.is_object() && object.contains(member) && object[member].is_array()
               ? object[member]
               : nothing;
}

std::string seconds_text(double s) {
    if (s < 1) return fmt::format("{:.0f}ms", s * 1e3);
    if (s < 60) return fmt::format("{:.1f}s", s);
    const auto whole = static_cast<long>(s);
    if (s < 3'600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
    if (s < 86'400) return fmt::format("{}h{:02}m", whole / 3'600, whole / 60 % 60);
    return fmt::format("{}d{:02}h", whole / 86'400, whole / 3'600 % 24);
}

std::string bytes_text(double bytes) {
    for (const char* unit : {"B", "KiB", "MiB", "GiB"}) {
        if (bytes < 1'024) return fmt::format("{:.{}f} {}", bytes, unit[0] == 'B' ? 0 : 1, unit);
        bytes /= 1'024;
    }
    return fmt::format("{:.1f} TiB", bytes);
}

std::string ms_text(const json& object, const char* member) {
    if (!object.contains(member) || object[member].is_null()) return "-";
    return fmt::format("{:.1f} ms", number(object, member));
}

// RFC 3339, to the millisecond.
std::string time_text(double unix_ms) {
    const auto ms = static_cast<long long>(unix_ms);
    const auto seconds = static_cast<time_t>(ms / 1'000);
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    return fmt::format("{}.{:03}Z", text, ms % 1'000);
}

std::string joined(const json& names) {
    std::string text;
    for (const json& name : names)
        text += (text.empty() ? "" : " ") + (name.is_string() ? name.get<std::string>() : "?");
    return text;
}

std::string heard(const json& peer) {
    return peer.value("since_heard_ms", json()).is_null()
               ? "never"
               : seconds_text(number(peer, "since_heard_ms") / 1e3) + " ago";
}

std::string head_text(const json& s) {
    const json& node = s.contains("node") ? s["node"] : s;
    const json& sessions = s.contains("sessions") ? s["sessions"] : s;
    const json& gate = s.contains("gate") ? s["gate"] : s;
    const json& store = s.contains("store") ? s["store"] : s;
    std::string text = fmt::format(
        "node {} (id {}) of cluster {}, up {}, holdfast {}\n", cell(node, "name"), cell(node, "id"),
        cell(node, "cluster"), seconds_text(number(node, "uptime_seconds")), cell(node, "version"));
    if (truth(s, "solo"))
        text += "SOLO: goes on without any standby; what it holds would not survive it\n";
    text += fmt::format("coverage  {:.1f}% of live sessions would survive this node\n",
                        100 * number(s, "coverage"));
    text += fmt::format(
        "sessions  {} live ({} embryonic, {} established, {} closing), {} unprotected; room for "
        "{}\n",
        cell(sessions, "live"), cell(sessions, "embryonic"), cell(sessions, "established"),
        cell(sessions, "closing"), cell(sessions, "unprotected"), cell(sessions, "capacity"));
    text += fmt::format("gate      {} waiting, {} released, longest wait {} us; {} parked\n",
                        cell(gate, "held"), cell(gate, "released"), cell(gate, "longest_wait_us"),
                        cell(gate, "parked"));
    text += fmt::format("store     {} fragments for other nodes, {} of {}\n",
                        cell(store, "fragments"), bytes_text(number(store, "bytes")),
                        bytes_text(number(store, "capacity_bytes")));
    return text;
}

std::string groups_text(const json& status) {
    TextTable table({">GROUP", "ROLE", "HOLDER", ">EPOCH", ">SESSIONS"});
    for (const json& g : list(status, "groups"))
        table.row({cell(g, "id"), cell(g, "role") + (truth(g, "mixed") ? " (mixed)" : ""),
                   cell(g, "holder"), cell(g, "epoch"), cell(g, "sessions")});
    return table.text();
}

std::string peers_text(const json& status) {
    TextTable table({"PEER", "STATE", ">HEARD", ">LAG", "IN VIEW"});
    for (const json& p : list(status, "peers"))
        table.row(
            {cell(p, "name"), cell(p, "state"), heard(p), cell(p, "lag"), cell(p, "in_view")});
    return table.text();
}

std::string backends_text(const json& status) {
    TextTable table({"BACKEND", "ADDRESS", "STATE", ">WEIGHT", ">SESSIONS", ">FAILED CHECKS"});
    for (const json& b : list(status, "backends")) {
        const bool drained = number(b, "weight") == 0;
        table.row({cell(b, "service") + "/" + cell(b, "name"), cell(b, "endpoint"),
                   !truth(b, "up") ? "DOWN"
                   : drained       ? "drained"
                                   : "up",
                   cell(b, "weight"), cell(b, "sessions"), cell(b, "failed_checks")});
    }
    return table.text();
}

// How long nothing passed: what a client that always has something to send sees as its stall.
std::string outage_text(const json& adoption) {
    if (ms_text(adoption, "first_packet_ms") == "-") return "";
    return fmt::format(", {:.1f} ms without one",
                       number(adoption, "silence_ms") + number(adoption, "first_packet_ms"));
}

std::string adoption_text(const json& a) {
    std::string text = fmt::format(
        "{}  group {} worker {} {} {}, epoch {}\n"
        "    silent {}, epoch won +{}, first packet +{}{}, sweep done +{}\n"
        "    {} sessions carried on, {} lost; fragments: {} own",
        time_text(number(a, "detected_unix_ms")), cell(a, "group"), cell(a, "worker"),
        truth(a, "handover") ? "handed over by" : "taken from", cell(a, "from"), cell(a, "epoch"),
        ms_text(a, "silence_ms"), ms_text(a, "epoch_won_ms"), ms_text(a, "first_packet_ms"),
        outage_text(a), ms_text(a, "sweep_done_ms"), cell(a, "sessions"), cell(a, "lost"),
        cell(a, "own"));
    if (a.contains("pulled") && a["pulled"].is_object())
        for (const auto& [peer, count] : a["pulled"].items())
            text += fmt::format(", {} from {}", count.dump(), peer);
    return text + "\n";
}

}  // namespace

std::string status_text(const json& status) {
    std::string text = head_text(status);
    text += "\n" + groups_text(status);
    text += "\n" + peers_text(status);
    text += "\n" + backends_text(status);
    if (!list(status, "adoptions").empty()) text += "\nTAKEOVERS\n";
    for (const json& adoption : list(status, "adoptions")) text += adoption_text(adoption);
    if (!status.contains("drops") || status["drops"].empty()) return text;
    TextTable drops({"DROPPED", ">PACKETS"});
    for (const auto& [reason, count] : status["drops"].items()) drops.row({reason, count.dump()});
    return text + "\n" + drops.text();
}

std::string sessions_text(const json& page) {
    TextTable table(
        {"CLIENT", "VIP", "BACKEND", "POOL", "STATE", ">AGE", ">IDLE", ">WORKER", "PROTECTED"});
    for (const json& s : list(page, "sessions"))
        table.row({cell(s, "client"), cell(s, "vip"), cell(s, "service") + "/" + cell(s, "backend"),
                   cell(s, "pool"), cell(s, "state"), seconds_text(number(s, "age_seconds")),
                   seconds_text(number(s, "idle_seconds")), cell(s, "worker"),
                   truth(s, "protected") ? "yes" : "NO"});
    return table.text() +
           fmt::format("{} of {} shown\n", list(page, "sessions").size(), cell(page, "matching"));
}

std::string ring_text(const json& ring) {
    std::string text;
    for (const json& w : list(ring, "workers")) {
        const json view = w.value("view", json::object());
        text += fmt::format("{}worker {}: {} datagrams published, view {} ({})\n",
                            text.empty() ? "" : "\n", cell(w, "worker"), cell(w, "last_published"),
                            cell(view, "number"), joined(list(view, "members")));
        TextTable peers(
            {"PEER", "STATE", ">HEARD", ">ACKNOWLEDGED", ">LAG", ">RECEIVED", "IN VIEW"});
        for (const json& p : list(w, "peers"))
            peers.row({cell(p, "name"), cell(p, "state"), heard(p), cell(p, "acknowledged"),
                       cell(p, "lag"), cell(p, "received"), cell(p, "in_view")});
        text += peers.text();
        TextTable counters({"COUNTER", ">VALUE"});
        const json modules = w.value("counters", json::object());  // outlives the loop over it
        for (const auto& [module, values] : modules.items())
            for (const auto& [name, value] : values.items())
                if (value != 0) counters.row({module + "." + name, value.dump()});
        if (!counters.empty()) text += counters.text();
    }
    return text;
}

std::string attributes_text(const json& document) {
    TextTable table({"ATTRIBUTE", "VALUE"});
    if (document.contains("attributes"))
        for (const auto& [name, value] : document["attributes"].items())
            table.row({name, value.is_string() ? value.get<std::string>() : value.dump()});
    return table.text();
}

}  // namespace holdfast
